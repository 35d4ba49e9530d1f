"""Makes the campaign of this release that later ones must open: `python tests/golden/make.py FOLDER`.

It holds every kind of event. Made once per schema version, kept for ever.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "campaign"))

import campaign_world as world

from seiko.records import Budget, Observation


def make(folder: str) -> None:
    """A campaign of 2 attached and 6 asked words, forked, half told."""
    first = world.create(f"{folder}-parent", budget=Budget(20, cost=2.0), num_queries=3, seed=7)
    first.attach(["abcd", "dcba"], [Observation(0.5, 0.1, note="plate 0"), Observation.infeasible("no fold")])
    first.ask()
    first.tell(
        {2: Observation.replicates([1.0, 2.0]), 3: Observation.failed("broke"), 4: Observation(3.0, cost=1.5)}
    )
    first.retry([3])
    first.amend({4: 4.0}, reason="typing error")
    campaign = first.fork(folder, proposer=world.Drawer(), name="golden two", seed=8, config={"method": "b"})
    campaign.ask()
    campaign.start([5], timeout=1.0, by="robot 1")
    campaign.abandon([6], reason="toxic")
    campaign.finish()


if __name__ == "__main__":
    make(sys.argv[1])
