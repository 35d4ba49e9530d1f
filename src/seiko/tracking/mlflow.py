"""A run of an MLflow experiment; needs the package mlflow or mlflow-skinny."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seiko.tracking.base import Point, required

IDENTITY, EVENT = "seiko.identity", "seiko.event"
MOST_METRICS, MOST_PARAMS, MOST_TEXT = 900, 90, 480
"""Below what MLflow takes in one call, and in one parameter."""


class MLflow:
    """Logs to one run a campaign, found again by its tag; the server is where MLflow finds it.

    Args:
        experiment: Its name; made if it is not there.
        uri: Of the tracking server; ``MLFLOW_TRACKING_URI``, or MLflow's own default, if None.

    Raises:
        MissingDependencyError: If mlflow is not installed.
    """

    def __init__(self, experiment: str, *, uri: str | None = None) -> None:
        self._entities = required("mlflow.entities", "mlflow")
        self._client = required("mlflow", "mlflow").MlflowClient(tracking_uri=uri)
        self._experiment = experiment
        self._run = ""

    def begin(self, name: str, identity: str, settings: Mapping[str, Any]) -> int:
        """See :class:`~seiko.tracking.Sink`."""
        found = self._client.get_experiment_by_name(self._experiment)
        experiment = found.experiment_id if found else self._client.create_experiment(self._experiment)
        runs = self._client.search_runs([experiment], f"tags.`{IDENTITY}` = '{identity}'")
        if runs:
            self._run = runs[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            return int(runs[0].data.tags.get(EVENT, 0))
        self._run = self._client.create_run(experiment, run_name=name, tags={IDENTITY: identity}).info.run_id
        params = [
            self._entities.Param(_allowed(key), str(value)[:MOST_TEXT]) for key, value in settings.items()
        ]
        self._client.log_batch(self._run, params=params[:MOST_PARAMS])
        return 0

    def send(self, points: Sequence[Point], last_event: int) -> None:
        """See :class:`~seiko.tracking.Sink`."""
        metrics = [
            self._entities.Metric(_allowed(name), value, int(1000 * point.seconds), point.step)
            for point in points
            for name, value in point.values.items()
        ]
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self._run, metrics=metrics[start : start + MOST_METRICS])
        self._client.set_tag(self._run, EVENT, str(last_event))

    def close(self) -> None:
        """See :class:`~seiko.tracking.Sink`."""
        if self._run:
            self._client.set_terminated(self._run)


def _allowed(name: str) -> str:
    """A name that MLflow takes: letters, digits and ``_-. /``.

    Example:
        >>> _allowed("kl/pretrained_nats"), _allowed("<b>")
        ('kl/pretrained_nats', '_b_')
    """
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. /") else "_" for c in name)[:200]
