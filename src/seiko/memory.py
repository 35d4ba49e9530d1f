"""Running out of memory, said in words: which knobs need less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from seiko.errors import OutOfMemoryError, SeikoError

KNOBS = (
    "Any of three needs less: fewer rows at once (the updater's `batch_size`, `sample_batch`), fewer steps "
    "with a graph (`grad_steps`, or `checkpoint=True`), a smaller model in memory (`dtype=torch.bfloat16`, "
    '`decode="sliced"` or "tiled").'
)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn a device's or the machine's lack of memory into our error, which says what needs less.

    Args:
        what: What was being done, to begin the message with.

    Raises:
        OutOfMemoryError: In place of what torch or Python raised.

    Example:
        >>> with explained("Decoding"):
        ...     raise MemoryError("no room")
        Traceback (most recent call last):
        ...
        seiko.errors.OutOfMemoryError: Decoding ran out of memory: no room. Any of three needs less: ...
    """
    try:
        yield
    except SeikoError:
        raise
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        lines = str(error).strip().splitlines()
        reason = lines[0].rstrip(".") if lines else type(error).__name__
        raise OutOfMemoryError(f"{what} ran out of memory: {reason}.", hint=KNOBS) from error


def _is_lack_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in ("out of memory", "can't allocate memory"))
