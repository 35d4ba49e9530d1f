"""Where tests find measured data, and how they say that it is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seiko import data

BESIDE = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def measured(monkeypatch) -> Callable[[str], Path]:
    """Gives the path of a data file by name, or skips the test with what is missing."""

    def path(name: str) -> Path:
        folder = Path(os.environ.get("SEIKO_DATA", BESIDE))
        monkeypatch.setenv("SEIKO_DATA", str(folder))
        entry = data.DATA[name]
        file = folder / entry.folder / entry.file
        if not file.exists():
            pytest.skip(f"{file} is absent; set SEIKO_DATA to the folder that holds {entry.folder}/")
        return data.locate(name)

    return path
