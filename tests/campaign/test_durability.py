"""A process killed at any moment: nothing told is lost or doubled, and the next ask is the twin's."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import campaign_world as world
import pytest

from seiko.campaign import CallableFeedback, Journal, run
from seiko.errors import CampaignError
from seiko.records import Observation

FORK = multiprocessing.get_context("fork")
BUDGET = 30
OLD = {"aaaa": 0.5, "bbbb": 0.25, "cccc": -1.0}


def live(path: str | Path, told: Path) -> None:
    """Do what is next until the budget is spent, noting each reading in `told` once `tell` has returned."""
    campaign = world.reopen(path)
    campaign.attach(list(OLD), list(OLD.values()))
    while campaign.queries_left or campaign.history.open:
        waiting = campaign.history.open
        if not waiting:
            campaign.ask(wait=30)
            continue
        scores = world.scores(waiting[:2])
        campaign.tell(scores)
        with told.open("a") as file:
            file.writelines(f"{id_} {value!r}\n" for id_, value in scores.items())
            file.flush()
            os.fsync(file.fileno())
    campaign.finish(wait=30)


def drive(path: str | Path, told: Path) -> None:
    """The same by `run`, which measures, tells as readings come, and takes over what a dead run left."""
    campaign = world.reopen(path)
    campaign.attach(list(OLD), list(OLD.values()))
    run(campaign, CallableFeedback(world.reward), wait=30)


def start(target, *args):
    process = FORK.Process(target=target, args=args, daemon=True)
    process.start()
    return process


def told_in(file: Path) -> dict[int, float]:
    lines = file.read_text().splitlines() if file.exists() else []
    return {int(id_): float(value) for id_, value in map(str.split, lines)}


def check_consistent(path: str | Path, told: Path) -> None:
    campaign = world.reopen(path)
    trials = campaign.trials
    asked = [t for t in trials if t.round >= 0]
    assert [t.id for t in trials] == list(range(len(trials)))
    assert len({t.key for t in trials}) == len(trials)
    assert {t.key: t.value for t in trials if t.round < 0} == (OLD if trials else {})
    assert len(asked) == BUDGET - campaign.queries_left == min(3 * len(campaign.rounds), BUDGET)
    for id_, value in told_in(told).items():
        assert trials[id_].value == value
    events = [e for e in campaign.journal.events() if e.kind == "told"]
    assert len({e.payload["id"] for e in events}) == len(events)
    assert bool(campaign.artifacts) == bool(asked)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """The campaign that nobody interrupted, and how long it took."""
    path = tmp_path_factory.mktemp("twin")
    world.create(path / "c", budget=BUDGET, seed=5)
    begun = time.monotonic()
    live(path / "c", path / "told")
    return world.reopen(path / "c"), time.monotonic() - begun


def check_equal(path: str | Path, twin) -> None:
    campaign = world.reopen(path)
    assert campaign.trials == twin.trials
    assert campaign.rounds == twin.rounds
    assert campaign.artifacts == twin.artifacts
    assert campaign.finish() == twin.finish()


def kill_at_random(place, tmp_path, twin, kills: int, seed: int, target=live) -> None:
    """Interrupt campaigns, one after another where one is not enough, `kills` times in all."""
    rng, done, number = random.Random(seed), 0, 0
    while done < kills:
        number += 1
        path, told = place(), tmp_path / f"told{number}"
        world.create(path, budget=BUDGET, seed=5)
        while world.reopen(path).status().next_action[:7] != "Nothing":
            process = start(target, path, told)
            if done < kills:
                time.sleep(rng.uniform(0.0, twin[1] * 0.4))
                process.kill()
            process.join()
            done += process.exitcode == -signal.SIGKILL
            assert process.exitcode in (0, -signal.SIGKILL)
            check_consistent(path, told)
        check_equal(path, twin[0])


def test_killed_at_random_moments(place, tmp_path, twin):
    kill_at_random(place, tmp_path, twin, kills=12, seed=0)


def test_a_run_killed_at_random_moments(place, tmp_path, twin):
    kill_at_random(place, tmp_path, twin, kills=6, seed=2, target=drive)


@pytest.mark.slow
@pytest.mark.parametrize("target", [live, drive])
def test_killed_at_very_many_random_moments(place, tmp_path, twin, target):
    kill_at_random(place, tmp_path, twin, kills=300, seed=1, target=target)


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
    """One ask of two artifacts is 6 moments of files and 2 of each transaction; a tell is 2."""
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


class Endless:
    """Draws words of any length, so that there are always new ones."""

    def propose(self, history, num_queries, *, generator, **_):
        first = len(history.trials)
        return world.Proposal([f"word {first + i}" for i in range(num_queries)])


def any_words():
    return world.domain(is_valid=lambda design: isinstance(design, str))


def tell_all(where, ids) -> None:
    journal = Journal.open(where)
    for id_ in ids:
        journal.tell({id_: id_ / 7})


def ask_until(where, stop) -> None:
    campaign = world.Campaign.open(where, domain=any_words(), proposer=Endless())
    while not stop.is_set():
        campaign.ask(5, wait=60)


def tell_at_once(where, readings: int, workers: int = 8) -> None:
    """So many processes tell their share of the readings, one by one, while another asks."""
    campaign = world.Campaign.create(
        where, domain=any_words(), proposer=Endless(), budget=50 * readings, num_queries=5
    )
    campaign.ask(readings)
    stop = FORK.Event()
    asking = start(ask_until, where, stop)
    telling = [start(tell_all, where, range(w, readings, workers)) for w in range(workers)]
    for process in telling:
        process.join()
    stop.set()
    asking.join()
    assert [p.exitcode for p in [asking, *telling]] == [0] * (workers + 1)
    trials = campaign.trials
    assert [t.value for t in trials[:readings]] == [i / 7 for i in range(readings)]
    assert [t.id for t in trials] == list(range(len(trials))) and len(trials) > readings
    told = [e.payload["id"] for e in campaign.journal.events() if e.kind == "told"]
    assert sorted(told) == list(range(readings))
    assert campaign.status().queries_used == len({t.key for t in trials}) == len(trials)


def test_many_tell_while_one_asks(place):
    tell_at_once(place(), 80)


@pytest.mark.slow
def test_very_many_are_told_while_one_asks(place):
    tell_at_once(place(), 10_000)


def fill(path, limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    campaign = world.reopen(path)
    try:
        campaign.tell({0: Observation(1.0, note="x" * 200_000)})
    except CampaignError as error:
        assert "nothing was written" in str(error), error
        os._exit(7)
    os._exit(0)


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    """No file may grow further, as on a full disk; then there is room again."""
    campaign = world.create(tmp_path / "c")
    trials = campaign.ask()
    campaign.tell({1: 0.5})
    size = max(f.stat().st_size for f in (tmp_path / "c").iterdir())
    process = start(fill, tmp_path / "c", size)
    process.join()
    assert process.exitcode == 7
    again = world.reopen(tmp_path / "c")
    assert [t.value for t in again.trials] == [None, 0.5, None] and again.journal.check() == []
    again.tell(world.scores(trials[:1]))
    assert again.trials[0].value is not None


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small disk")
def test_a_small_disk_that_fills_up(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        campaign = world.create(disk / "c", budget=1000)
        trials = campaign.ask()
        campaign.tell({1: 0.5})
        (disk / "ballast").write_bytes(bytes(disk_free(disk) - 8192))
        with pytest.raises(CampaignError, match=r"disk|artifact"):
            for _ in range(100):
                campaign.tell(world.scores(campaign.ask()))
        (disk / "ballast").unlink()
        told = {t.id: t.value for t in campaign.trials if t.value is not None}
        assert told[1] == 0.5 and campaign.journal.check() == []
        campaign.tell({0: 1.0})
        assert world.reopen(disk / "c").trials[0].value == 1.0 and len(trials) == 3
        assert len(world.reopen(disk / "c").ask()) == 3
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def disk_free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize
