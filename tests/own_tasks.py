"""A user's file of tasks for tests: the small world, with methods that fail in two ways."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from benchmark_world import TASK
from seiko.methods import random


def breaks(chain: Any, domain: Any, **settings: Any) -> Any:
    raise RuntimeError("the pump is dry")


def dies(chain: Any, domain: Any, **settings: Any) -> Any:
    os._exit(7)


TASKS = [TASK, replace(TASK, name="words-b", split="test")]
METHODS = {"same": random, "breaks": breaks, "dies": dies}
