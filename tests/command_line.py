"""``seiko`` in a temporary folder, for tests of the command line."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

from click.testing import CliRunner

import command_line_world
from seiko.cli import main as cli

WORLD = ["campaign.chain=words:load", "method.name=words:method", "oracle.python=words:score"]


def seiko(*args, input=None):
    return CliRunner().invoke(cli.main, [str(a) for a in args], prog_name="seiko", input=input)


def done(*args, code=0):
    """The output of a command that must end with this code and without a traceback."""
    result = seiko(*args)
    crashed = result.exception is not None and not isinstance(result.exception, SystemExit)
    assert not crashed, result.exc_info
    assert result.exit_code == code, (args, result.output)
    return result


def data(*args):
    return json.loads(done(*args, "--json").stdout)


def begun(folder: Path, *overrides, budget=40, num_queries=8):
    """A campaign's folder with its file and the module that it names."""
    done("init", folder, *WORLD, *overrides, "--budget", budget, "--num-queries", num_queries)
    shutil.copy(command_line_world.__file__, folder / "words.py")
    return folder


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
