"""``seiko``: the group of commands. Each is imported when it is invoked, so that help is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from seiko.errors import SeikoError


@dataclass(frozen=True)
class LazyCommand:
    """Where a command is, and its line in the help."""

    target: str
    summary: str


COMMANDS: Mapping[str, LazyCommand] = {
    "init": LazyCommand("seiko.cli.init:init", "Write the file of a new campaign, every setting explained."),
    "attach": LazyCommand("seiko.cli.attach:attach", "Add readings from elsewhere, with their designs."),
    "ask": LazyCommand("seiko.cli.ask:ask", "Learn from everything told and propose the next designs."),
    "tell": LazyCommand("seiko.cli.tell:tell", "Record readings, from a filled table or one by one."),
    "run": LazyCommand(
        "seiko.cli.run:run", "Ask, evaluate with the oracle and tell until the budget is spent."
    ),
    "status": LazyCommand("seiko.cli.status:status", "Show where a campaign stands and what to do next."),
    "retry": LazyCommand("seiko.cli.retry:retry", "Let failed or stale trials be measured again."),
    "abandon": LazyCommand("seiko.cli.abandon:abandon", "Give trials up for good."),
    "amend": LazyCommand("seiko.cli.amend:amend", "Correct readings; the old ones stay in the history."),
    "export": LazyCommand("seiko.cli.export:export", "Write all trials, or those still awaited, as a table."),
    "report": LazyCommand("seiko.cli.report:report", "Write a campaign's page of figures."),
    "doctor": LazyCommand("seiko.cli.doctor:doctor", "Check a campaign end to end, and say how to mend it."),
    "demo": LazyCommand(
        "seiko.cli.demo:demo", "Run a small campaign from start to end, to see how it works."
    ),
    "bench": LazyCommand("seiko.cli.bench:bench", "Compare methods on tasks over seeds, in one table."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].target.partition(":")
        return getattr(import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        from seiko.cli.common import Code, exit_with

        try:
            return super().invoke(ctx)
        except SeikoError as error:
            exit_with(error, ctx)
        except KeyboardInterrupt:
            click.echo("Stopped. Everything told is stored; the same command goes on from here.", err=True)
            raise click.exceptions.Exit(Code.INTERRUPTED) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seiko", message="seiko %(version)s")
def main() -> None:
    """Fine-tune diffusion models online, for rewards that are costly to ask.

    \b
    Examples:
      seiko demo                                 whole campaigns, compared, with a page of figures
      seiko init runs/first --budget 480         the file of a new campaign, to be edited
      seiko ask runs/first --out batch.csv       the next designs, as a table to fill in
      seiko tell runs/first filled.csv           what came back; part of a plate is fine
      seiko status runs/first                    where a campaign stands
      seiko status runs/first --json             the same, for a program
      seiko COMMAND --help                       what a command takes

    \b
    Exit codes: 0 done, 2 an error, 3 the budget is spent, 4 nothing to do, 130 stopped by Ctrl-C.
    """


if __name__ == "__main__":
    main()
