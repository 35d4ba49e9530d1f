"""The run loop: readings told as they come, retries, stops, Ctrl-C, kill -9, several runs at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import campaign_world as world
import pytest
import rewards

from seiko.campaign import run
from seiko.campaign.feedback import Backoff, CallableFeedback, ExecutableFeedback
from seiko.campaign.feedback.running import is_gone, worker_name
from seiko.errors import ObservationError, ParameterError
from seiko.records import Observation, TrialState

HERE = Path(__file__).parent


def child(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1] / "src"), str(HERE)])}
    return subprocess.Popen(
        [sys.executable, str(HERE / "running_child.py"), str(folder), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told_by(process, at_least):
    """Ids that the child said it told, once they are at least so many."""
    ids = []
    while len(ids) < at_least:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        if line.startswith("told"):
            ids += map(int, line.split()[1:])
    return ids


def complete(campaign):
    return {t.id for t in campaign.trials if t.state is TrialState.COMPLETE}


@pytest.mark.parametrize("workers", [(), (2,)], ids=["in this process", "in worker processes"])
def test_ctrl_c_tells_what_came_and_the_next_run_goes_on(tmp_path, workers):
    campaign = world.create(tmp_path, budget=12, num_queries=12)
    process = child(tmp_path, 0.4, *workers)
    ids = told_by(process, 2)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT or "KeyboardInterrupt" in err
    assert "done" not in out
    status = campaign.status()
    assert set(ids) <= complete(campaign)
    assert status.num_failed == 0
    assert 0 < status.num_pending < 12
    run(campaign, CallableFeedback(rewards.length))
    assert (campaign.status().num_complete, campaign.queries_left) == (12, 0)


def test_kill_loses_nothing_told_and_the_next_run_takes_over_at_once(tmp_path):
    campaign = world.create(tmp_path, budget=12, num_queries=12)
    process = child(tmp_path, 0.3)
    ids = told_by(process, 3)
    process.kill()
    process.communicate(timeout=60)
    assert set(ids) <= complete(campaign)
    seen = []

    def reward(word):
        seen.append(word)
        return float(len(word))

    before = complete(campaign)
    run(campaign, CallableFeedback(reward))
    assert len(seen) == 12 - len(before)
    assert campaign.status().num_complete == 12


def test_two_runs_at_once_measure_each_design_once(tmp_path):
    world.create(tmp_path / "c", budget=9, num_queries=9).ask()
    marks = tmp_path / "marks"
    marks.mkdir()
    reward = partial(rewards.leaves_a_mark, str(marks))
    process = child(tmp_path / "c", 0.2)
    told_by(process, 1)
    run(world.reopen(tmp_path / "c"), CallableFeedback(reward), wait=30)
    process.communicate(timeout=60)
    campaign = world.reopen(tmp_path / "c")
    assert campaign.status().num_complete == 9
    assert list(marks.iterdir()) == []


def test_readings_are_told_before_the_round_is_over(tmp_path):
    campaign, told, seen = world.create(tmp_path, budget=3), [], []

    def reward(word):
        time.sleep(0.25)
        seen.append(len(complete(campaign)))
        return 1.0

    run(campaign, CallableFeedback(reward), on_told=lambda batch: told.append(sorted(batch)))
    assert told == [[0], [1], [2]]
    assert seen == [0, 1, 2]


def test_interrupted_between_two_readings_everything_that_came_is_told(tmp_path):
    campaign, slow = world.create(tmp_path, budget=6, num_queries=6), threading.Event()
    words = []

    def reward(word):
        words.append(word)
        if len(words) > 3:
            slow.wait(20)
        return float(len(words))

    def stop(batch):
        time.sleep(0.2)  # meanwhile the others come
        raise KeyboardInterrupt

    from concurrent.futures import ThreadPoolExecutor

    feedback = CallableFeedback(reward, executor=partial(ThreadPoolExecutor, 6))
    with pytest.raises(KeyboardInterrupt):
        run(campaign, feedback, on_told=stop)
    slow.set()
    assert len(complete(campaign)) >= 1
    left = campaign.status().num_pending
    run(campaign, CallableFeedback(rewards.length))
    assert campaign.status().num_complete == 6
    assert left <= 5


def test_failed_trials_are_tried_again_after_longer_and_longer_pauses(tmp_path, monkeypatch):
    pauses, calls = [], {}
    monkeypatch.setattr("seiko.campaign.feedback.running.time.sleep", pauses.append)
    campaign = world.create(tmp_path, budget=3, max_retries=5)

    def reward(word):
        calls[word] = calls.get(word, 0) + 1
        if calls[word] <= list(calls).index(word):
            raise OSError("busy")
        return 1.0

    run(campaign, CallableFeedback(reward), retries=Backoff(4, first=1.0, factor=3.0))
    assert sorted(calls.values()) == [1, 2, 3]
    assert pauses == [1.0, 3.0]
    assert (campaign.status().num_complete, campaign.queries_left) == (3, 0)
    assert [row["attempts"] for row in campaign.journal.rows()] == [1, 2, 3]


def test_retries_are_bounded_by_the_campaign_too(tmp_path):
    campaign, calls = world.create(tmp_path, budget=6, num_queries=6, max_retries=1), []

    def reward(word):
        calls.append(word)

    with pytest.raises(ObservationError, match=r"of the last . readings failed|All 6 readings"):
        run(campaign, CallableFeedback(reward), retries=Backoff(9, first=0.0))
    assert len(calls) == 12
    assert campaign.status().num_failed == 6


def test_a_run_stops_when_more_than_half_fails(tmp_path):
    campaign, calls = world.create(tmp_path, budget=60, num_queries=30), []

    def reward(word):
        time.sleep(0.21)
        calls.append(word)
        return 1.0 if len(calls) <= 4 else None

    with pytest.raises(ObservationError, match=r"5 of the last 9 readings failed; the last: the reward gave"):
        run(campaign, CallableFeedback(reward))
    status = campaign.status()
    assert (status.num_complete, status.num_failed, status.num_pending) == (4, 5, 21)


def test_the_failure_rate_is_that_of_the_last_readings(tmp_path):
    campaign, calls = world.create(tmp_path, budget=60, num_queries=4), []

    def reward(word):
        calls.append(word)
        return 1.0 if len(calls) <= 40 else None

    with pytest.raises(ObservationError, match="12 of the last 20 readings failed"):
        run(campaign, CallableFeedback(reward))
    assert len(calls) == 52


def test_infeasible_designs_are_no_failures(tmp_path):
    campaign = world.create(tmp_path)
    run(campaign, CallableFeedback(lambda word: Observation.infeasible("no fold")))
    assert campaign.status().num_infeasible == 12


def test_an_executable_runs_a_whole_campaign(tmp_path):
    oracle = [sys.executable, "-S", str(HERE / "oracle.py"), "answer"]
    campaign = world.create(tmp_path, budget=6)
    with ExecutableFeedback(oracle, domain=world.domain(), persistent=True) as feedback:
        run(campaign, feedback)
    assert [t.value for t in campaign.trials] == [4.0] * 6


@pytest.mark.parametrize(
    ("batches", "text"),
    [
        ([{0: 1.0}], "must give Observations; for trial 0 it gave 1.0"),
        ([{0: Observation(1.0)}, {0: Observation(1.0)}], "a reading of trial 0, which is not awaited"),
        ([{99: Observation(1.0)}], "a reading of trial 99, which is not awaited"),
        ([[Observation(1.0)]], "must give mappings"),
        ([{0: Observation(1.0)}], "gave nothing for 2 of 3 trials, first 1"),
    ],
)
def test_streams_that_give_something_else(tmp_path, batches, text):
    class Wrong:
        def stream(self, trials):
            yield from batches

    campaign = world.create(tmp_path)
    with pytest.raises(ObservationError, match=text):
        run(campaign, Wrong())
    assert complete(campaign) <= {0}
    assert campaign.status().num_pending == 3 - len(complete(campaign))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"retries": -1}, "`retries` must be a whole number >= 0"),
        ({"factor": 0.5}, "`factor` must be a finite number >= 1"),
        ({"jitter": 2}, "`jitter` must be in"),
        ({"longest": float("inf")}, "`longest` must be a finite number"),
    ],
)
def test_backoff_made_wrongly(settings, text):
    with pytest.raises(ParameterError, match=text):
        Backoff(**settings)


def test_backoff_is_bounded_and_its_jitter_repeatable():
    steady = Backoff(2000, first=0.5, factor=2.0, longest=8.0)
    assert [steady.pause(k) for k in (1, 2, 3, 4, 5, 6, 2000)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    shaken = Backoff(9, longest=8.0, jitter=0.25, seed=3)
    pauses = [shaken.pause(k) for k in range(1, 10)]
    assert pauses == [Backoff(9, longest=8.0, jitter=0.25, seed=3).pause(k) for k in range(1, 10)]
    assert all(abs(p / min(2.0**k, 8.0) - 1) <= 0.25 for k, p in enumerate(pauses))
    assert pauses != [Backoff(9, longest=8.0, jitter=0.25, seed=4).pause(k) for k in range(1, 10)]


def test_who_is_gone():
    assert not is_gone(worker_name())
    assert not is_gone("robot 2")
    assert not is_gone("another-machine:1:5")
    process = subprocess.Popen(["sleep", "60"])
    name = worker_name(process.pid)
    assert not is_gone(name)
    process.kill()
    process.wait()
    assert is_gone(name)
    own = worker_name().rpartition(":")[0]
    assert is_gone(f"{own}:1")  # the same number, another process
