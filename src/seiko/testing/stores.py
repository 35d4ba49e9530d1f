"""The conformance suite of stores: a campaign's whole life, at any place that keeps it. No torch."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import delete, update

from seiko.campaign.artifacts import digest_of
from seiko.campaign.journal import Journal, Told
from seiko.campaign.ledger import NewEvent
from seiko.campaign.settings import Settings
from seiko.campaign.store import Store
from seiko.campaign.tables import blobs_table, events_table, trials_table
from seiko.errors import CampaignError, SeikoError, TrialError
from seiko.records import Budget, Observation, TrialState, micro

NUM_TRIALS = 12


def check_store(make_store: Callable[[], str], *, artifacts: str = "", threads: int = 4) -> None:
    """Fail unless campaigns at a kind of place keep every promise of a campaign.

    Args:
        make_store: Gives the location of a campaign that is not there yet, another one at every call.
        artifacts: Where the campaigns keep their artifacts; empty for their own place.
        threads: How many write at once where that is tried.

    Raises:
        AssertionError: With what is wrong.

    Example:
        >>> import tempfile
        >>> check_store(lambda: f"{tempfile.mkdtemp()}/campaign")
    """

    def new() -> Store:
        return Store.create(make_store(), [_created(artifacts)])

    for check in (
        _check_made_once,
        _check_events,
        _check_all_or_nothing,
        _check_one_ask_a_round,
        _check_verbs,
        _check_awkward_texts_and_numbers,
        _check_artifacts,
        _check_locks,
        _check_snapshots,
        _check_damaged_journal,
        _check_damaged_tables,
        _check_damaged_designs,
    ):
        check(new())
    _check_writers(new(), threads)


def asked(store: Store, count: int, *, round: int = 0) -> list[int]:
    """Ask `count` designs of a store directly, without a proposer; returns their ids."""
    with store.write() as transaction:
        first = transaction.tables.num_trials()
        designs = [f"design {first + i}".encode() for i in range(count)]
        trials = [
            {
                "id": first + i,
                "key": design.decode(),
                "design": digest_of(design),
                "rendering": digest_of(b"<b>" + design),
                "predicted": [float(i), 0.5],
            }
            for i, design in enumerate(designs)
        ]
        payload = {
            "round": round,
            "after": transaction.last_id(),
            "trials": trials,
            "artifacts": {},
            "report": {"round/number": round},
            "reserve": micro(1),
            "deadline": None,
        }
        drawings = [b"<b>" + design for design in designs]
        transaction.append([NewEvent("asked", payload, round=round)], blobs=[*designs, *drawings])
    return list(range(first, first + count))


def _created(artifacts: str = "") -> NewEvent:
    settings = Settings("conformance", "texts", "text/plain", Budget(1000), 10, 0, artifacts=artifacts)
    return NewEvent("created", settings.as_json())


def _require(condition: object, message: str) -> None:
    if not condition:
        raise AssertionError(message)


@contextmanager
def _refused(kind: type[SeikoError], what: str, *words: str) -> Iterator[None]:
    try:
        yield
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        _require(not missing, f"The error of {what} does not say {missing}: {error}")
    else:
        raise AssertionError(f"{what} was not refused.")


def _check_made_once(store: Store) -> None:
    where = store.location
    _require(Store.exists(where), "A campaign that was made does not exist.")
    with _refused(CampaignError, "making a campaign twice", "already"):
        Store.create(where, [_created()])
    _require(len(Store.open(where).events()) == 1, "The second making changed the campaign.")
    _require(Journal(Store.open(where)).name == "conformance", "The settings are not read back.")


def _check_events(store: Store) -> None:
    payload = {"ids": [], "deadline": None, "by": "ü\ud800\x00 '\"\\", "list": [1.5, None]}
    store.append([NewEvent("started", payload, round=2), NewEvent("started", {**payload, "by": ""})])
    events = Store.open(store.location).events()
    _require([e.id for e in events] == [1, 2, 3], "Events do not have ids 1, 2, 3 in order.")
    _require(events[1].payload == payload and events[1].round == 2, "An event is not read back as written.")
    _require(store.events(after=2) == events[2:], "`after` does not leave out the earlier events.")


def _check_all_or_nothing(store: Store) -> None:
    asked(store, 2)
    journal = Journal(store)
    before = store.events()
    try:
        with store.write() as transaction:
            transaction.append([_told(0, 1.0)], blobs=[b"content"])
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    with _refused(TrialError, "a tell of an unknown trial", "no trial 9"):
        journal.tell({0: 1.0, 9: 1.0})
    with store.write(commit=False) as transaction:
        transaction.append([_told(0, 1.0)])
    _require(store.events() == before, "A cut-off or refused write left events behind.")
    _require(journal.status().num_complete == 0, "A cut-off write left a reading behind.")
    with store.read() as transaction:
        _require(not transaction.blobs([digest_of(b"content")]), "A cut-off write left a blob behind.")


def _told(id_: int, value: float) -> NewEvent:
    return NewEvent(
        "told", {"id": id_, "state": "complete", "value": value, "noise_std": None, "note": ""}, round=0
    )


def _check_one_ask_a_round(store: Store) -> None:
    asked(store, 2, round=0)
    with _refused(CampaignError, "a round asked twice", "same round by two runs"):
        asked(store, 2, round=0)
    _require(len(Journal(store).trials()) == 2, "A round asked twice left trials behind.")


def _check_verbs(store: Store) -> None:
    asked(store, NUM_TRIALS)
    journal = Journal(store)
    told: dict[int, Told] = {
        0: 0.5,
        1: Observation.failed("broke"),
        2: Observation.infeasible("no"),
        3: Observation(1.0, 0.1),
    }
    _require(journal.tell(told) == [0, 1, 2, 3], "tell does not return the trials it changed.")
    num_events = len(store.events())
    _require(journal.tell(told) == [] and len(store.events()) == num_events, "Telling again is not a no-op.")
    with _refused(TrialError, "another value for a told trial", "Trial 0", "0.5", "0.7"):
        journal.tell({0: 0.7})
    journal.tell({4: Observation.replicates([1.0, 2.0, 3.0])})
    trial = journal.trials([4])[0]
    _require((trial.value, trial.num_readings) == (2.0, 3), "Replicates are not averaged.")
    _require(trial.noise_std == 1 / math.sqrt(3), "The standard error of replicates is wrong.")
    journal.amend({0: 0.75}, reason="typing error")
    _require(journal.trials([0])[0].value == 0.75, "amend does not correct.")
    _require(journal.retry() == [1] and journal.retry() == [], "retry does not open failed trials once.")
    _require(journal.start([1, 5], by="a") == [1, 5], "start does not claim awaited trials.")
    _require(journal.start([5, 6], by="b") == [6], "start takes a trial that is running elsewhere.")
    _require(journal.start([5], timeout=1e-6, by="a") == [5], "start refuses its own trial.")
    _require(journal.trials([5])[0].state is TrialState.STALE, "A trial past its time is not stale.")
    journal.tell({5: 2.0})
    journal.abandon([7], reason="bottle empty")
    with _refused(TrialError, "a reading of an abandoned trial", "abandoned", "bottle empty"):
        journal.tell({7: 1.0})
    again = Journal(Store.open(store.location))
    states = {str(t.id): str(t.state) for t in again.trials(range(9))}
    expected = [
        "complete",
        "pending",
        "infeasible",
        "complete",
        "complete",
        "complete",
        "running",
        "abandoned",
        "pending",
    ]
    expected[1] = "running"
    _require(list(states.values()) == expected, f"Opened again, the states are {states}.")
    found = again.status()
    _require((found.best_id, found.best_value, found.queries_left) == (4, 2.0, 988), f"status says {found}.")
    _require(not again.check(), f"A sound campaign is found faulty: {again.check()}")


def _check_awkward_texts_and_numbers(store: Store) -> None:
    ids = asked(store, 6)
    notes = ["", "C/C=C\\C", "NUL\x00", "half \ud800", "line\nand\ttab 'quoted\" %s :x", "\\u0000 ü 漢"]
    values = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, -1e-7, 12345678901234567.0]
    journal = Journal(store)
    journal.tell({i: Observation(v, 0.5, note=n) for i, v, n in zip(ids, values, notes, strict=True)})
    found = Journal(Store.open(store.location)).trials()
    _require([t.note for t in found] == notes, f"Notes are read back as {[t.note for t in found]}.")
    _require([t.value for t in found] == values, f"Values are read back as {[t.value for t in found]}.")
    _require(not journal.check(), "Awkward texts or numbers make a campaign faulty.")


def _check_artifacts(store: Store) -> None:
    contents = [b"", b"weights", bytes(range(256)) * 5000]
    digests = [store.put_artifact(content) for content in contents]
    _require(digests == [digest_of(content) for content in contents], "An artifact's name is not its hash.")
    _require(store.put_artifact(contents[1]) == digests[1], "An artifact put twice changes its name.")
    again = Store.open(store.location)
    _require([again.get_artifact(d) for d in digests] == contents, "Artifacts are not read back.")
    with _refused(CampaignError, "a missing artifact", digest_of(b"nothing")):
        again.get_artifact(digest_of(b"nothing"))


def _check_locks(store: Store) -> None:
    other = Store.open(store.location)
    asked(store, 1)
    with store.exclusive():
        with _refused(CampaignError, "a second ask", "being asked by another run"), other.exclusive():
            pass
        _require(Journal(other).tell({0: 1.0}) == [0], "A tell waits for an ask.")
    for _ in range(20):  # what is released is free at once
        for one in (other, store):
            with one.exclusive():
                pass
    waited: list[bool] = []

    def wait() -> None:
        with other.exclusive(wait=30.0):
            waited.append(True)

    with store.exclusive():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.2)
        _require(not waited, "Two hold the lock at once.")
    thread.join(30)
    _require(waited == [True], "One who waits for the lock never gets it.")


def _check_snapshots(store: Store) -> None:
    asked(store, 2)
    with store.read() as before:
        last = before.last_id()
        Journal(Store.open(store.location)).tell({0: 1.0})
        told = [row.value for _, row in before.tables.rows()]
        _require(before.last_id() == last and told == [None, None], "A read sees what is written meanwhile.")


def _check_writers(store: Store, threads: int) -> None:
    each = 15
    ids = asked(store, threads * each)
    errors: list[BaseException] = []

    def write(mine: Sequence[int]) -> None:
        try:
            journal = Journal(Store.open(store.location))
            for id_ in mine:
                journal.tell({id_: float(id_), ids[0]: 0.0})
        except BaseException as error:  # shown by the thread that checks
            errors.append(error)

    workers = [threading.Thread(target=write, args=(ids[w::threads],)) for w in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    _require(not errors, f"Writers at once fail: {errors[:1]}")
    journal = Journal(Store.open(store.location))
    _require([t.value for t in journal.trials()] == [float(i) for i in ids], "Readings are lost or doubled.")
    told = [e.payload["id"] for e in journal.events() if e.kind == "told"]
    _require(sorted(told) == ids, "Events are lost or doubled when several write at once.")


def _change(store: Store, statement: Any) -> None:
    with store.write() as transaction:
        transaction.connection.execute(statement)


def _check_damaged_journal(store: Store) -> None:
    asked(store, 3)
    Journal(store).tell({0: 0.5, 1: 1.5, 2: 2.5})
    third = events_table.c.id == 4
    payload = store.events()[3].payload
    flipped = str(_told(1, 1.25).payload).replace("'", '"').replace("None", "null")
    _change(store, update(events_table).where(third).values(payload=flipped))
    with _refused(CampaignError, "a changed event", "event 4", "checksum"):
        Journal(Store.open(store.location))
    _require([e.id for e in _readable(store)] == [1, 2, 3], "Events before a damaged one are not read.")
    _require([t.value for t in _unchecked(store).trials()] == [0.5, 1.5, 2.5], "Intact readings are lost.")
    _require(any("event 4" in f.what for f in _unchecked(store).check()), "check misses a changed event.")
    _require(payload["id"] == 1, "The suite itself is wrong.")
    _change(store, delete(events_table).where(third))
    with _refused(CampaignError, "a missing event", "events 4 to 4", "missing"):
        Journal(Store.open(store.location))
    _change(store, delete(events_table).where(events_table.c.id >= 4))
    with _refused(CampaignError, "a journal cut short", "ends before"):
        Journal(Store.open(store.location))


def _readable(store: Store) -> list[Any]:
    found = []
    with store.read() as transaction:
        try:
            for event in transaction.events():
                found.append(event)
        except CampaignError:
            pass
    return found


def _unchecked(store: Store) -> Journal:
    """A journal opened before the damage."""
    journal = Journal.__new__(Journal)
    journal.store = store
    with store.read() as transaction:
        journal.settings = Settings.read(transaction.tables.settings() or {})
    return journal


def _check_damaged_tables(store: Store) -> None:
    asked(store, 3)
    journal = Journal(store)
    journal.tell({0: 0.5, 1: 1.5})
    sound = journal.trials()
    _change(store, update(trials_table).where(trials_table.c.id == 1).values(value=9.0))
    with _refused(CampaignError, "a changed trial", "trial 1", "check number"):
        journal.trials()
    _require(any("trials" in f.what for f in journal.check()), "check misses a changed trial.")
    journal.rebuild()
    _require(journal.trials() == sound and not journal.check(), "rebuild does not mend the tables.")
    _change(store, delete(trials_table).where(trials_table.c.id == 2))
    _require(journal.check() != [], "check misses a lost trial.")
    journal.rebuild()
    _require(journal.trials() == sound, "rebuild does not bring a lost trial back.")


def _check_damaged_designs(store: Store) -> None:
    asked(store, 2)
    journal = Journal(store)
    digest = digest_of(b"design 1")
    _change(store, update(blobs_table).where(blobs_table.c.sha256 == digest).values(content=b"design 7"))
    with _refused(CampaignError, "a changed design", digest[:12]):
        journal.trials()
    _require(journal.trials([0])[0].design == b"design 0", "An intact design is not read.")
    _require(any("1 trials" in f.what for f in journal.check()), "check misses a changed design.")
