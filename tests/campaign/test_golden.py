"""Campaigns made by earlier releases are opened and continued."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import campaign_world as world
import pytest

from seiko.campaign import Journal, read_status
from seiko.errors import CampaignError

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def first(tmp_path):
    return shutil.copytree(GOLDEN / "campaign-v1", tmp_path / "v1")


@pytest.fixture
def second(tmp_path):
    return shutil.copytree(GOLDEN / "campaign-v2", tmp_path / "v2")


def test_a_campaign_of_the_first_version(first):
    journal = Journal.open(first)
    trials = journal.trials()
    assert [(t.design, str(t.state), t.value) for t in trials] == [
        (b"edff", "complete", 0.5),
        (b"aaca", "complete", 1.25),
        (b"bdbc", "failed", None),
        (b"bded", "infeasible", None),
        (b"defe", "complete", -0.75),
        (b"fbcb", "complete", 2.0),
        (b"fada", "pending", None),
        (b"ecac", "pending", None),
    ]
    assert (trials[0].noise_std, trials[0].note, trials[3].note) == (0.1, "plate 1", "did not fold")
    assert trials[4].predicted_mean == 1.75 and [t.round for t in trials] == [0] * 4 + [1] * 4
    status = journal.status()
    assert (status.name, status.queries_left, status.num_rounds) == ("golden one", 4, 2)
    assert journal.final_report == {"reward/total": 3.0, "round/open": 2}
    assert journal.check() == []


def test_it_goes_on_as_it_would_have(first, tmp_path):
    """The round that the first version would have asked is the one of a campaign with the same past."""
    campaign = world.reopen(first)
    campaign.retry()
    campaign.tell({2: 1.0, 6: 0.5, 7: 0.5})
    assert [t.id for t in campaign.ask()] == [8, 9, 10, 11]
    twin = world.create(tmp_path / "twin", budget=12, num_queries=4, seed=7)
    asked = [t.design for _ in range(3) for t in twin.ask()]
    assert [t.design for t in campaign.trials] == asked


def test_a_campaign_of_the_first_version_with_a_changed_event(first):
    with sqlite3.connect(first / "campaign.sqlite") as connection:
        connection.execute("update events set payload = replace(payload, '1.25', '1.75')")
    connection.close()
    with pytest.raises(CampaignError, match=r"event 4 \(told\) does not have the checksum"):
        Journal.open(first)


def test_a_campaign_of_the_second_version(second):
    journal = Journal.open(second)
    rows = list(journal.rows())
    assert [(r["design"], r["state"], r["value"], r["source"]) for r in rows[:5]] == [
        ("abcd", "complete", 0.5, "attached"),
        ("dcba", "infeasible", None, "attached"),
        (rows[2]["design"], "complete", 1.5, "asked"),
        (rows[3]["design"], "pending", None, "asked"),
        (rows[4]["design"], "complete", 4.0, "asked"),
    ]
    assert [r["state"] for r in rows[5:]] == ["stale", "abandoned", "pending"]
    assert [r["attempts"] for r in rows] == [1, 1, 1, 2, 1, 1, 1, 1]
    assert [r["charged"] for r in rows[:5]] == [0, 0, 2, 2, 2]
    assert (rows[2]["num_readings"], rows[5]["worker"]) == (2, "robot 1")
    assert {e.kind for e in journal.events()} == {
        *("created", "forked", "asked", "attached", "told", "amended"),
        *("started", "retried", "abandoned", "learned"),
    }
    assert (journal.name, journal.config) == ("golden two", {"method": "b"})
    assert journal.check() == [] and read_status(second).budget_left == 8
    assert len(world.reopen(second).ask()) == 3


def test_golden_campaigns_are_opened_without_torch(first, second):
    code = (
        "import sys; from seiko.campaign import Journal\n"
        "for path in sys.argv[1:]: list(Journal.open(path).rows()), Journal.open(path).status()\n"
        "assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(first), str(second)], check=True)
