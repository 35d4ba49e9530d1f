"""Where tests find measured data, and how they say that it is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seiko import data

BESIDE = Path(__file__).parents[2] / "shared" / "data"


def data_path(*parts: str) -> Path:
    """A file or folder among the measured data, there or not."""
    return Path(os.environ.get("SEIKO_DATA", BESIDE)).joinpath(*parts)


def needed(*parts: str) -> Path:
    """The same, or the test is skipped with what is missing."""
    path = data_path(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent; set SEIKO_DATA to the folder that holds {parts[0]}/")
    return path


@pytest.fixture
def measured(monkeypatch) -> Callable[[str], Path]:
    """Gives the path of a data file by name, or skips the test with what is missing."""

    def path(name: str) -> Path:
        monkeypatch.setenv("SEIKO_DATA", str(data_path()))
        entry = data.DATA[name]
        needed(entry.folder, entry.file)
        return data.locate(name)

    return path
