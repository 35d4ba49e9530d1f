"""``seiko``: the group of commands. Each is imported when it is invoked, so that help is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from seiko.errors import SeikoError


class Failure(click.ClickException):
    """An error of ours, printed as one message on stderr, without a traceback."""

    exit_code = 2


@dataclass(frozen=True)
class LazyCommand:
    """Where a command is, and its line in the help."""

    target: str
    summary: str


COMMANDS: Mapping[str, LazyCommand] = {
    "bench": LazyCommand("seiko.cli.bench:bench", "Compare methods on tasks over seeds, in one table."),
    "demo": LazyCommand(
        "seiko.cli.demo:demo", "Run a small campaign from start to end, to see how it works."
    ),
    "status": LazyCommand("seiko.cli.status:status", "Show where a campaign stands and what to do next."),
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
        try:
            return super().invoke(ctx)
        except SeikoError as error:
            raise Failure(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seiko", message="seiko %(version)s")
def main() -> None:
    """Fine-tune diffusion models online, for rewards that are costly to ask.

    \b
    Examples:
      seiko demo                        whole campaigns, compared, with a page of figures
      seiko status runs/first           where a campaign stands
      seiko status runs/first --json    the same, for a program
      seiko COMMAND --help              what a command takes
    """


if __name__ == "__main__":
    main()
