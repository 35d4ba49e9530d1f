"""Places for campaigns: each test that asks for `place` runs in a folder and in a database."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

NUMBERS = count()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path) -> Callable[[], str]:
    """A function that gives the location of a new campaign at every call."""
    if request.param == "sqlite":
        return lambda: str(tmp_path / f"campaign-{next(NUMBERS)}")
    url = request.getfixturevalue("postgres")
    return lambda: f"{url}#campaign-{next(NUMBERS)}"
