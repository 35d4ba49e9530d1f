"""What a source of rewards is: one answer a design, all at once or as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from seiko.records import Observation, Trial

AnyDesign = TypeVar("AnyDesign", contravariant=True)

LONGEST_NOTE = 2000
"""Characters of a note that are kept; of a longer one the start and the end."""


class Feedback(Protocol[AnyDesign]):
    """A costly source of rewards: an assay, a simulator, a person.

    ``evaluate`` answers one observation a design, in their order. What could not be measured is a failed
    observation, never a number.
    """

    def evaluate(self, designs: Sequence[AnyDesign]) -> Sequence[Observation]: ...


@runtime_checkable
class StreamingFeedback(Protocol):
    """A feedback that says what it has as it comes, so that nothing measured is lost when it is cut off.

    ``stream`` is a generator of small batches, trial id to observation, each trial once. Closed early, or
    interrupted, it ends what it started; a ``KeyboardInterrupt`` thrown into it makes it give what had come
    meanwhile, and then raise.
    """

    def stream(self, trials: Sequence[Trial[Any]]) -> Iterator[Mapping[int, Observation]]: ...


def failure(error: BaseException) -> Observation:
    """A failed observation that says which error it was."""
    return Observation.failed(clean_note(described(error)))


def described(error: BaseException) -> str:
    """An error in one piece of text, whatever its own ``__str__`` does."""
    try:
        text = str(error)
    except Exception:
        text = "an error that cannot be shown"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def clean_note(text: str) -> str:
    """`text` as every store takes it: no control characters, no half characters, not endless.

    Example:
        >>> clean_note("tip\\x00 lost\\ud800")
        'tip lost?'
    """
    kept = "".join(c for c in text if c in "\n\t" or (c >= " " and c != "\x7f"))
    kept = kept.encode("utf-8", errors="replace").decode()
    if len(kept) <= LONGEST_NOTE:
        return kept
    half = LONGEST_NOTE // 2
    return f"{kept[:half]} … {kept[-half:]}"


def in_order(stream: Iterator[Mapping[int, Observation]], trials: Sequence[Trial[Any]]) -> list[Observation]:
    """All that a stream gives, in the order of its trials."""
    found: dict[int, Observation] = {}
    for batch in stream:
        found.update(batch)
    return [found[trial.id] for trial in trials]


def numbered(designs: Sequence[Any]) -> list[Trial[Any]]:
    """Designs as trials of no campaign, numbered from 0."""
    return [Trial(i, 0, design, str(i)) for i, design in enumerate(designs)]


def rest_of(generator: Any, stop: KeyboardInterrupt) -> Any:
    """What a generator still has to say when it is told to stop; None if nothing."""
    throw = getattr(generator, "throw", None)
    try:
        return None if throw is None else throw(stop)
    except (KeyboardInterrupt, StopIteration):
        return None
