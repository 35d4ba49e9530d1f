"""A process killed at any moment: nothing told is lost or doubled, and the next ask is the twin's."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import campaign_world as world
import pytest

from seiko.campaign.store import Store

FORK = multiprocessing.get_context("fork")
BUDGET = 30


def live(path: Path, told: Path) -> None:
    """Do what is next until the budget is spent, noting each reading in `told` once `tell` has returned."""
    campaign = world.reopen(path)
    while campaign.queries_left or campaign.history.open:
        waiting = campaign.history.open
        if not waiting:
            campaign.ask()
            continue
        scores = world.scores(waiting[:2])
        campaign.tell(scores)
        with told.open("a") as file:
            file.writelines(f"{id_} {value!r}\n" for id_, value in scores.items())
            file.flush()
            os.fsync(file.fileno())
    campaign.finish()


def start(target, *args):
    process = FORK.Process(target=target, args=args, daemon=True)
    process.start()
    return process


def told_in(file: Path) -> dict[int, float]:
    lines = file.read_text().splitlines() if file.exists() else []
    return {int(id_): float(value) for id_, value in map(str.split, lines)}


def check_consistent(path: Path, told: Path) -> None:
    campaign = world.reopen(path)
    trials = campaign.trials
    assert [t.id for t in trials] == list(range(len(trials)))
    assert len({t.key for t in trials}) == len(trials) == BUDGET - campaign.queries_left
    assert len(trials) == min(3 * len(campaign.rounds), BUDGET)
    for id_, value in told_in(told).items():
        assert trials[id_].value == value
    events = [e for e in Store.open(path).events() if e.kind == "told"]
    assert len({e.payload["id"] for e in events}) == len(events)
    assert bool(campaign.artifacts) == bool(trials)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """The campaign that nobody interrupted, and how long it took."""
    path = tmp_path_factory.mktemp("twin")
    world.create(path / "c", budget=BUDGET, seed=5)
    begun = time.monotonic()
    live(path / "c", path / "told")
    return world.reopen(path / "c"), time.monotonic() - begun


def check_equal(path: Path, twin) -> None:
    campaign = world.reopen(path)
    assert campaign.trials == twin.trials
    assert campaign.rounds == twin.rounds
    assert campaign.artifacts == twin.artifacts
    assert campaign.finish() == twin.finish()


def kill_at_random(tmp_path, twin, kills: int, seed: int) -> None:
    """Interrupt campaigns, one after another where one is not enough, `kills` times in all."""
    rng, done, number = random.Random(seed), 0, 0
    while done < kills:
        number += 1
        path, told = tmp_path / f"c{number}", tmp_path / f"told{number}"
        world.create(path, budget=BUDGET, seed=5)
        while world.reopen(path).status().next_action[:7] != "Nothing":
            process = start(live, path, told)
            if done < kills:
                time.sleep(rng.uniform(0.0, twin[1] * 0.4))
                process.kill()
            process.join()
            done += process.exitcode == -signal.SIGKILL
            assert process.exitcode in (0, -signal.SIGKILL)
            check_consistent(path, told)
        check_equal(path, twin[0])


def test_killed_at_random_moments(tmp_path, twin):
    kill_at_random(tmp_path, twin, kills=15, seed=0)


@pytest.mark.slow
def test_killed_at_very_many_random_moments(tmp_path, twin):
    kill_at_random(tmp_path, twin, kills=100, seed=1)


def die_before(number: int, path: Path, told: Path) -> None:
    """Live, but die at the `number`-th moment that matters: just before or after a sync, rename or commit."""
    left = [number]

    def counted(function):
        def call(*args, **kwargs):
            tick()
            result = function(*args, **kwargs)
            tick()
            return result

        return call

    def tick():
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    class Connection(sqlite3.Connection):
        commit = counted(sqlite3.Connection.commit)

    connect = sqlite3.dbapi2.connect
    sqlite3.dbapi2.connect = lambda *args, **kwargs: connect(*args, factory=Connection, **kwargs)
    os.fsync, os.replace = counted(os.fsync), counted(os.replace)
    live(path, told)


def test_killed_between_any_two_writes(tmp_path, twin):
    """One ask of two artifacts is 6 moments of files and 2 of the database; a tell is 2, a finish 8 again."""
    died = 0
    for number in range(44):
        path, told = tmp_path / f"c{number}", tmp_path / f"told{number}"
        world.create(path, budget=BUDGET, seed=5)
        process = start(die_before, number, path, told)
        process.join()
        died += process.exitcode == -signal.SIGKILL
        check_consistent(path, told)
    assert died == 44
    live(path, told)
    check_equal(path, twin[0])


def hold(path: Path, ready) -> None:
    def answer(history, number):
        ready.set()
        time.sleep(60)

    world.reopen(path, proposer=world.Answering(answer)).ask()


def test_a_killed_ask_lets_go_of_its_lock_and_is_asked_again(tmp_path):
    campaign, ready = world.create(tmp_path / "c"), FORK.Event()
    process = start(hold, tmp_path / "c", ready)
    assert ready.wait(30)
    with pytest.raises(Exception, match=rf"is being asked by another run \(process {process.pid}\)"):
        campaign.ask()
    process.kill()
    process.join()
    assert campaign.queries_left == 12
    assert [t.design for t in campaign.ask()] == [t.design for t in world.create(tmp_path / "d").ask()]


def test_killed_while_creating(tmp_path):
    """Either there is no campaign, and it can be made; or it is whole."""
    made = 0
    for number in range(6):
        path = tmp_path / f"c{number}"

        def create(path=path, number=number):
            left = [number]

            def counted(function):
                def call(*args, **kwargs):
                    left[0] -= 1
                    if left[0] < 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return function(*args, **kwargs)

                return call

            os.fsync, os.replace, os.mkdir = counted(os.fsync), counted(os.replace), counted(os.mkdir)
            world.create(path)

        process = start(create)
        process.join()
        if (path / "campaign.sqlite").exists():
            made += 1
        else:
            world.create(path)
        assert len(world.reopen(path).ask()) == 3
    assert 0 < made < 6
