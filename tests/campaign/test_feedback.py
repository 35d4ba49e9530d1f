"""Rewards as feedback, and the loop that spends a budget."""

from __future__ import annotations

import campaign_world as world
import numpy as np
import pytest
import torch

from seiko.campaign import CallableFeedback, run
from seiko.errors import ObservationError, ParameterError
from seiko.records import Observation, TrialState

WORDS = ["abcd", "dcba"]


def test_numbers_none_and_observations():
    answers = {
        "a": 1,
        "b": np.float32(0.5),
        "c": torch.tensor(2.0),
        "d": None,
        "e": float("nan"),
        "f": -np.inf,
    }
    answers["g"] = Observation.infeasible("no")
    found = CallableFeedback(answers.__getitem__, noise_std=0.1).evaluate(list(answers))
    assert [o.value for o in found] == [1.0, 0.5, 2.0, None, None, None, None]
    assert [str(o.state) for o in found] == ["complete"] * 3 + ["failed"] * 3 + ["infeasible"]
    assert [o.noise_std for o in found] == [0.1] * 3 + [None] * 4
    assert found[4].note == "the reward gave nan"


def test_raising_fails_that_design_alone():
    def reward(word):
        if word == "abcd":
            raise RuntimeError("no pose found")
        return 1.0

    first, second = CallableFeedback(reward).evaluate(WORDS)
    assert (first.state, first.note) == (TrialState.FAILED, "RuntimeError: no pose found")
    assert second.value == 1.0


@pytest.mark.parametrize("answers", [[1, 2], (1.0, 2.0), np.array([1.0, 2.0]), torch.tensor([1.0, 2.0])])
def test_batched(answers):
    found = CallableFeedback(lambda designs: answers, batched=True).evaluate(WORDS)
    assert [o.value for o in found] == [1.0, 2.0]


def test_batched_raising_fails_all():
    def reward(words):
        raise ValueError("server is down")

    found = CallableFeedback(reward, batched=True).evaluate(WORDS)
    assert [o.note for o in found] == ["ValueError: server is down"] * 2


def docking(words):
    return "0.4"


def test_a_string_is_refused_and_the_function_named():
    with pytest.raises(
        ObservationError, match=r"reward docking must give a number a design; for 'abcd' it gave '0.4'"
    ):
        CallableFeedback(docking).evaluate(WORDS)
    with pytest.raises(
        ObservationError, match=r"reward docking must give 2 values for 2 designs; it gave '0.4'"
    ):
        CallableFeedback(docking, batched=True).evaluate(WORDS)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ([1.0], "gave 1 values for 2 designs"),
        ([1.0, 2.0, 3.0], "gave 3 values for 2 designs"),
        (1.0, "must give 2 values for 2 designs; it gave 1.0"),
        (None, "must give 2 values for 2 designs; it gave None"),
        ({"abcd": 1.0, "dcba": 2.0}, "must give 2 values for 2 designs"),
        (torch.tensor(1.0), "must give 2 values for 2 designs"),
        (np.zeros((2, 1)), "must give a number a design"),
        ([True, 1.0], "for 'abcd' it gave True"),
    ],
)
def test_batched_answers_that_are_no_rewards(answer, text):
    with pytest.raises(ObservationError, match=text):
        CallableFeedback(lambda designs: answer, batched=True).evaluate(WORDS)


def test_made_wrongly():
    with pytest.raises(ParameterError, match="`function` must be callable; got 3"):
        CallableFeedback(3)
    with pytest.raises(ParameterError, match="`noise_std` must be a finite number >= 0; got -1"):
        CallableFeedback(docking, noise_std=-1)


def test_run_spends_the_budget_and_finishes(tmp_path):
    campaign, seen = world.create(tmp_path, budget=8), []
    report = run(campaign, CallableFeedback(world.reward), progress=lambda s: seen.append(s.queries_used))
    assert seen == [3, 6, 8]
    assert all(t.value == world.reward(t.design) for t in campaign.trials)
    assert report == campaign.finish()


def test_run_goes_on_where_it_was_cut_off(tmp_path):
    campaign = world.create(tmp_path / "a")

    class Cut:
        def evaluate(self, designs):
            if len(campaign.rounds) == 2:
                raise KeyboardInterrupt
            return CallableFeedback(world.reward).evaluate(designs)

    with pytest.raises(KeyboardInterrupt):
        run(campaign, Cut())
    run(world.reopen(tmp_path / "a"), CallableFeedback(world.reward))
    straight = world.create(tmp_path / "b")
    run(straight, CallableFeedback(world.reward))
    assert campaign.trials == straight.trials


def test_a_hopeless_reward_stops_after_one_round(tmp_path):
    campaign = world.create(tmp_path)

    def reward(word):
        raise OSError("no licence")

    with pytest.raises(
        ObservationError, match="All 3 readings of round 0 failed; the first: OSError: no licence"
    ):
        run(campaign, CallableFeedback(reward))
    assert (campaign.status().num_failed, campaign.queries_left) == (3, 9)
    run(campaign, CallableFeedback(world.reward))
    assert campaign.status().num_complete == 9


def test_a_reward_that_dies_later_stops_only_after_a_large_failed_round(tmp_path):
    calls = []

    def reward(word):
        calls.append(word)
        return 1.0 if len(calls) <= 6 else None

    with pytest.raises(ObservationError, match="All 6 readings of round 1 failed"):
        run(world.create(tmp_path / "a", num_queries=6, budget=18), CallableFeedback(reward))
    calls.clear()
    campaign = world.create(tmp_path / "b", num_queries=3)
    run(campaign, CallableFeedback(reward))
    assert campaign.status().num_failed == 6


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ([], "gave 0 observations for 3 designs"),
        ([1.0, 2.0, 3.0], "for trial 0 it gave 1.0.*CallableFeedback"),
    ],
)
def test_feedback_that_gives_no_observations(tmp_path, answer, text):
    class Wrong:
        def evaluate(self, designs):
            return answer

    campaign = world.create(tmp_path)
    with pytest.raises(ObservationError, match=text):
        run(campaign, Wrong())
    assert campaign.status().num_pending == 3
