"""When a failed reading is tried again: after longer and longer pauses, and not for ever."""

from __future__ import annotations

import random
from dataclasses import dataclass

from seiko.campaign.numbers import whole
from seiko.errors import ParameterError
from seiko.records import is_finite_number


@dataclass(frozen=True)
class Backoff:
    """How often a failed trial is tried again, and after which pause.

    The pause before retry ``k = 1, 2, …`` is ``min(first * factor^(k-1), longest)`` seconds, times
    ``1 + jitter * u`` with ``u`` uniform in [-1, 1) from a generator of its own, seeded with `seed`.

    Args:
        retries: Retries of one trial within a run; the campaign's ``max_retries`` bounds them too.
        first: Seconds before the first.
        factor: By which each further pause is longer, at least 1.
        longest: Seconds; no pause is longer, jitter aside.
        jitter: Share of a pause, in [0, 1], so that many runs do not knock together.
        seed: Of the jitter.

    Raises:
        ParameterError: If a number is out of range.

    Example:
        >>> [Backoff(4, first=1.0, longest=5.0).pause(k) for k in (1, 2, 3, 4)]
        [1.0, 2.0, 4.0, 5.0]
    """

    retries: int = 0
    first: float = 1.0
    factor: float = 2.0
    longest: float = 300.0
    jitter: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        whole("retries", self.retries, least=0)
        whole("seed", self.seed)
        for name, least, most in [
            ("first", 0, None),
            ("factor", 1, None),
            ("longest", 0, None),
            ("jitter", 0, 1),
        ]:
            value = getattr(self, name)
            if not (is_finite_number(value) and value >= least and (most is None or value <= most)):
                allowed = f"a finite number >= {least}" if most is None else f"in [{least}, {most}]"
                raise ParameterError(f"`{name}` must be {allowed}; got {value!r}.")

    def pause(self, attempt: int) -> float:
        """Seconds before retry `attempt`, counted from 1."""
        exponent = min(attempt - 1, 1000)
        try:
            length = min(self.first * self.factor**exponent, self.longest)
        except OverflowError:
            length = self.longest if self.first else 0.0
        draw = random.Random(f"{self.seed}:{attempt}").uniform(-1, 1)
        return length * (1 + self.jitter * draw)
