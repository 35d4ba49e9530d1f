"""Every line of the docs that calls ``seiko`` is one that it takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from seiko.cli import main as cli

DOCS = Path(__file__).parents[2] / "docs"
LINES = [
    (page.name, line.removeprefix("$ "))
    for page in (DOCS / "command_line.md", DOCS / "wet_lab.md", DOCS / "benchmark.md")
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_line_of_the_docs_is_understood(page, line):
    program, name, *args = shlex.split(line)
    assert program == "seiko"
    command = cli.main.get_command(None, name)
    assert command is not None
    context = command.make_context(name, args)
    if isinstance(command, click.Group):
        below = command.get_command(context, args[0])
        assert below is not None
        below.make_context(args[0], args[1:])


def test_the_walk_has_every_step():
    verbs = [line.split()[1] for page, line in LINES if page == "wet_lab.md"]
    assert list(dict.fromkeys(verbs)) == [
        "init", "attach", "ask", "tell", "status", "retry", "export", "amend", "report", "doctor"
    ]  # fmt: skip


def test_every_command_is_documented():
    text = (DOCS / "command_line.md").read_text(encoding="utf-8")
    assert all(f"`{name}" in text for name in cli.COMMANDS)
