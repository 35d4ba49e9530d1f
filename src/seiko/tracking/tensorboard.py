"""TensorBoard event files; needs the package tensorboard, and neither TensorFlow nor torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seiko.errors import ParameterError
from seiko.tracking.base import Point, required

MARK = "seiko.json"


class TensorBoard:
    """Writes event files into a folder; a file ``seiko.json`` beside them says how far it was told.

    Args:
        folder: Of one campaign; ``tensorboard --logdir`` is given it, or a folder of several.

    Raises:
        MissingDependencyError: If tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._protos = required("tensorboard.compat.proto.event_pb2", "tensorboard")
        self._summaries = required("tensorboard.compat.proto.summary_pb2", "tensorboard")
        self._files = required("tensorboard.summary.writer.event_file_writer", "tensorboard")
        self._writer: Any = None
        self._identity = ""

    def begin(self, name: str, identity: str, settings: Mapping[str, Any]) -> int:
        """See :class:`~seiko.tracking.Sink`; the settings are not written.

        Raises:
            ParameterError: If the folder holds another campaign, or cannot be written.
        """
        self._identity = identity
        mark = self._folder / MARK
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            told: dict[str, Any] = {"identity": identity, "event": 0}
            if mark.exists():
                told = json.loads(mark.read_text(encoding="utf-8"))
            event, known = int(told["event"]), str(told["identity"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ParameterError(
                f"The folder {self._folder} cannot be used for TensorBoard: {error}.",
                hint="Name another one.",
            ) from error
        if known != identity:
            raise ParameterError(
                f"The folder {self._folder} holds another campaign than {name!r}.",
                hint="Name another folder for each campaign.",
            )
        return event

    def send(self, points: Sequence[Point], last_event: int) -> None:
        """See :class:`~seiko.tracking.Sink`."""
        if self._writer is None:
            self._writer = self._files.EventFileWriter(str(self._folder))
        for point in points:
            values = [
                self._summaries.Summary.Value(tag=name, simple_value=value)
                for name, value in point.values.items()
            ]
            summary = self._summaries.Summary(value=values)
            event = self._protos.Event(wall_time=point.seconds, step=point.step, summary=summary)
            self._writer.add_event(event)
        self._writer.flush()
        part = self._folder / f".{MARK}.part"
        part.write_text(
            json.dumps({"identity": self._identity, "event": last_event}) + "\n", encoding="utf-8"
        )
        os.replace(part, self._folder / MARK)

    def close(self) -> None:
        """See :class:`~seiko.tracking.Sink`."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
