"""Progress of runs on stderr: moving bars on a terminal, else plain lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from seiko.benchmark import Event


@contextmanager
def shown_progress(methods: Sequence[str], budget: int, num_rounds: int) -> Iterator[Callable[[Event], None]]:
    """What `run_method` takes as `on_event`."""
    if sys.stderr.isatty():
        with _bars(methods, budget, num_rounds) as watch:
            yield watch
    else:
        yield _Lines(num_rounds)


class _Lines:
    """One line for each phase of each round."""

    def __init__(self, num_rounds: int) -> None:
        self.num_rounds = num_rounds
        self.last = ""

    def __call__(self, event: Event) -> None:
        text = f"{event.method} seed {event.seed}: {words_of(event, self.num_rounds)}"
        if event.phase == "asking" and self.last == _phase_of(event):
            return
        self.last = _phase_of(event)
        click.echo(text, err=True)


def _phase_of(event: Event) -> str:
    return f"{event.method} {event.seed} {event.phase}"


def round_of(event: Event, num_rounds: int) -> int:
    """The round a run is in, from 1."""
    each = max(event.budget // num_rounds, 1)
    return min(event.queries // each + 1, num_rounds)


def words_of(event: Event, num_rounds: int) -> str:
    """Where a run is, in words.

    Example:
        >>> from types import SimpleNamespace
        >>> words_of(SimpleNamespace(phase="asking", queries=60, budget=300), 5)
        'round 2 of 5, asking 60 of 300'
    """
    if event.phase in ("done", "scoring the final model"):
        return event.phase
    if event.queries >= event.budget:
        return "learning from all readings"
    text = f"round {round_of(event, num_rounds)} of {num_rounds}, {event.phase}"
    return f"{text} {event.queries} of {event.budget}" if event.phase == "asking" else text


@contextmanager
def _bars(methods: Sequence[str], budget: int, num_rounds: int) -> Iterator[Callable[[Event], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("[bold]{task.description:<16}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}", style="dim"),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as progress:
        bars = {name: progress.add_task(name, total=budget, words="waiting", start=False) for name in methods}

        def watch(event: Event) -> None:
            bar = bars[event.method]
            if event.phase == "sampling":
                progress.reset(bar)
            words = f"seed {event.seed}: {words_of(event, num_rounds)}"
            progress.update(bar, completed=event.queries, words=words)
            if event.phase == "done":
                progress.stop_task(bar)

        yield watch
