"""The store: events in order, artifacts by hash, damage named."""

from __future__ import annotations

import math
import random
import sqlite3
import threading

import campaign_world as world
import pytest

from seiko.campaign import Journal, LostArtifactsWarning, database
from seiko.campaign.store import NewEvent, Store
from seiko.errors import CampaignError

NOTHING = {"ids": [], "deadline": None, "by": ""}
FIRST = NewEvent("started", NOTHING)


def event(**more):
    """An event that changes no trial."""
    return NewEvent("started", {**NOTHING, **more})


def store_at(path):
    return Store.create(path, [FIRST])


def test_events_come_back_in_order_as_written(tmp_path):
    store = store_at(tmp_path / "a" / "b")
    payload = {**NOTHING, "text": "ü\ud800", "list": [1.5, None]}
    store.append([NewEvent("started", payload, round=2), event()])
    events = Store.open(tmp_path / "a" / "b").events()
    assert [(e.id, e.round) for e in events] == [(1, None), (2, 2), (3, None)]
    assert events[1].payload == payload
    assert events[0].created_utc.endswith("+00:00")
    assert store.events(after=2) == events[2:]


def test_several_events_are_one_transaction(tmp_path):
    store = store_at(tmp_path)
    with pytest.raises(ValueError, match="JSON compliant"):
        store.append([event(), event(value=math.nan)], blobs=[b"content"])
    assert len(store.events()) == 1
    with pytest.raises(RuntimeError), store.write() as transaction:
        transaction.append([event()])
        raise RuntimeError
    assert len(store.events()) == 1


def test_an_event_of_an_unknown_kind_is_not_written(tmp_path):
    store = store_at(tmp_path)
    with pytest.raises(CampaignError, match="unknown kind 'painted'"):
        store.append([NewEvent("painted", {})])
    assert len(store.events()) == 1


def test_an_event_of_a_trial_that_is_not_there_is_not_written(tmp_path):
    store = store_at(tmp_path)
    told = {"id": 3, "state": "complete", "value": 1.0, "noise_std": None, "note": ""}
    with pytest.raises(CampaignError, match=r"Event 2 \(told\) cannot be applied: KeyError: 3"):
        store.append([NewEvent("told", told)])
    assert len(store.events()) == 1


def test_the_disk_is_asked_for_the_strongest_promises(tmp_path):
    with store_at(tmp_path)._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_many_writers_lose_nothing(tmp_path):
    store_at(tmp_path)

    def write(worker):
        store = Store.open(tmp_path)
        for i in range(20):
            store.append([event(worker=worker, i=i)])

    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [(e.payload["worker"], e.payload["i"]) for e in Store.open(tmp_path).events()[1:]]
    assert sorted(found) == [(w, i) for w in range(4) for i in range(20)]
    assert all([i for v, i in found if v == w] == list(range(20)) for w in range(4))


def test_blobs_and_artifacts_come_back(tmp_path):
    store = store_at(tmp_path)
    contents = [bytes([i % 256, i // 256]) for i in range(1200)]
    store.append([], blobs=contents)
    store.append([], blobs=contents[:3])
    digests = [store.put_artifact(c) for c in contents[:2]]
    assert digests[0] == store.put_artifact(contents[0])
    assert sorted(store.blobs(digests).values()) == sorted(store.get_artifact(d) for d in digests)
    assert sorted(p.name for p in (tmp_path / "artifacts").iterdir()) == sorted(digests)


def test_a_damaged_or_missing_artifact_is_named(tmp_path):
    store = store_at(tmp_path)
    digest = store.put_artifact(b"weights")
    (tmp_path / "artifacts" / digest).write_bytes(b"weight")
    with pytest.raises(CampaignError, match=f"{digest} is damaged: its 6 bytes"):
        store.get_artifact(digest)
    assert store.put_artifact(b"weights") == digest
    assert store.get_artifact(digest) == b"weights"
    (tmp_path / "artifacts" / digest).unlink()
    with pytest.raises(CampaignError, match=f"{digest} cannot be read: No such file"):
        store.get_artifact(digest)


def test_an_artifact_that_cannot_be_written(tmp_path):
    store = store_at(tmp_path)
    (tmp_path / "artifacts").rmdir()
    (tmp_path / "artifacts").write_text("in the way")
    with pytest.raises(CampaignError, match=r"artifact .* could not be written"):
        store.put_artifact(b"weights")


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_lost_artifacts_are_learned_again_from_the_readings(tmp_path, damage):
    campaign = world.create(tmp_path)
    campaign.tell(world.scores(campaign.ask()))
    total = sum(t.value for t in campaign.trials)
    for file in (tmp_path / "artifacts").iterdir():
        file.unlink() if damage == "missing" else file.write_bytes(b"x")
    with pytest.raises(CampaignError, match="artifact"):
        _ = campaign.artifacts
    with pytest.warns(LostArtifactsWarning, match=r"artifact .* learned again from the readings"):
        assert len(campaign.ask()) == 3
    assert b'"calls": 1,' in campaign.artifacts["state.json"]
    assert campaign.rounds[1]["reward/total"] == pytest.approx(total)
    assert campaign.queries_left == 6


def test_no_campaign_there(tmp_path):
    with pytest.raises(CampaignError, match=r"no campaign at .*nowhere.*campaign.sqlite is not there"):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(CampaignError, match="no campaign at"):
        Store.open(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(CampaignError, match=r"folder .*file cannot be made"):
        Store.create(tmp_path / "file")


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 5000])
def test_a_file_that_is_no_database(tmp_path, content):
    (tmp_path / "campaign.sqlite").write_bytes(content)
    with pytest.raises(CampaignError, match=r"campaign\.sqlite is not a campaign database"):
        Store.open(tmp_path)


def test_a_database_of_somebody_else(tmp_path):
    with sqlite3.connect(tmp_path / "campaign.sqlite") as connection:
        connection.execute("create table notes (text)")
    connection.close()
    with pytest.raises(CampaignError, match=r"campaign\.sqlite is not a campaign database \(no such table"):
        Store.open(tmp_path)


def change(path, statement):
    with sqlite3.connect(path / "campaign.sqlite") as connection:
        connection.execute(statement)
    connection.close()


def test_a_later_schema(tmp_path):
    store_at(tmp_path)
    change(tmp_path, "update seiko_campaign set schema_version = 7")
    with pytest.raises(CampaignError, match="schema version 7; this seiko reads versions up to 2"):
        Store.open(tmp_path)


def test_a_changed_reading_is_found(tmp_path):
    campaign = world.create(tmp_path)
    campaign.tell(world.scores(campaign.ask()))
    change(tmp_path, "update events set payload = replace(payload, '\"id\": 1', '\"id\": 2') where id = 4")
    with pytest.raises(CampaignError, match=r"damaged: event 4 \(told\) does not have the checksum"):
        world.reopen(tmp_path)


def test_a_changed_design_is_found(tmp_path):
    world.create(tmp_path).ask()
    change(tmp_path, "update blobs set content = x'61' where rowid = 1")
    with pytest.raises(CampaignError, match="1 of 3 stored blobs are lost or changed"):
        _ = world.reopen(tmp_path).trials


def test_torn_pages_are_named_or_harmless_never_silent(tmp_path):
    campaign = world.create(tmp_path / "c", budget=90, num_queries=30)
    for _ in range(3):
        campaign.tell(world.scores(campaign.ask()))
    truth, whole = campaign.trials, (tmp_path / "c" / "campaign.sqlite").read_bytes()
    refused = 0
    for start in range(0, len(whole), 4096):
        damaged = whole[:start] + bytes(4096) + whole[start + 4096 :]
        (tmp_path / "c" / "campaign.sqlite").write_bytes(damaged)
        try:
            found = world.reopen(tmp_path / "c").trials
        except CampaignError as error:
            assert "campaign.sqlite" in str(error)
            refused += 1
        else:
            assert found == truth
    assert refused > 5


def test_a_database_cut_short(tmp_path):
    campaign = world.create(tmp_path, budget=90, num_queries=30)
    campaign.tell(world.scores(campaign.ask()))
    file = tmp_path / "campaign.sqlite"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CampaignError, match=r"campaign.sqlite is damaged"):
        _ = world.reopen(tmp_path).trials


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_is_named_or_harmless_never_silent(tmp_path, seed):
    campaign = world.create(tmp_path / "c")
    campaign.tell(world.scores(campaign.ask()))
    truth, whole = campaign.trials, (tmp_path / "c" / "campaign.sqlite").read_bytes()
    rng = random.Random(seed)
    for _ in range(40):
        place = rng.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        (tmp_path / "c" / "campaign.sqlite").write_bytes(damaged)
        try:
            found = world.reopen(tmp_path / "c").trials
        except CampaignError:
            continue
        assert found == truth


def test_the_tables_are_built_again_from_the_journal(tmp_path):
    campaign = world.create(tmp_path)
    campaign.tell(world.scores(campaign.ask()))
    truth = campaign.trials
    change(tmp_path, "update trials set value = 9.0 where id = 1")
    with pytest.raises(CampaignError, match="trial 1 does not have the check number"):
        _ = campaign.trials
    found = Journal.open(tmp_path).check()
    assert [f.severity for f in found] == ["error"] and "trials does not agree" in found[0].what
    Journal.open(tmp_path).rebuild()
    assert world.reopen(tmp_path).trials == truth
    assert Journal.open(tmp_path).check() == []


def test_a_lock_that_stays_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.1)
    store = store_at(tmp_path)
    with store.write(), pytest.raises(CampaignError, match="was locked by another process"):
        store.append([event()])
    store.append([event()])
