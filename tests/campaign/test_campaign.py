"""Asking, telling, finishing and opening again."""

from __future__ import annotations

import campaign_world as world
import numpy as np
import pytest
import torch

from seiko.campaign import FailedReadingWarning
from seiko.campaign.store import Store
from seiko.errors import BudgetExhausted
from seiko.proposers.base import Proposal
from seiko.records import Observation, TrialState


def test_a_whole_campaign(tmp_path):
    campaign = world.create(tmp_path / "c", budget=8, num_queries=3)
    sizes = []
    while campaign.queries_left:
        trials = campaign.ask()
        sizes.append(len(trials))
        campaign.tell(world.scores(trials))
    assert sizes == [3, 3, 2]
    assert [t.round for t in campaign.trials] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert [t.id for t in campaign.trials] == list(range(8))
    assert all(t.value == world.reward(t.design) for t in campaign.trials)
    assert len({t.key for t in campaign.trials}) == 8
    top = max(campaign.trials, key=lambda t: t.value)
    assert campaign.best(2)[0] == top
    with pytest.raises(BudgetExhausted, match="All 8 queries"):
        campaign.ask()


def test_reopened_it_is_the_same(tmp_path):
    campaign = world.create(tmp_path)
    campaign.tell(world.scores(campaign.ask()))
    campaign.ask(2)
    again = world.reopen(tmp_path)
    assert again.trials == campaign.trials
    assert again.rounds == campaign.rounds == ({"reward/total": 0, "round/open": 0}, again.rounds[1])
    assert again.artifacts == campaign.artifacts
    assert again.status() == campaign.status()
    assert again.queries_left == 7
    assert again.trials[3].predicted_mean is not None


def test_opened_for_each_step_it_asks_the_same(tmp_path):
    straight = world.create(tmp_path / "a", seed=3)
    for _ in range(3):
        straight.tell(world.scores(straight.ask()))
    world.create(tmp_path / "b", seed=3)
    for _ in range(3):
        trials = world.reopen(tmp_path / "b").ask()
        world.reopen(tmp_path / "b").tell(world.scores(trials))
    assert world.reopen(tmp_path / "b").trials == straight.trials
    assert world.reopen(tmp_path / "b").artifacts == straight.artifacts


def test_another_seed_asks_others(tmp_path):
    first = world.create(tmp_path / "a", seed=0).ask()
    assert [t.design for t in first] != [t.design for t in world.create(tmp_path / "b", seed=1).ask()]


def test_global_randomness_neither_matters_nor_changes(tmp_path):
    torch.manual_seed(1)
    first = world.create(tmp_path / "a").ask()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert [t.design for t in world.create(tmp_path / "b").ask()] == [t.design for t in first]
    assert torch.equal(torch.get_rng_state(), before)


def test_asked_again_with_pending_it_is_a_new_round(tmp_path):
    campaign = world.create(tmp_path)
    first, second = campaign.ask(), campaign.ask()
    assert {t.round for t in second} == {1}
    assert not {t.key for t in first} & {t.key for t in second}
    assert campaign.rounds[1]["round/open"] == 3
    assert campaign.queries_left == 6


def test_another_object_sees_what_was_told(tmp_path):
    campaign = world.create(tmp_path)
    other = world.reopen(tmp_path)
    trials = campaign.ask()
    other.tell(world.scores(trials))
    assert all(t.state is TrialState.COMPLETE for t in campaign.trials)
    campaign.tell(world.scores(trials))


def test_told_while_asking_is_for_the_next_ask(tmp_path):
    seen = []

    def answer(history, number):
        if history.trials:
            world.reopen(tmp_path).tell({0: 0.5})
        seen.append(len(history.complete))
        return Proposal(["abcd"] if not history.trials else ["fedc"])

    campaign = world.create(tmp_path, proposer=world.Answering(answer), num_queries=1)
    campaign.ask()
    campaign.ask()
    assert seen == [0, 0]
    assert campaign.trials[0].value == 0.5
    kinds = [e.kind for e in Store.open(tmp_path).events()]
    assert kinds == ["created", "asked", "told", "asked"]


@pytest.mark.parametrize(
    "value",
    [
        0.25,
        np.float32(0.25),
        np.float64(0.25),
        np.array(0.25),
        torch.tensor(0.25),
        torch.tensor(0.25).double(),
    ],
    ids=lambda v: type(v).__name__,
)
def test_numbers_of_all_makes(tmp_path, value):
    campaign = world.create(tmp_path)
    campaign.ask()
    campaign.tell({0: value})
    campaign.tell({np.int64(0): 0.25})
    assert type(campaign.trials[0].value) is float
    assert campaign.trials[0].value == 0.25


def test_observations_keep_noise_and_note(tmp_path):
    campaign = world.create(tmp_path)
    campaign.ask()
    campaign.tell(
        {
            0: Observation(np.float32(0.5), noise_std=np.float32(0.25), note="plate 1"),
            1: Observation.failed("broke"),
            2: Observation.infeasible("did not fold"),
        }
    )
    first, second, third = world.reopen(tmp_path).trials
    assert (first.value, first.noise_std, first.note) == (0.5, 0.25, "plate 1")
    assert (second.state, second.value, second.note) == (TrialState.FAILED, None, "broke")
    assert (third.state, third.note) == (TrialState.INFEASIBLE, "did not fold")
    assert [t.id for t in campaign.best(5)] == [0]


@pytest.mark.parametrize("nothing", [None, float("nan"), np.float32("nan"), torch.tensor(float("nan"))])
def test_nothing_is_failed_with_a_warning_and_never_zero(tmp_path, nothing):
    campaign = world.create(tmp_path)
    campaign.ask()
    with pytest.warns(FailedReadingWarning, match=r"Trials \[1\] were told without a value"):
        campaign.tell({0: 1.0, 1: nothing})
    assert campaign.trials[1].state is TrialState.FAILED
    assert campaign.trials[1].value is None
    campaign.tell({1: nothing})
    assert len(campaign.history.complete) == 1


def test_telling_again_writes_nothing(tmp_path):
    campaign = world.create(tmp_path)
    scores = world.scores(campaign.ask())
    campaign.tell(scores)
    before = len(Store.open(tmp_path).events())
    campaign.tell(scores)
    campaign.tell({})
    assert len(Store.open(tmp_path).events()) == before


def test_finish_learns_once(tmp_path):
    campaign = world.create(tmp_path, budget=3)
    campaign.tell(world.scores(campaign.ask()))
    calls = b'"calls": 1'
    assert calls in campaign.artifacts["state.json"]
    report = campaign.finish()
    assert report["reward/total"] == pytest.approx(sum(t.value for t in campaign.trials))
    assert campaign.finish() == world.reopen(tmp_path).finish() == report
    assert b'"calls": 2' in campaign.artifacts["state.json"]
    assert len(campaign.rounds) == 1


def test_finish_in_the_middle_then_go_on(tmp_path):
    campaign = world.create(tmp_path)
    campaign.tell(world.scores(campaign.ask()))
    first = campaign.finish()
    trials = campaign.ask()
    assert b'"calls": 3' in campaign.artifacts["state.json"]
    campaign.tell(world.scores(trials))
    assert campaign.finish() != first


def test_status_says_what_to_do(tmp_path):
    campaign = world.create(tmp_path, budget=3, name="first")
    assert campaign.status().next_action == "Ask for the next designs; 3 queries are left."
    assert str(campaign.status()).endswith("0 rounds; no reading yet")
    trials = campaign.ask()
    assert campaign.status().next_action == "Tell the readings of 3 pending trials: 0, 1, 2."
    campaign.tell({0: 1.0, 1: Observation.failed("x"), 2: Observation.infeasible("y")})
    status = campaign.status()
    assert (status.num_complete, status.num_failed, status.num_infeasible, status.num_pending) == (1, 1, 1, 0)
    assert (status.best_id, status.best_value, status.best_key) == (0, 1.0, trials[0].design)
    assert (status.name, status.domain, status.queries_used, status.queries_left) == ("first", "words", 3, 0)
    assert status.next_action.startswith("Call finish()")
    campaign.finish()
    assert campaign.status().next_action.startswith("Nothing")
    assert str(campaign.status()).startswith("3 of 3 queries in 1 rounds; best ")


def test_drawings_are_stored_with_the_trials(tmp_path):
    campaign = world.create(tmp_path)
    trials = campaign.ask()
    store = Store.open(tmp_path)
    drawing = store.events()[-1].payload["trials"][0]["rendering"]
    assert store.blobs([drawing])[drawing] == f"<b>{trials[0].design}</b>".encode()


def test_reports_may_hold_any_number(tmp_path):
    report = {
        "kl/nats": float("inf"),
        "loss": np.float32("nan"),
        "n": np.int64(3),
        "t": torch.tensor(1.5),
        "ok": np.True_,
        "curve": [1.0, -float("inf"), (2,)],
        "more": {"x": None, "y": "text"},
    }
    proposer = world.Answering(lambda history, number: Proposal(["abcd"], report=report))
    campaign = world.create(tmp_path, proposer=proposer, num_queries=1)
    campaign.ask()
    assert world.reopen(tmp_path).rounds[0] == {
        "kl/nats": "inf",
        "loss": "nan",
        "n": 3,
        "t": 1.5,
        "ok": True,
        "curve": [1.0, "-inf", [2]],
        "more": {"x": None, "y": "text"},
    }
