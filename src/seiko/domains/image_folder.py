"""What the image domain offers to the command line: a folder of PNG files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seiko.domains.image_format import from_png, to_png
from seiko.errors import SeikoError, TableError
from seiko.tables.base import fault
from seiko.tables.designs import DesignEntry, DesignFormat, inside

if TYPE_CHECKING:
    from PIL.Image import Image


def write_folder(path: Path, entries: Sequence[DesignEntry[Image]]) -> None:
    """A new folder with one file an image, ``trial-7.png``."""
    path.mkdir()
    for number, entry in enumerate(entries, 1):
        inside(path, f"{entry.name or number}.png").write_bytes(to_png(entry.design))


def read_folder(path: Path) -> Iterator[DesignEntry[Image]]:
    """The PNG files of a folder in the order of their names; other files are passed over.

    Raises:
        TableError: If there is no such folder, a name leads elsewhere, or a file is no PNG image.
    """
    if not path.is_dir():
        raise TableError(f"{path} is no folder.", hint="Give the folder that holds the PNG files.")
    for row, file in enumerate(sorted(path.glob("*.png")), 1):
        try:
            yield DesignEntry(row, from_png(inside(path, file.name).read_bytes(), file.name), file.stem)
        except TableError:
            raise
        except (SeikoError, OSError) as error:
            raise fault(str(path), row, f"{file.name}: {error}") from error


FORMATS: Mapping[str, DesignFormat[Image]] = {"png": DesignFormat((), write_folder, read_folder)}
