"""A run of a Weights & Biases project; needs the package wandb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seiko.tracking.base import Point, required

EVENT = "seiko/event"


class WeightsAndBiases:
    """Logs to one run a campaign, which it goes on with; the account is as wandb finds it.

    Offline (``WANDB_MODE=offline``) every call makes a new run, for only the service knows how far an earlier
    one came.

    Args:
        project: Its name.

    Raises:
        MissingDependencyError: If wandb is not installed.
    """

    def __init__(self, project: str) -> None:
        self._wandb = required("wandb", "wandb")
        self._project = project
        self._run: Any = None

    def begin(self, name: str, identity: str, settings: Mapping[str, Any]) -> int:
        """See :class:`~seiko.tracking.Sink`."""
        self._run = self._wandb.init(
            project=self._project, id=identity, name=name, resume="allow", config=dict(settings)
        )
        for axis in ("round", "reading"):
            self._run.define_metric(axis, hidden=True)
        return int(self._run.summary.get(EVENT) or 0)

    def send(self, points: Sequence[Point], last_event: int) -> None:
        """See :class:`~seiko.tracking.Sink`."""
        for point in points:
            for name in point.values:
                self._run.define_metric(name, step_metric=point.axis)
            self._run.log({**point.values, point.axis: point.step})
        self._run.summary[EVENT] = last_event

    def close(self) -> None:
        """See :class:`~seiko.tracking.Sink`."""
        if self._run is not None:
            self._run.finish()
            self._run = None
