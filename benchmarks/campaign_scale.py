"""How long the verbs of a campaign take when it has very many readings, on SQLite and PostgreSQL.

Run: python benchmarks/campaign_scale.py --readings 10000 100000 1000000

Fills a campaign with told trials of short texts, then times, with the campaign opened anew: status, a
tell of 1,000 readings, an ask of 100 by a proposer that looks up every taken key and does nothing else
("ask"), and by one that also reads the history of all told trials with their designs ("ask, reading all").
PostgreSQL is a private server with its default settings, fsync included.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from seiko.campaign import Campaign, Journal
from seiko.campaign.artifacts import digest_of
from seiko.campaign.ledger import NewEvent
from seiko.campaign.settings import Settings
from seiko.campaign.store import Store
from seiko.domains.base import Domain
from seiko.proposers.base import Proposal
from seiko.records import Budget

DRAWING = b"<b/>"


def texts() -> Domain[str]:
    """Designs that are any text."""
    return Domain(
        "texts",
        decode=lambda state, condition: [],
        features=lambda designs: None,  # type: ignore[arg-type, return-value]
        is_valid=lambda design: True,
        key=str,
        to_bytes=str.encode,
        from_bytes=bytes.decode,
        render=lambda design: DRAWING.decode(),
    )


class Counting:
    """Proposes the next texts that are not taken."""

    def __init__(self, *, read_all: bool) -> None:
        self.read_all = read_all

    def propose(self, history: Any, num_queries: int, **_: Any) -> Proposal[str]:
        number = len(history.keys)
        if self.read_all:
            sum(trial.value for trial in history.complete)
        return Proposal([f"new {number + i}" for i in range(num_queries)])


def filled(location: str, count: int) -> None:
    """A campaign of `count` told trials, and 1,000 that are awaited."""
    settings = Settings("scale", "texts", "text/plain", Budget(10 * count + 10_000), 100, 0)
    store = Store.create(location, [NewEvent("created", settings.as_json())])
    for start in range(0, count + 1000, 20_000):
        stop = min(start + 20_000, count + 1000)
        designs = [f"design number {i}".encode() for i in range(start, stop)]
        trials = [attached(start + i, design, told=start + i < count) for i, design in enumerate(designs)]
        store.append(trials, blobs=[DRAWING, *designs])


def attached(id_: int, design: bytes, *, told: bool) -> NewEvent:
    """A design from elsewhere, with its reading."""
    value = (id_ * 2654435761 % 2**32) / 2**32
    reading = {"state": "complete", "value": value, "noise_std": 0.1, "note": ""}
    payload = {
        "id": id_,
        "key": design.decode(),
        "reserve": 0,
        "readings": [reading] if told else [],
        "design": digest_of(design),
        "rendering": digest_of(DRAWING),
    }
    return NewEvent("attached", payload)


def measured(location: str, count: int) -> dict[str, list[float]]:
    """Seconds of every verb, on the clock and of this process."""
    domain = texts()

    def ask(read_all: bool) -> Callable[[], object]:
        return lambda: Campaign.open(location, domain=domain, proposer=Counting(read_all=read_all)).ask()

    again = Journal.open(location)
    readings = {count + i: float(i) for i in range(1000)}
    return {
        "open and status": timed(lambda: Journal.open(location).status()),
        "status": timed(again.status),
        "tell of 1,000": timed(lambda: again.tell(readings)),
        "told again": timed(lambda: again.tell(readings)),
        "ask": timed(ask(False)),
        "ask, reading all": timed(ask(True)),
    }


def timed(call: Callable[[], object]) -> list[float]:
    """Seconds on the clock, and of this process on its core: apart, the machine or a server was busy."""
    begun, worked = time.perf_counter(), time.process_time()
    call()
    return [round(time.perf_counter() - begun, 3), round(time.process_time() - worked, 3)]


@contextmanager
def places(names: list[str]) -> Iterator[dict[str, Callable[[int], str]]]:
    """For each backend, the location of a campaign of some size."""
    from postgres_server import server

    with ExitStack() as stack:
        found: dict[str, Callable[[int], str]] = {}
        if "sqlite" in names:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            found["sqlite"] = lambda count: f"{folder}/{count}"
        if "postgres" in names:
            url = stack.enter_context(server(options=()))
            found["postgres"] = lambda count: f"{url}#scale-{count}"
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--backends", nargs="+", default=["sqlite", "postgres"])
    given = parser.parse_args()
    import torch  # so that no ask is charged with importing it

    torch.manual_seed(0)
    with places(given.backends) as found:
        for name, place in found.items():
            for count in given.readings:
                seconds = {"fill": timed(lambda p=place, c=count: filled(p(c), c))}
                seconds |= measured(place(count), count)
                print(json.dumps({"backend": name, "readings": count, **seconds}), flush=True)


if __name__ == "__main__":
    main()
