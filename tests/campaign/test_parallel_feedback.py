"""Python rewards in processes, coroutines and foreign executors, with workers that die and hang."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
import rewards

from seiko.campaign.feedback import CallableFeedback, WorkerProcesses
from seiko.errors import ObservationError, ParameterError
from seiko.records import Observation, Trial, TrialState

WORDS = ["a", "bb", "ccc", "dddd", "eeeee"]


def trials(words):
    return [Trial(10 + i, 0, word, word) for i, word in enumerate(words)]


def spawn_pool(workers=2):
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def started_pool(workers=2):
    """With all of its processes: the pool looks after those alone that it had when it last fell asleep."""
    pool = spawn_pool(workers)
    wait([pool.submit(time.sleep, 0.2) for _ in range(workers)])
    return pool


def values(observations):
    return [o.value for o in observations]


@contextmanager
def at_most(seconds):
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "settings",
    [
        {"workers": 2},
        {"executor": partial(ThreadPoolExecutor, 3)},
        {"executor": spawn_pool},
        {"timeout": 30},
    ],
    ids=["processes", "threads", "process pool", "time-out alone"],
)
def test_the_same_answers_in_order_wherever_they_are_computed(settings):
    with CallableFeedback(rewards.length, noise_std=0.5, **settings) as feedback:
        found = feedback.evaluate(WORDS)
    assert found == CallableFeedback(rewards.length, noise_std=0.5).evaluate(WORDS)


def test_answers_come_before_the_slow_ones_are_done():
    def reward(word):
        time.sleep(1.0 if word == "a" else 0.0)
        return len(word)

    with CallableFeedback(reward, executor=partial(ThreadPoolExecutor, 2)) as feedback:
        batches = list(feedback.stream(trials(WORDS)))
    assert len(batches) > 1
    assert list(batches[-1]) == [10]
    assert {id_: o.value for batch in batches for id_, o in batch.items()} == {
        10: 1,
        11: 2,
        12: 3,
        13: 4,
        14: 5,
    }


@pytest.mark.parametrize("reward", [rewards.kills_itself, rewards.exits])
def test_a_worker_that_dies_fails_its_own_design_alone(reward):
    with CallableFeedback(reward, workers=2) as feedback, at_most(30):
        found = feedback.evaluate(["a", "die", "bb", "die too", "ccc"])
        again = feedback.evaluate(["dddd"])
    assert values(found) == [1.0, None, 2.0, None, 3.0]
    assert values(again) == [4.0]
    assert "BrokenProcessPool: the worker process was lost" in found[1].note
    assert ("SIGKILL" if reward is rewards.kills_itself else "exit code 3") in found[1].note


def test_a_process_pool_that_breaks_is_made_anew_and_only_the_culprit_is_failed():
    words = ["a", "die", "bb", "ccc", "die too", "dddd"]
    with CallableFeedback(rewards.kills_itself, executor=spawn_pool) as feedback, at_most(60):
        found = feedback.evaluate(words)
    assert values(found) == [1.0, None, 2.0, 3.0, None, 4.0]
    assert "BrokenProcessPool" in found[1].note


def test_a_pool_that_broke_by_chance_costs_nobody_a_reading(tmp_path):
    reward = partial(rewards.dies_once, str(tmp_path))
    with CallableFeedback(reward, executor=started_pool) as feedback:
        assert values(feedback.evaluate(["bb", "die", "a"])) == [2.0, 3.0, 1.0]


def test_a_broken_pool_that_cannot_be_made_anew_gives_what_it_has_then_says_so():
    words = ["a", "bb", "die", "ccc", "dddd", "eeeee", "ffffff"]
    found, feedback = {}, CallableFeedback(rewards.kills_itself, executor=spawn_pool(1))
    with pytest.raises(ObservationError, match=r"ProcessPoolExecutor takes no more work.*Give a function"):
        for batch in feedback.stream(trials(words)):
            found.update(batch)
    assert [found[10].value, found[11].value, found[12].value] == [1.0, 2.0, None]
    assert 16 not in found


def test_a_design_that_takes_too_long_is_failed_and_its_process_ended():
    with CallableFeedback(rewards.hangs, workers=2, timeout=1.0) as feedback, at_most(30):
        found = feedback.evaluate(["a", "hang", "bb", "hang too", "ccc"])
        assert values(found) == [1.0, None, 2.0, None, 3.0]
        assert found[1].note == "TimeoutError: no answer after 1 s"


def test_what_a_design_started_is_ended_with_it(tmp_path):
    reward = partial(rewards.waits_for_a_child, str(tmp_path))
    with CallableFeedback(reward, timeout=2.0) as feedback:
        assert feedback.evaluate(["a"])[0].state is TrialState.FAILED
    child = int((tmp_path / "child").read_text())
    for _ in range(50):
        if not is_running(child):
            return
        time.sleep(0.1)
    raise AssertionError("the child of a design that took too long runs on")


def test_threads_that_hang_are_failed_and_replaced():
    stop = time.monotonic() + 8

    def reward(word):
        while word == "hang" and time.monotonic() < stop:
            time.sleep(0.05)
        return len(word)

    threads = partial(ThreadPoolExecutor, 2)
    with CallableFeedback(reward, executor=threads, timeout=0.5) as feedback, at_most(6):
        found = feedback.evaluate(["hang", "hang", "a", "bb"])
    assert values(found) == [None, None, 1.0, 2.0]


def test_errors_and_answers_that_do_not_travel():
    with CallableFeedback(rewards.raises_oddly, workers=1) as feedback:
        assert feedback.evaluate(["a"])[0].note == "Odd: a and more"
    with CallableFeedback(rewards.gives_unpicklable, workers=1) as feedback:
        found = feedback.evaluate(["bad", "a"])
    assert (found[0].state, found[1].value) == (TrialState.FAILED, 1.0)
    assert "could not be sent back" in found[0].note


def test_a_function_that_cannot_be_sent_is_refused_with_a_hint():
    with pytest.raises(ParameterError, match=r"cannot be sent to a worker process.*top level"):
        CallableFeedback(lambda word: 1.0, workers=1).evaluate(["a"])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"workers": 0}, "`workers` must be a whole number >= 1"),
        ({"timeout": 0}, "`timeout` must be a number of seconds > 0"),
        ({"timeout": float("nan")}, "`timeout` must be"),
        ({"batch_size": 2}, "`batch_size` needs"),
        ({"batched": True, "batch_size": 0}, "`batch_size` must be a whole number >= 1"),
    ],
)
def test_settings_that_cannot_be(settings, text):
    with pytest.raises(ParameterError, match=text):
        CallableFeedback(rewards.length, **settings)


def test_a_wrong_answer_comes_after_the_right_ones():
    def reward(word):
        return "wrong" if word == "bb" else len(word)

    feedback, found = CallableFeedback(reward), {}
    with pytest.raises(ObservationError, match="for 'bb' it gave 'wrong'"):
        for batch in feedback.stream(trials(WORDS)):
            found.update(batch)
    assert {id_: o.value for id_, o in found.items()} == {10: 1, 12: 3, 13: 4, 14: 5}


def test_batches_of_a_batched_function():
    sizes = []

    def reward(words):
        sizes.append(len(words))
        if "ccc" in words:
            raise OSError("server is down")
        return [Observation.infeasible("no") if w == "eeeee" else len(w) for w in words]

    with CallableFeedback(
        reward, batched=True, batch_size=2, executor=partial(ThreadPoolExecutor, 1)
    ) as feedback:
        found = feedback.evaluate(WORDS)
    assert sizes == [2, 2, 1]
    assert values(found) == [1, 2, None, None, None]
    assert [str(o.state) for o in found[2:]] == ["failed", "failed", "infeasible"]


def test_coroutines_run_together_but_not_too_many():
    running, most = 0, 0

    async def reward(word):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.1)
        running -= 1
        return len(word)

    with CallableFeedback(reward, workers=4) as feedback, at_most(1.5):
        assert values(feedback.evaluate(["ab"] * 16)) == [2] * 16
    assert most == 4


def test_coroutines_raise_hang_and_come_in_batches():
    cancelled = []

    async def reward(word):
        if word == "hang":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(word)
                raise
        if word == "raise":
            raise ValueError("no pose")
        return len(word)

    async def together(words):
        return [len(word) for word in words]

    with CallableFeedback(reward, timeout=0.5) as feedback, at_most(5):
        found = feedback.evaluate(["a", "hang", "raise"])
    assert values(found) == [1, None, None]
    assert [o.note for o in found[1:]] == ["TimeoutError: no answer after 0.5 s", "ValueError: no pose"]
    assert cancelled == ["hang"]
    with CallableFeedback(together, batched=True) as feedback:
        assert values(feedback.evaluate(WORDS)) == [1, 2, 3, 4, 5]


def test_coroutines_inside_a_running_loop_as_in_a_notebook():
    async def cell():
        with CallableFeedback(rewards.gentle) as feedback:
            return feedback.evaluate(WORDS)

    assert values(asyncio.run(cell())) == [1, 2, 3, 4, 5]


def test_an_object_with_a_coroutine_call_is_awaited():
    class Service:
        async def __call__(self, word):
            return len(word)

    with CallableFeedback(partial(Service())) as feedback:
        assert values(feedback.evaluate(["ab"])) == [2]


def test_closed_early_nothing_more_is_begun(tmp_path):
    words = [f"w{i}" for i in range(20)]
    with CallableFeedback(partial(rewards.leaves_a_mark, str(tmp_path)), workers=1) as feedback:
        stream = feedback.stream(trials(words))
        next(stream)
        stream.close()
    time.sleep(0.5)
    assert len(list(tmp_path.glob("*-begun-*"))) <= 2


def test_workers_end_when_they_are_closed():
    with WorkerProcesses(2) as executor:
        pids = {executor.submit(os.getpid).result() for _ in range(2)}
        assert os.getpid() not in pids
    for _ in range(50):
        if not any(map(is_running, pids)):
            return
        time.sleep(0.1)
    raise AssertionError("workers run on after shutdown")
