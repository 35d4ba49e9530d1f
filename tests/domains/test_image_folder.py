"""A folder of PNG files as the command line reads and writes it."""

from __future__ import annotations

import pytest

pytest.importorskip("PIL")

from PIL import Image

from seiko.domains.image_folder import FORMATS
from seiko.errors import TableError
from seiko.tables.designs import DesignEntry

PNG = FORMATS["png"]


def images() -> list[Image.Image]:
    return [Image.new("RGB", (4, 4), (value, 0, 9)) for value in (10, 200)]


def test_what_is_written_is_read(tmp_path):
    folder = tmp_path / "batch"
    PNG.write(folder, [DesignEntry(i, image, f"trial-{i}") for i, image in enumerate(images())])
    (folder / "notes.txt").write_text("passed over")
    read = list(PNG.read(folder))
    assert [entry.name for entry in read] == ["trial-0", "trial-1"]
    assert [entry.design.tobytes() for entry in read] == [image.tobytes() for image in images()]


def test_what_is_no_folder_or_no_picture_is_named(tmp_path):
    with pytest.raises(TableError, match="no folder"):
        list(PNG.read(tmp_path / "nowhere"))
    (tmp_path / "trial-0.png").write_bytes(b"no picture")
    with pytest.raises(TableError, match=r"row 1: trial-0\.png"):
        list(PNG.read(tmp_path))


def test_names_that_lead_elsewhere_are_refused(tmp_path):
    with pytest.raises(TableError, match="plain file name"):
        PNG.write(tmp_path / "new", [DesignEntry(1, images()[0], "../outside")])
    assert not (tmp_path / "outside.png").exists()
