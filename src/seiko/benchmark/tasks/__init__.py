"""The tasks of the benchmark, by name."""

from __future__ import annotations

from collections.abc import Mapping

from seiko.benchmark.tasks.base import Method, Task
from seiko.benchmark.tasks.docking import DOCKING_TASKS, docking_task
from seiko.benchmark.tasks.images import IMAGE_TASKS, icon_task
from seiko.benchmark.tasks.molecules import MOLECULE_TASKS, molecule_genetic, molecule_task
from seiko.benchmark.tasks.pmo import PMO_TASKS, drug_genetic, pmo_task
from seiko.benchmark.tasks.sequences import SEQUENCE_TASKS

__all__ = [
    "TASKS",
    "Method",
    "Task",
    "docking_task",
    "drug_genetic",
    "icon_task",
    "molecule_genetic",
    "molecule_task",
    "pmo_task",
]

TASKS: Mapping[str, Task] = {
    task.name: task for task in (*MOLECULE_TASKS, *PMO_TASKS, *DOCKING_TASKS, *SEQUENCE_TASKS, *IMAGE_TASKS)
}
