"""A campaign file and a store made through the command line by the release of schema 2 stay usable.

Made by: seiko init, attach (two molecules), ask (three), tell (one value, one failure).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("rdkit")

from seiko.cli.main import main
from seiko.config import load

GOLDEN = Path(__file__).parents[1] / "golden" / "campaign-file"


def called(*args: str):
    result = CliRunner().invoke(main, [*args, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def folder(tmp_path) -> str:
    return str(shutil.copytree(GOLDEN, tmp_path / "g"))


def test_the_file_is_read():
    config = load(GOLDEN / "campaign.toml")
    assert (config.chain, config.method, config.budget) == ("qm9-graph", "random", 6.0)


def test_the_campaign_goes_on(folder):
    before = called("status", folder)
    assert (before["num_complete"], before["num_failed"], before["num_pending"]) == (3, 1, 1)
    called("tell", folder, "4=1.5")
    called("retry", folder)
    asked = called("ask", folder)
    assert len(asked["trials"]) == 3 and called("status", folder)["queries_left"] == 0


def test_the_doctor_finds_it_sound(folder):
    assert called("doctor", folder)["sound"]
