"""The command line: what it prints, how it fails, how soon it starts."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner

from seiko.campaign import Campaign
from seiko.cli import main as cli
from seiko.proposers.base import Proposal
from seiko.records import Observation

SEIKO = [sys.executable, "-m", "seiko.cli.main"]


def letters(history, num_queries, *, resume, generator):
    first = len(history.trials)
    return Proposal([chr(97 + i) for i in range(first, first + num_queries)])


@pytest.fixture
def campaign(tmp_path):
    domain = types.SimpleNamespace(
        name="letters",
        media_type="text/plain",
        is_valid=str.isalpha,
        key=str,
        to_bytes=str.encode,
        from_bytes=bytes.decode,
        render=str,
        metrics={},
    )
    proposer = types.SimpleNamespace(propose=letters)
    return Campaign.create(
        tmp_path / "first", domain=domain, proposer=proposer, budget=10, num_queries=4, name="letters one"
    )


def seiko(*args):
    return CliRunner().invoke(cli.main, [str(a) for a in args], prog_name="seiko")


def test_status_of_a_new_campaign(campaign):
    result = seiko("status", campaign.path)
    assert result.exit_code == 0
    assert "calls used     0 of 10" in result.output
    assert "best           none yet" in result.output
    assert "Ask for the next designs; 10 queries are left." in result.output


def test_status_in_the_middle(campaign):
    campaign.ask()
    campaign.tell({0: 0.25, 1: 0.5, 2: Observation.failed("broke"), 3: Observation.infeasible("no")})
    campaign.ask(1)
    lines = dict(line.split(maxsplit=1) for line in seiko("status", campaign.path).output.splitlines())
    assert lines["campaign"].startswith("letters one  (letters, ")
    assert lines["rounds"] == "2"
    assert lines["best"] == "0.5  (trial 1: b)"
    assert [lines[x] for x in ("complete", "pending", "failed", "infeasible")] == ["2", "1", "1", "1"]
    assert lines["next"] == "Tell the readings of 1 pending trials: 4."


def test_status_as_json(campaign):
    campaign.ask()
    campaign.tell({1: 0.5})
    found = json.loads(seiko("status", campaign.path, "--json").output)
    assert found["queries_used"] == 4
    assert found["best_key"] == "b"
    assert found["num_pending"] == 3
    assert found["next_action"].startswith("Tell the readings of 3 pending trials: 0, 2, 3")


def test_status_on_a_terminal(campaign, monkeypatch, capsys):
    from seiko.campaign.status import read_status
    from seiko.cli.status import _print_table

    _print_table(read_status(campaign.path))
    assert "0 of 10" in capsys.readouterr().out


def test_an_error_is_one_message_on_stderr(tmp_path):
    result = seiko("status", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: There is no campaign at {tmp_path}/nowhere")
    assert "Make one with Campaign.create" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_damaged_campaign_is_an_error_too(campaign):
    (campaign.path / "campaign.sqlite").write_bytes(b"SQLite format 3\0" + bytes(5000))
    result = seiko("status", campaign.path)
    assert result.exit_code == 2
    assert "campaign.sqlite" in result.stderr


def test_unknown_commands_and_options():
    assert seiko("nothing").exit_code == 2
    assert "No such command 'nothing'" in seiko("nothing").output
    assert seiko("status").exit_code == 2


def test_help_names_every_command_and_an_example():
    output = seiko("--help").output
    for name, command in cli.COMMANDS.items():
        assert name in output
        assert command.summary in output
    assert "seiko status runs/first" in output
    assert "seiko status runs/first --json" in seiko("status", "--help").output


def test_the_commands_that_are_there_can_be_loaded():
    folder = Path(cli.__file__).parent
    for name, command in cli.COMMANDS.items():
        if (folder / f"{command.target.partition(':')[0].rpartition('.')[2]}.py").exists():
            assert cli.main.get_command(None, name).name == name


def test_version():
    import seiko as package

    assert seiko("--version").output == f"seiko {package.__version__}\n"
    module = subprocess.run([sys.executable, "-m", "seiko", "--version"], capture_output=True, text=True)
    assert module.stdout == seiko("--version").output


def modules_after(*args):
    code = (
        "import sys, seiko.cli.main as cli\n"
        f"cli.main({[str(a) for a in args]!r}, prog_name='seiko', standalone_mode=False)\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_and_status_never_import_the_heavy_ones(campaign):
    campaign.ask()
    told = (["tell", campaign.path, "0=1.5"], ["retry", campaign.path, "--help"], ["export", campaign.path])
    for args in (["--help"], ["--version"], ["status", "--help"], ["status", campaign.path], *told):
        heavy = modules_after(*args) & {"torch", "numpy", "botorch", "rich", "rdkit", "matplotlib"}
        assert not heavy, (args, heavy)
    assert "sqlalchemy" not in modules_after("--help")


def cpu_seconds(*args):
    """Of one whole process; waiting for a busy machine is not counted."""
    script = "import sys; from seiko.cli.main import main; sys.exit(main())"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script, *args], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.slow  # seconds of a machine that may be busy
def test_help_and_status_start_in_less_than_two_fifths_of_a_second(campaign):
    campaign.ask()
    for args in (["--help"], ["status", str(campaign.path)]):
        seconds = [cpu_seconds(*args) for _ in range(5)]
        assert min(seconds) < 0.4, (args, seconds)
