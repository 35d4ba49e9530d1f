"""Methods on tasks over seeds: real campaigns, one line of JSON a run, one table, one report."""

from seiko.benchmark.evaluation import versions
from seiko.benchmark.jobs import Failure, Job, JobEvent, command_of, failures_path, run_jobs
from seiko.benchmark.registry import catalogue, select
from seiko.benchmark.running import NUM_SAMPLES, Event, run_all, run_method
from seiko.benchmark.suites import SUITES, Piece, Suite, suite
from seiko.benchmark.tasks import TASKS, Task, molecule_genetic, molecule_task
from seiko.results import Result, append_result, read_results, summarize

__all__ = [
    "NUM_SAMPLES",
    "SUITES",
    "TASKS",
    "Event",
    "Failure",
    "Job",
    "JobEvent",
    "Piece",
    "Result",
    "Suite",
    "Task",
    "append_result",
    "catalogue",
    "command_of",
    "failures_path",
    "molecule_genetic",
    "molecule_task",
    "read_results",
    "run_all",
    "run_jobs",
    "run_method",
    "select",
    "suite",
    "summarize",
    "versions",
]
