"""What can be run: the tasks of the package, and tasks and methods of a user's own file."""

from __future__ import annotations

import runpy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from seiko.benchmark.tasks import TASKS, Task
from seiko.errors import ParameterError

MANY = 12
"""So many names at most are listed in an error."""


def catalogue(tasks_from: str | Path | None = None) -> dict[str, Task]:
    """All tasks by name.

    Args:
        tasks_from: A Python file of yours, which is executed. It may define ``TASKS``, a sequence of `Task`,
            and ``METHODS``, names to functions like those of `seiko.methods`, which every task then has.

    Raises:
        ParameterError: If the file is missing, cannot be executed, defines neither, or gives a task the name
            of another.
    """
    if tasks_from is None:
        return dict(TASKS)
    found = _executed(Path(tasks_from))
    own, methods = found.get("TASKS", ()), found.get("METHODS", {})
    tasks = list(own.values() if isinstance(own, Mapping) else own)
    if not (tasks or methods) or not all(isinstance(task, Task) for task in tasks):
        raise ParameterError(
            f"{tasks_from} must define TASKS, a sequence of seiko.benchmark.Task, or METHODS, a mapping.",
            hint="docs/benchmark.md has an example.",
        )
    merged = dict(TASKS)
    for task in tasks:
        if task.name in merged:
            raise ParameterError(f"{tasks_from} has a second task {task.name!r}.", hint="Rename it.")
        merged[task.name] = task
    return {name: replace(task, rivals={**task.rivals, **methods}) for name, task in merged.items()}


def _executed(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise ParameterError(f"There is no file {path}.", hint="Give a Python file of tasks.")
    try:
        return runpy.run_path(str(path))
    except Exception as error:
        raise ParameterError(
            f"{path} could not be executed: {type(error).__name__}: {error}.", hint="Run it with python."
        ) from error


def select(patterns: Sequence[str], names: Iterable[str], *, what: str) -> list[str]:
    """The names that any pattern (``*``, ``?``, ``[ab]``) fits, in the order of `names`.

    Raises:
        ParameterError: If a pattern fits none.

    Example:
        >>> select(["rna-*", "gfp"], ["gfp", "rna-L14", "rna-L50"], what="task")
        ['gfp', 'rna-L14', 'rna-L50']
    """
    known = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            listed = known if len(known) <= MANY else get_close_matches(pattern, known, 4, 0.4)
            hint = f"There are {', '.join(listed)}." if listed else "See `seiko bench list`."
            raise ParameterError(f"There is no {what} {pattern!r}.", hint=hint)
    return [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]
