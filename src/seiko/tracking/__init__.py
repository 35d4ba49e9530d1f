"""Optional sinks: a campaign's numbers in TensorBoard, MLflow or Weights & Biases.

None is needed: the campaign's own page says all of it. Each package is imported when its sink is made.
"""

from __future__ import annotations

from seiko.tracking.base import Sink, Tracker, TrackingWarning, open_sink, publish
from seiko.tracking.points import Point, points

__all__ = ["Point", "Sink", "Tracker", "TrackingWarning", "open_sink", "points", "publish"]
