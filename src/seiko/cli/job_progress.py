"""Progress of many runs on stderr: a moving bar on a terminal, else one line a finished run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from seiko.cli.progress import words_of

if TYPE_CHECKING:
    from seiko.benchmark import JobEvent, Task


def duration(seconds: float) -> str:
    """A time for people.

    Example:
        >>> duration(8.2), duration(700), duration(9000)
        ('8 s', '12 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


@contextmanager
def job_progress(tasks: dict[str, Task]) -> Iterator[Callable[[JobEvent], None]]:
    """What `run_jobs` takes as `watch`."""
    if sys.stderr.isatty():
        with _bars(tasks) as watch:
            yield watch
    else:
        yield _lines()


def name_of(event: JobEvent) -> str:
    return f"{event.job.task} {event.job.method} seed {event.job.seed}"


def outcome(event: JobEvent) -> str:
    """A finished run in words."""
    text = f"{name_of(event)}: {'done in ' + duration(event.seconds) if event.kind == 'done' else 'FAILED'}"
    return f"{text}: {event.words.splitlines()[0]}" if event.words else text


def _lines() -> Callable[[JobEvent], None]:
    start = time.monotonic()

    def watch(event: JobEvent) -> None:
        if event.kind in ("done", "failed"):
            left = (time.monotonic() - start) / event.finished * (event.total - event.finished)
            rest = f"; about {duration(left)} left" if event.finished < event.total else ""
            click.echo(f"{event.finished} of {event.total}: {outcome(event)}{rest}", err=True)

    return watch


@contextmanager
def _bars(tasks: dict[str, Task]) -> Iterator[Callable[[JobEvent], None]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("[bold]{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        TextColumn("{task.fields[words]}", style="dim"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as progress:
        bar = progress.add_task("runs", total=None, words="")
        running: dict[str, str] = {}

        def watch(event: JobEvent) -> None:
            if event.kind in ("done", "failed"):
                running.pop(name_of(event), None)
                if event.kind == "failed":
                    progress.console.print(f"[red]{escape(outcome(event))}")
            elif event.step is not None:
                running[name_of(event)] = words_of(event.step, tasks[event.job.task].num_rounds)
            else:
                running[name_of(event)] = ""
            words = "; ".join(f"{name} {step}".strip() for name, step in running.items())
            progress.update(bar, completed=event.finished, total=event.total, words=escape(words))

        yield watch
