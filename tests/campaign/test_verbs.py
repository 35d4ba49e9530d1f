"""Attach, retry, abandon, amend, fork, start, replicates and budgets, in a folder and in a database."""

from __future__ import annotations

import math
import time

import campaign_world as world
import numpy as np
import pytest

from seiko.campaign import Journal
from seiko.campaign.ledger import standard_error
from seiko.errors import (
    BudgetExhausted,
    CampaignError,
    ObservationError,
    ParameterError,
    TrialError,
)
from seiko.proposers.base import Proposal
from seiko.records import Budget, Observation, TrialState

FAILED = Observation.failed("broke")


def states(campaign):
    return [str(t.state) for t in campaign.trials]


def test_a_whole_life_in_every_place(place):
    where = place()
    campaign = world.create(where, budget=12, config={"method": "drawer", "size": 3})
    old = campaign.attach(["abcd", "bcda"], [0.5, Observation.infeasible("no fold")])
    assert [(t.id, t.round, t.value) for t in old] == [(0, -1, 0.5), (1, -1, None)]
    trials = campaign.ask()
    assert [t.id for t in trials] == [2, 3, 4] and {t.round for t in trials} == {0}
    campaign.tell({2: 1.0, 3: FAILED})
    campaign.retry()
    campaign.amend({2: 2.0}, reason="typing error")
    campaign.abandon([4], reason="bottle empty")
    again = world.reopen(where)
    assert states(again) == ["complete", "infeasible", "complete", "pending", "abandoned"]
    assert again.trials == campaign.trials and again.queries_left == 9
    assert again.best(1)[0].value == 2.0
    assert len(again.ask()) == 3 and again.journal.check() == []
    assert Journal.open(where).config == {"method": "drawer", "size": 3}


def test_in_both_places_the_same_designs_are_asked(postgres, tmp_path):
    asked = []
    for where in (tmp_path / "c", f"{postgres}#same-{tmp_path.name[:30]}"):
        campaign = world.create(where, seed=5)
        campaign.tell(world.scores(campaign.ask()))
        campaign.ask()
        asked.append((campaign.trials, campaign.artifacts, campaign.rounds))
    assert asked[0] == asked[1]


def test_attached_designs_cost_nothing_and_are_never_asked(tmp_path):
    campaign = world.create(tmp_path, proposer=world.words("abcd"), num_queries=1)
    campaign.attach(["abcd"])
    assert (campaign.queries_left, states(campaign)) == (12, ["pending"])
    with pytest.raises(CampaignError, match="'abcd', was asked before"):
        campaign.ask()
    campaign.attach(["dcba"], [1.0], charge=True)
    assert campaign.queries_left == 11


def test_attached_again_changes_nothing(tmp_path):
    campaign = world.create(tmp_path)
    first = campaign.attach(["abcd", "bbbb"], [0.5, FAILED])
    before = len(list(campaign.journal.events()))
    assert campaign.attach(["abcd", "bbbb"], [0.5, FAILED]) == first
    assert len(list(campaign.journal.events())) == before
    with pytest.raises(TrialError, match=r"Trial 0 was already told 0.5 and cannot become 0.7") as caught:
        campaign.attach(["cccc", "abcd"], [1.0, 0.7])
    assert caught.value.index == 1 and len(campaign.trials) == 2


def test_an_awaited_design_that_is_attached_is_told(tmp_path):
    campaign = world.create(tmp_path)
    trial = campaign.ask()[1]
    assert campaign.attach([trial.design], [0.25])[0].id == trial.id
    assert campaign.trials[1].value == 0.25 and len(campaign.trials) == 3


@pytest.mark.parametrize(
    ("designs", "readings", "error", "text", "index"),
    [
        (["abcd", "xyz"], [1.0, 2.0], ParameterError, "Design 1, 'xyz', is not valid: it must be 4", 1),
        (["abcd"], [1.0, 2.0], ParameterError, "one entry for each of the 1 designs; got 2", None),
        (["abcd"], {"abcd": 1.0}, ParameterError, "got a mapping or text", None),
        (["abcd"], ["0.4"], ObservationError, "design 0 must be a number", 0),
        (["aaaa", "abcd", "abcd"], [0.0, 1.0, 2.0], ObservationError, "Design 2, 'abcd', comes twice", 2),
        (["abcd"], [math.inf], ObservationError, "must be finite", 0),
    ],
)
def test_what_may_not_be_attached(tmp_path, designs, readings, error, text, index):
    campaign = world.create(tmp_path)
    with pytest.raises(error, match=text) as caught:
        campaign.attach(designs, readings)
    assert getattr(caught.value, "index", None) == index
    assert campaign.trials == ()


def test_a_rehearsal_writes_nothing(tmp_path):
    campaign = world.create(tmp_path)
    campaign.ask()
    before = list(campaign.journal.events())
    assert campaign.journal.tell({0: 1.0}, abandon={2: "lost"}, dry_run=True) == [0, 2]
    assert campaign.attach(["abcd"], [1.0], dry_run=True)[0].value == 1.0
    assert list(campaign.journal.events()) == before
    assert campaign.journal.tell({0: 1.0}, abandon={2: "lost"}) == [0, 2]
    assert states(campaign) == ["complete", "pending", "abandoned"]


def test_a_design_attached_while_asking_is_not_asked(tmp_path):
    def answer(history, number):
        world.reopen(tmp_path).attach(["abcd"], [1.0])
        return Proposal(["abcd", "dcba"], predictions=[(1.0, 0.1), (2.0, 0.2)])

    campaign = world.create(tmp_path, proposer=world.Answering(answer), num_queries=2)
    trials = campaign.ask()
    assert [(t.id, t.design, t.predicted_mean) for t in trials] == [(1, "dcba", 2.0)]
    assert campaign.queries_left == 11


def test_replicates_are_averaged_and_kept(place):
    campaign = world.create(place())
    campaign.ask()
    campaign.tell({0: 1.0, 1: Observation.replicates([1.0, 2.0, 6.0])})
    campaign.tell({0: Observation(2.0, replicate=1), 1: Observation(3.0, replicate="well B7")})
    campaign.tell({0: Observation(2.0, replicate=1), 1: Observation(3.0, replicate="well B7")})
    values = [1.0, 2.0, 6.0, 3.0]
    first, second, _ = campaign.trials
    assert (first.value, first.num_readings) == (1.5, 2)
    assert second.value == np.mean(values) and second.num_readings == 4
    assert second.noise_std == pytest.approx(np.std(values, ddof=1) / 2)
    kept = [(r["replicate"], r["value"]) for r in campaign.journal.readings([1])]
    assert kept == [("0", 1.0), ("1", 2.0), ("2", 6.0), ("well B7", 3.0)]
    with pytest.raises(TrialError, match=r"already told 3\.0 and cannot become 4\.0"):
        campaign.tell({1: Observation(4.0, replicate="well B7")})
    campaign.amend({1: Observation(4.0, replicate="well B7")}, reason="misread")
    assert campaign.trials[1].value == 3.25
    with pytest.raises(TrialError, match="no replicate '9' to amend; it has '0', '1', '2', 'well B7'"):
        campaign.amend({1: Observation(4.0, replicate=9)}, reason="misread")


def test_known_noise_gives_the_error_of_the_mean():
    assert standard_error([1.0, 2.0], [0.3, 0.4]) == pytest.approx(0.25)
    assert standard_error([1.0], [0.3]) == 0.3
    assert standard_error([1.0], [None]) is None
    assert standard_error([2.0, 2.0], [None, None]) is None
    assert standard_error([1.0, 3.0], [0.1, None]) == pytest.approx(1.0)
    assert standard_error([1.7e308, -1.7e308], [None, None]) is None


def test_replicates_that_disagree_about_feasibility(tmp_path):
    campaign = world.create(tmp_path)
    campaign.ask()
    bad = Observation.infeasible
    campaign.tell(
        {
            0: [Observation(1.0, replicate=0), Observation(state=bad().state, replicate=1)],
            1: [Observation(state=bad().state, replicate=i) for i in range(2)]
            + [Observation(1.0, replicate=2)],
            2: [Observation(state=TrialState.FAILED, replicate=0), Observation(1.0, replicate=1)],
        }
    )
    assert states(campaign) == ["complete", "infeasible", "complete"]


@pytest.mark.parametrize("bad", [-1, "", "x" * 65, "a\nb", 1.5, True])
def test_what_a_replicate_may_be_called(bad):
    with pytest.raises(ObservationError, match="`replicate` must be"):
        Observation(1.0, replicate=bad)


def test_a_failed_trial_is_retried_as_often_as_allowed(place):
    campaign = world.create(place(), max_retries=1)
    campaign.ask()
    campaign.tell({0: FAILED, 1: 1.0})
    assert campaign.retry([0]) == [0] and campaign.retry([0]) == [] and campaign.queries_left == 9
    campaign.tell({0: FAILED})
    with pytest.raises(TrialError, match="Trial 0 was tried 2 times, and this campaign allows 1 retries"):
        campaign.retry([0])
    assert campaign.retry() == []
    with pytest.raises(TrialError, match="Trial 0 was tried") as caught:
        campaign.retry([0, 1])
    assert caught.value.trial_id == 0
    campaign.amend({0: 0.5}, reason="found the plate")
    assert campaign.trials[0].value == 0.5


def test_an_abandoned_trial_is_never_asked_again_but_can_be_brought_back(tmp_path):
    campaign = world.create(tmp_path)
    asked = campaign.ask()
    assert campaign.abandon([0, 1], reason="toxic") == [0, 1]
    assert campaign.abandon([0], reason="toxic") == []
    with pytest.raises(TrialError, match=r"was abandoned \(toxic\)"):
        campaign.tell({0: 1.0})
    campaign.tell({2: 1.0})
    with pytest.raises(TrialError, match="Trial 2 is complete; only one without a reading"):
        campaign.abandon([2], reason="toxic")
    with pytest.raises(ParameterError, match="must say why"):
        campaign.abandon([2], reason=" ")
    assert asked[0].key in campaign.history.keys
    campaign.amend({0: 1.0}, reason="not so toxic")
    assert states(campaign) == ["complete", "abandoned", "complete"]


def test_an_amended_reading_keeps_what_was_there(tmp_path):
    campaign = world.create(tmp_path)
    campaign.ask()
    campaign.tell({0: 0.5, 1: FAILED})
    assert campaign.amend({0: 0.7, 1: Observation.infeasible("no fold")}, reason="wrong plate") == [0, 1]
    assert campaign.amend({0: 0.7}, reason="again") == []
    assert states(campaign) == ["complete", "infeasible", "pending"]
    events = [(e.kind, e.payload["value"]) for e in campaign.journal.events() if e.payload.get("id") == 0]
    assert events == [("told", 0.5), ("amended", 0.7)]
    with pytest.raises(TrialError, match="Trial 2 is pending and has no reading to amend"):
        campaign.amend({2: 1.0}, reason="x")
    with pytest.raises(ParameterError, match="must say why"):
        campaign.amend({0: 1.0}, reason="")


def test_a_running_trial_goes_stale_and_its_late_reading_is_taken(place):
    campaign = world.create(place(), timeout=1000)
    campaign.ask()
    assert campaign.start([0, 1], timeout=0.01, by="robot 1") == [0, 1]
    time.sleep(0.02)
    assert states(campaign) == ["stale", "stale", "pending"]
    assert [str(t.state) for t in campaign.history.open] == ["running", "running", "pending"]
    status = campaign.status()
    assert (status.num_pending, status.num_stale, status.num_running) == (3, 2, 0)
    assert "2 of them are stale" in status.next_action
    campaign.tell({0: 1.0})
    assert campaign.start([1], by="robot 2") == [1] and campaign.start([1], by="robot 3") == []
    assert states(campaign) == ["complete", "running", "pending"]
    with pytest.raises(TrialError, match="Trial 0 is complete; only an awaited one"):
        campaign.start([0])


def test_a_stale_trial_is_retried(tmp_path):
    campaign = world.create(tmp_path, timeout=0.01)
    campaign.ask()
    time.sleep(0.02)
    assert set(states(campaign)) == {"stale"} and campaign.retry() == [0, 1, 2]
    assert campaign.queries_left == 9


def test_a_budget_in_cost(place):
    budget = Budget(10.0, unit="EUR", cost=2.5, refund=("failed",))
    campaign = world.create(place(), budget=budget, num_queries=2)
    assert campaign.queries_left == 4
    campaign.ask()
    campaign.tell({0: Observation(1.0, cost=0.75)})
    assert campaign.budget_left == 10 - 2.5 - 0.75
    with pytest.raises(ObservationError, match=r"cost 2.75; 2.5 was reserved"):
        campaign.tell({1: Observation(1.0, cost=2.75)})
    campaign.tell({1: FAILED})
    assert campaign.budget_left == 9.25 and campaign.queries_left == 3
    assert len(campaign.ask(9)) == 3 and campaign.budget_left == 1.75
    with pytest.raises(BudgetExhausted, match=r"A retry of trial 1 costs 2.5 EUR, and 1.75 are left"):
        campaign.retry([1])
    with pytest.raises(BudgetExhausted):
        campaign.ask()
    assert campaign.status().unit == "EUR" and campaign.journal.check() == []


def test_tenths_add_up_to_the_whole_budget(tmp_path):
    campaign = world.create(tmp_path, budget=Budget(1.0, unit="h", cost=0.1), num_queries=1)
    for _ in range(10):
        campaign.ask()
    assert campaign.budget_left == 0
    with pytest.raises(BudgetExhausted):
        campaign.ask()


def test_retries_are_charged_where_the_budget_says_so(tmp_path):
    campaign = world.create(tmp_path, budget=Budget(4, charge_retries=True), num_queries=3)
    campaign.ask()
    campaign.tell({0: FAILED, 1: FAILED})
    assert campaign.retry([0]) == [0] and campaign.queries_left == 0
    with pytest.raises(BudgetExhausted):
        campaign.retry([1])
    campaign.tell({0: 1.0})
    assert campaign.status().budget_used == 4


@pytest.mark.parametrize(
    "bad",
    [
        {"total": 0},
        {"total": math.nan},
        {"total": 1, "cost": 2},
        {"total": 5, "refund": ("complete",)},
        {"total": 5, "refund": "failed"},
        {"total": 5, "cost": 1e-9},
    ],
)
def test_budgets_that_cannot_be(bad):
    with pytest.raises(ParameterError):
        Budget(**bad)


def test_asked_to_replicate_a_known_design_may_come_again(tmp_path):
    campaign = world.create(tmp_path, proposer=world.words("abcd"), num_queries=1)
    campaign.ask()
    with pytest.raises(CampaignError, match="asked before"):
        campaign.ask()
    again = campaign.ask(replicate=True)
    assert [(t.id, t.key) for t in again] == [(1, "abcd")]


def test_a_fork_goes_on_with_another_method(place):
    where = place()
    campaign = world.create(where, budget=9, seed=1, config={"method": "a"})
    campaign.tell(world.scores(campaign.ask()))
    campaign.ask()
    other = campaign.fork(place(), proposer=world.Drawer(), budget=20, seed=2, config={"method": "b"})
    assert other.trials == campaign.trials and other.rounds == campaign.rounds
    assert (other.queries_left, campaign.queries_left) == (14, 3)
    assert (other.artifacts, other.journal.config) == ({}, {"method": "b"})
    other.tell({3: 1.0})
    mine, theirs = campaign.ask(), other.ask()
    assert [t.design for t in mine] != [t.design for t in theirs]
    assert campaign.trials[3].value is None and other.journal.check() == []
    kept = campaign.fork(place(), proposer=world.Drawer(), keep_artifacts=True)
    assert kept.artifacts == campaign.artifacts
    with pytest.raises(ParameterError, match="less than the 9 spent"):
        campaign.fork(place(), proposer=world.Drawer(), budget=3)


def test_one_who_waits_asks_after_the_other(place):
    import threading

    where = place()
    campaign, started = world.create(where), threading.Event()

    def slow(history, number):
        started.set()
        time.sleep(0.3)
        return world.Drawer().propose(history, number, resume={}, generator=__import__("torch").Generator())

    first = threading.Thread(target=world.reopen(where, proposer=world.Answering(slow)).ask)
    first.start()
    assert started.wait(30)
    with pytest.raises(CampaignError, match=r"being asked by another run .*wait=seconds"):
        campaign.ask()
    assert {t.round for t in campaign.ask(wait=60)} == {1}
    first.join()
    assert campaign.queries_left == 6


def test_rows_for_export(tmp_path):
    campaign = world.create(tmp_path)
    campaign.attach(["abcd"], [Observation(0.5, 0.1, note="plate 1")])
    campaign.ask(1)
    first, second = campaign.export()
    assert (first["trial_id"], first["source"], first["design"]) == (0, "attached", "abcd")
    assert (first["state"], first["value"], first["noise_std"]) == ("complete", 0.5, 0.1)
    assert (first["note"], first["charged"]) == ("plate 1", 0)
    assert (second["source"], second["state"], second["charged"]) == ("asked", "pending", 1)
    assert campaign.journal.drawing(0) == "<b>abcd</b>"
    assert [r["trial_id"] for r in campaign.journal.rows(states=["pending"])] == [1]


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("mysql://host/db#x", "cannot be at a 'mysql' URL"),
        ("postgresql://host/db", "needs a name"),
        ("postgresql://host/db#a b", "needs a name of at most 48 letters"),
        ("postgresql://host/db#../x", "needs a name"),
    ],
)
def test_locations_that_are_none(location, text):
    with pytest.raises(ParameterError, match=text):
        Journal.open(location)


def test_a_server_that_is_not_there_is_an_error_of_ours():
    pytest.importorskip("psycopg")
    with pytest.raises(CampaignError, match=r"cannot be reached|could not be read"):
        Journal.open("postgresql://nobody:secret@127.0.0.1:1/none#x")


def test_no_such_campaign_in_the_database(postgres):
    with pytest.raises(CampaignError, match=r"no campaign 'nowhere' in that database") as caught:
        Journal.open(f"{postgres}#nowhere")
    assert not Journal.exists(f"{postgres}#nowhere")
    assert "secret" not in str(caught.value)


def test_what_is_told_while_proposing_is_not_seen(place):
    """A reading, a correction and a further replicate come before the proposer looks at the history."""
    where, seen = place(), []

    def answer(history, number):
        other = world.reopen(where)
        other.amend({0: 9.0}, reason="typing error")
        other.tell({1: Observation(9.0, replicate=1), 3: 9.0})
        other.abandon([4], reason="lost")
        other.attach(["fefe"], [9.0])
        seen.append([(t.value, str(t.state)) for t in history.trials])
        seen.append([t.value for t in history.complete])
        return Proposal(["abcd"])

    campaign = world.create(where, num_queries=5)
    campaign.ask()
    campaign.tell({0: 1.0, 1: 2.0, 2: FAILED})
    world.reopen(where, proposer=world.Answering(answer)).ask(1)
    told = [(1.0, "complete"), (2.0, "complete")]
    assert seen == [[*told, (None, "failed"), (None, "pending"), (None, "pending")], [1.0, 2.0]]
    assert [t.value for t in campaign.trials] == [9.0, 5.5, None, 9.0, None, 9.0, None]
