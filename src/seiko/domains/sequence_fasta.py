"""FASTA: a header line after ``>``, then letters on one or more lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

WIDTH = 60
"""Letters on a line, unless told otherwise."""


class FastaRecord(NamedTuple):
    """Line of the header, from 1, the header without ``>``, and the lines of letters as they stand."""

    line: int
    header: str
    parts: list[str]


def split_fasta(
    lines: Iterable[tuple[int, str]], refuse: Callable[[int], Exception]
) -> Iterator[FastaRecord]:
    """Records of numbered lines; blank lines and remarks, which begin with ``;``, are passed over.

    Args:
        lines: Number, from 1, and text of each line.
        refuse: The error to raise, by line, where letters stand before the first header.

    Example:
        >>> list(split_fasta([(1, ">a b"), (2, "AC"), (3, "GT")], ValueError))
        [FastaRecord(line=1, header='a b', parts=['AC', 'GT'])]
    """
    record: FastaRecord | None = None
    for number, line in lines:
        if line.startswith(">"):
            if record:
                yield record
            record = FastaRecord(number, line[1:], [])
        elif line.strip() and not line.startswith(";"):
            if not record:
                raise refuse(number)
            record.parts.append(line)
    if record:
        yield record


def fasta_text(name: str, letters: str, width: int = WIDTH) -> str:
    """One record as text.

    Example:
        >>> fasta_text("a", "ACGT", 3)
        '>a\\nACG\\nT\\n'
    """
    lines = (letters[k : k + width] for k in range(0, len(letters), width))
    return f">{name}\n" + "".join(f"{line}\n" for line in lines)
