"""Methods on tasks over seeds: real campaigns, one line of JSON a run, one table, one report."""

from seiko.benchmark.evaluation import versions
from seiko.benchmark.running import NUM_SAMPLES, Event, run_all, run_method
from seiko.benchmark.tasks import TASKS, Task, molecule_genetic, molecule_task
from seiko.results import Result, append_result, read_results, summarize

__all__ = [
    "NUM_SAMPLES",
    "TASKS",
    "Event",
    "Result",
    "Task",
    "append_result",
    "molecule_genetic",
    "molecule_task",
    "read_results",
    "run_all",
    "run_method",
    "summarize",
    "versions",
]
