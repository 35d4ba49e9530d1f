"""Measured data: found by name, never used when altered, downloaded only when asked for."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import MappingProxyType

import pytest

from seiko import data
from seiko.errors import DataError, ParameterError

CONTENT = b"a table\n"
ENTRY = data.DataFile(
    folder="made_up",
    file="table.csv",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    origin="nowhere",
    licence="none",
    cite="nobody",
)


@pytest.fixture
def world(monkeypatch, tmp_path):
    """An own folder, a cache, and one data set that can be downloaded from a third."""
    source = tmp_path / "public" / "table.csv"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    entries = {"made-up": replace(ENTRY, url=source.as_uri()), "converted": replace(ENTRY, folder="other")}
    monkeypatch.setattr(data, "DATA", MappingProxyType(entries))
    monkeypatch.setenv("SEIKO_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("SEIKO_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_missing_file_names_the_folders_and_what_to_do(world):
    with pytest.raises(DataError, match=r'own/made_up and .*cache/data/made_up.*fetch\("made-up"\)'):
        data.locate("made-up")
    with pytest.raises(DataError, match=r"Set SEIKO_DATA to a folder that holds other/table\.csv"):
        data.locate("converted")
    with pytest.raises(ParameterError, match="no data 'unknown'; there are converted, made-up"):
        data.locate("unknown")


def test_the_own_folder_comes_before_the_cache(world, monkeypatch):
    for folder in (world / "own" / "made_up", world / "cache" / "data" / "made_up"):
        folder.mkdir(parents=True)
        (folder / "table.csv").write_bytes(CONTENT)
    assert data.locate("made-up") == world / "own" / "made_up" / "table.csv"
    assert data.read("made-up") == CONTENT
    monkeypatch.delenv("SEIKO_DATA")
    assert data.locate("made-up") == world / "cache" / "data" / "made_up" / "table.csv"


def test_altered_content_is_refused(world):
    folder = world / "own" / "made_up"
    folder.mkdir(parents=True)
    (folder / "table.csv").write_bytes(CONTENT + b"one more row\n")
    with pytest.raises(DataError, match=f"not {ENTRY.sha256}: it is damaged"):
        data.locate("made-up")


def test_fetch_downloads_once_into_the_cache(world):
    path = data.fetch("made-up")
    assert path == world / "cache" / "data" / "made_up" / "table.csv" and path.read_bytes() == CONTENT
    (world / "public" / "table.csv").unlink()
    assert data.fetch("made-up") == path == data.locate("made-up")
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]


def test_fetch_never_keeps_what_is_not_the_file(world):
    (world / "public" / "table.csv").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="sha256"):
        data.fetch("made-up")
    (world / "public" / "table.csv").unlink()
    with pytest.raises(DataError, match="could not be downloaded"):
        data.fetch("made-up")
    with pytest.raises(DataError, match="cannot be downloaded as they are used here"):
        data.fetch("converted")
    assert not list((world / "cache").rglob("*.csv"))


def test_every_entry_is_whole():
    for name, entry in data.DATA.items():
        assert name == name.lower() and len(bytes.fromhex(entry.sha256)) == 32
        assert entry.origin and entry.licence and entry.cite
        assert entry.url is None or entry.url.startswith("https://")
