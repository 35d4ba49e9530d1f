"""The files that the molecule domain offers to the command line."""

from __future__ import annotations

import pytest

pytest.importorskip("rdkit")

from seiko.domains.molecule_files import FORMATS
from seiko.errors import TableError
from seiko.tables.designs import DesignEntry

ENTRIES = [DesignEntry(1, "CCO", "trial-0"), DesignEntry(2, "C=O", "trial-1")]


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read(name, tmp_path):
    path = tmp_path / f"batch.{name}"
    FORMATS[name].write(path, ENTRIES)
    assert [(e.design, e.name) for e in FORMATS[name].read(path)] == [("CCO", "trial-0"), ("C=O", "trial-1")]


def test_a_data_field_named_like_a_column_is_a_reading(tmp_path):
    path = tmp_path / "told.sdf"
    FORMATS["sdf"].write(path, ENTRIES)
    text = path.read_text().replace(
        "M  END\n", "M  END\n>  <Value>\n0.5\n\n>  <plate>\n3\n\n>  <design>\nC\n\n", 1
    )
    path.write_text(text)
    first, second = FORMATS["sdf"].read(path)
    assert (dict(first.cells), dict(second.cells)) == ({"value": "0.5", "plate": "3"}, {})


def test_a_broken_structure_names_its_line(tmp_path):
    path = tmp_path / "told.sdf"
    FORMATS["sdf"].write(path, ENTRIES)
    first, second, _ = path.read_text().split("$$$$\n")
    path.write_text(f"{first}$$$$\n{second.replace('M  END', '')}$$$$\n")
    with pytest.raises(TableError, match=rf"row {len(first.splitlines()) + 2}: The structure is cut off"):
        list(FORMATS["sdf"].read(path))
