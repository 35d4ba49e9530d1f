"""From a campaign's journal to points of a tracker: append-only, each sent once however often it is asked."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from seiko.errors import CampaignError, MissingDependencyError, ParameterError, SeikoError
from seiko.tracking.points import Point, Tally

if TYPE_CHECKING:
    from seiko.campaign import Journal

BATCH = 500


class TrackingWarning(UserWarning):
    """A tracker could not be told; it is told all of it the next time."""


class Sink(Protocol):
    """Somewhere that points are sent to. It remembers how far it has been told."""

    def begin(self, name: str, identity: str, settings: Mapping[str, Any]) -> int:
        """Start, or go on with, the record of a campaign.

        Args:
            name: Of the campaign, for people.
            identity: Of the campaign, letters and digits: no two campaigns share one.
            settings: What it was created with.

        Returns:
            The last event that the sink was told, 0 for none.
        """

    def send(self, points: Sequence[Point], last_event: int) -> None:
        """Write points, then remember that everything up to an event was told."""

    def close(self) -> None:
        """Write what is still in memory."""


class Tracker:
    """Sends what is new in a campaign whenever it is called, with whatever arguments.

    So it fits everywhere that something is reported: ``run(campaign, feedback, progress=tracker)``. A sink
    that fails never stops what it watches: it warns, and tells everything missed the next time.

    Args:
        journal: Of the campaign.
        sink: Where to.
        strict: Raise instead of warning.

    Raises:
        CampaignError: When called, if the sink fails and it is strict.

    Example:
        >>> from seiko.tracking import Tracker, open_sink
        >>> tracker = Tracker(campaign.journal, open_sink("tensorboard:logs/first"))  # doctest: +SKIP
        >>> run(campaign, feedback, progress=tracker)  # doctest: +SKIP
        >>> tracker.close()  # doctest: +SKIP
    """

    def __init__(self, journal: Journal, sink: Sink, *, strict: bool = False) -> None:
        self._journal = journal
        self._sink = sink
        self._strict = strict
        self._begin_again()

    def _begin_again(self) -> None:
        self._tally = Tally()
        self._sent: int | None = None

    def __call__(self, *_: Any) -> int:
        """Send what is new; the number of points sent."""
        return self._guarded(self._send_new)

    def close(self) -> None:
        """Send what is new, and close the sink."""
        self()
        self._guarded(self._close)

    def _close(self) -> int:
        self._sink.close()
        return 0

    def _guarded(self, act: Callable[[], int]) -> int:
        try:
            return act()
        except SeikoError:
            raise
        except Exception as error:
            self._begin_again()
            text = f"{type(self._sink).__name__} could not be told: {type(error).__name__}: {error}."
            if self._strict:
                raise CampaignError(text, hint="The campaign itself is untouched; try again.") from error
            warnings.warn(f"{text} It is told the next time.", TrackingWarning, stacklevel=3)
            return 0

    def _send_new(self) -> int:
        if self._sent is None:
            self._sent = self._sink.begin(
                self._journal.name, identity_of(self._journal), _settings(self._journal)
            )
        batch: list[Point] = []
        count = 0
        for event in self._journal.events(after=self._tally.last):
            batch += [point for point in self._tally.add(event) if point.event > self._sent]
            if len(batch) >= BATCH:
                count += self._send(batch)
                batch = []
        return count + self._send(batch)

    def _send(self, batch: Sequence[Point]) -> int:
        assert self._sent is not None
        if batch or self._tally.last > self._sent:
            self._sink.send(batch, self._tally.last)
        return len(batch)


def publish(journal: Journal, sink: Sink) -> int:
    """Send everything that a sink was not told yet, and close it; the number of points sent.

    Raises:
        CampaignError: If the sink fails, or what is stored is damaged.
    """
    tracker = Tracker(journal, sink, strict=True)
    count = tracker()
    tracker.close()
    return count


def identity_of(journal: Journal) -> str:
    """24 letters and digits that no other campaign has: of its first event."""
    first = next(journal.events())
    text = json.dumps([first.kind, first.created_utc, journal.name, first.payload], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _settings(journal: Journal) -> dict[str, Any]:
    budget = journal.settings.budget
    return {
        "domain": journal.domain_name,
        "seed": journal.settings.seed,
        "num_queries": journal.settings.num_queries,
        "budget": f"{budget.total:g} {budget.unit}",
        **journal.config,
    }


def open_sink(address: str) -> Sink:
    """A sink from its address.

    ======================== =======================================================================
    address                  is
    ======================== =======================================================================
    ``tensorboard:FOLDER``   event files in a folder
    ``mlflow:EXPERIMENT``    a run of an MLflow experiment; its server as MLflow itself finds it
    ``wandb:PROJECT``        a run of a Weights & Biases project; its account as wandb itself finds it
    ======================== =======================================================================

    Raises:
        ParameterError: If it is none of these.
        MissingDependencyError: If the package is not installed.

    Example:
        >>> open_sink("paper:notes")
        Traceback (most recent call last):
        ...
        seiko.errors.ParameterError: `paper:notes` names no tracker. Use tensorboard:FOLDER, ...
    """
    kind, _, place = address.partition(":")
    if kind not in _SINKS or not place:
        raise ParameterError(
            f"`{address}` names no tracker.",
            hint="Use tensorboard:FOLDER, mlflow:EXPERIMENT or wandb:PROJECT.",
        )
    module, name = _SINKS[kind]
    make: Callable[[str], Sink] = getattr(import_module(module), name)
    return make(place)


_SINKS = {
    "tensorboard": ("seiko.tracking.tensorboard", "TensorBoard"),
    "mlflow": ("seiko.tracking.mlflow", "MLflow"),
    "wandb": ("seiko.tracking.wandb", "WeightsAndBiases"),
}


def required(module: str, package: str) -> Any:
    """A module of an optional package.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"This sink needs the package {package}, which cannot be imported ({error}).",
            hint=f"Install it: pip install 'seiko[{package}]'",
        ) from error
