"""The examples in the docstrings run as they stand."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

MODULES = [
    "campaign",
    "feedback.base",
    "feedback.callables",
    "feedback.executable",
    "feedback.loops",
    "feedback.messages",
    "feedback.retries",
    "numbers",
    "status",
    "store",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(import_module(f"seiko.campaign.{name}"), optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0
