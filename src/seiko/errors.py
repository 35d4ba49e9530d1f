"""Every error of our own: what was given, what is allowed, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class SeikoError(Exception):
    """Base of all errors raised by seiko.

    Args:
        message: What was given and what is allowed.
        hint: What to do about it; printed after the message.

    Example:
        >>> raise SeikoError("`eta` must be in (0, 1]; got 0.0.", hint="Use eta=1.0 for DDPM.")
        Traceback (most recent call last):
        ...
        seiko.errors.SeikoError: `eta` must be in (0, 1]; got 0.0. Use eta=1.0 for DDPM.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} {hint}" if hint else message)


class ParameterError(SeikoError, ValueError):
    """An argument is outside what is allowed."""


class ShapeError(SeikoError, ValueError):
    """A tensor has the wrong shape, dtype or device."""


class DeterministicChainError(SeikoError, ValueError):
    """A chain without noise was handed to something that needs its densities."""


class WeightsError(SeikoError):
    """A weight file is missing, corrupt, or belongs to another network."""


class DataError(SeikoError):
    """A file of measured data is missing, damaged, or not what it must be."""


class NotEnoughDataError(SeikoError):
    """There are too few readings for what was asked."""


class NotEnoughDesignsError(SeikoError):
    """The chain gave fewer valid, new designs than were asked for."""


class ObservationError(SeikoError, ValueError):
    """A reward or a reading is not what it must be: a NaN, a string, a wrong count."""


class TrialError(SeikoError, ValueError):
    """A trial cannot take this reading: unknown, or already told."""


class BudgetExhausted(SeikoError):
    """No queries are left in the campaign's budget."""


class CampaignError(SeikoError):
    """A campaign cannot be created, opened or continued."""


class TableError(SeikoError, ValueError):
    """A table cannot be read or written; nothing of it was taken.

    Args:
        message: What the table is and how many errors it has.
        problems: Row, as a spreadsheet counts (the header is 1; 0 is the whole file), and its fault.
        hint: What to do about it.
    """

    def __init__(
        self, message: str, *, problems: Sequence[tuple[int, str]] = (), hint: str | None = None
    ) -> None:
        self.problems = tuple(problems)
        super().__init__(message, hint=hint)


class ConfigError(SeikoError, ValueError):
    """A campaign file says something that it may not; the message names the line and the key."""


class MissingDependencyError(SeikoError, ImportError):
    """An optional package is not installed; the hint names the extra."""


class OutOfMemoryError(SeikoError, MemoryError):
    """The device has no memory left for what was asked; the hint names what needs less."""
