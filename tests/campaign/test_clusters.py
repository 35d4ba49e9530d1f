"""Rewards on a local Dask cluster and as local submitit jobs, with workers killed while they run."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import campaign_world as world
import pytest
import rewards

from seiko.campaign import run
from seiko.campaign.feedback import CallableFeedback, SubmititExecutor, dask_executor
from seiko.errors import ParameterError
from seiko.records import TrialState


def values(observations):
    return [o.value for o in observations]


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip(
        "distributed", reason="Dask is not installed: pip install seiko[cluster]"
    )
    dask = pytest.importorskip("dask")
    settings = {
        "distributed.scheduler.allowed-failures": 1,
        "distributed.worker.daemon": False,
        "distributed.comm.timeouts.connect": "30s",
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.register_plugin(_finds_tests(str(Path(__file__).parent)))
        yield client


def _finds_tests(folder):
    """Makes every worker, later ones too, import from the folder of the tests."""
    from distributed import WorkerPlugin

    class FindsTests(WorkerPlugin):
        name = "finds-tests"

        def setup(self, worker):
            import sys

            sys.path.insert(0, folder)

    return FindsTests()


def workers_of(client):
    return client.run(os.getpid).values()


def test_dask_answers(client):
    feedback = CallableFeedback(rewards.length, executor=dask_executor(client))
    assert values(feedback.evaluate(["a", "bb", "a"])) == [1, 2, 1]


def test_a_design_that_kills_dask_workers_is_failed_and_the_others_are_not(client):
    feedback = CallableFeedback(rewards.kills_itself, executor=dask_executor(client), timeout=120)
    found = feedback.evaluate(["a", "die", "bb"])
    assert values(found) == [1, None, 2]
    assert "KilledWorker" in found[1].note


def test_a_dask_worker_killed_from_outside_costs_no_reading(client):
    client.wait_for_workers(2, timeout=60)
    victim = next(iter(workers_of(client)))
    feedback = CallableFeedback(rewards.slow_length, executor=dask_executor(client), timeout=120)
    words, found = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"], {}
    for batch in feedback.stream(world_trials(words)):
        if not found:
            os.kill(victim, signal.SIGKILL)
        found.update(batch)
    assert [found[i].value for i in range(6)] == [1, 2, 3, 4, 5, 6]


def test_a_campaign_on_dask(client, tmp_path):
    campaign = world.create(tmp_path, budget=6)
    run(campaign, CallableFeedback(rewards.length, executor=dask_executor(client)))
    assert [t.value for t in campaign.trials] == [4.0] * 6


def world_trials(words):
    from seiko.records import Trial

    return [Trial(i, 0, word, word) for i, word in enumerate(words)]


@pytest.fixture
def local(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="submitit is not installed: pip install seiko[cluster]")
    paths = [str(Path(__file__).parent), str(Path(world.__file__).parents[2] / "src")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    executor = SubmititExecutor(tmp_path / "jobs", cluster="local", num_workers=2, timeout_min=5)
    yield executor
    executor.shutdown(wait=False, cancel_futures=True)


def test_submitit_answers_and_a_killed_job_is_failed(local):
    with CallableFeedback(rewards.kills_itself, executor=local) as feedback:
        found = feedback.evaluate(["a", "die", "bb"])
    assert values(found) == [1, None, 2]
    assert "gave no result" in found[1].note


@pytest.mark.slow
def test_a_submitit_job_killed_from_outside_is_failed(local, tmp_path):
    reward = partial(rewards.tells_its_process, str(tmp_path))
    feedback, found = CallableFeedback(reward, executor=local), {}
    stream = feedback.stream(world_trials(["a", "wait"]))
    for batch in stream:
        found.update(batch)
        if 0 in found and 1 not in found:
            while not (tmp_path / "wait").exists():
                time.sleep(0.1)
            os.kill(int((tmp_path / "wait").read_text()), signal.SIGKILL)
    assert found[0].value == 1
    assert found[1].state is TrialState.FAILED


@pytest.mark.slow
def test_a_submitit_job_that_takes_too_long_is_cancelled(local, tmp_path):
    reward = partial(rewards.tells_its_process, str(tmp_path))
    feedback = CallableFeedback(reward, executor=local, timeout=8)
    found = feedback.evaluate(["wait"])
    assert found[0].note == "TimeoutError: no answer after 8 s"
    pid = int((tmp_path / "wait").read_text())
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    raise AssertionError("a job that took too long runs on")


def test_submitit_made_wrongly(tmp_path):
    with pytest.raises(ParameterError, match="`num_workers` must be a whole number >= 1"):
        SubmititExecutor(tmp_path, num_workers=0)
