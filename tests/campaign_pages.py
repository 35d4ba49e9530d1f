"""Campaigns of words to write pages of: told in every way, at every stage, with malicious notes."""

from __future__ import annotations

import random

import torch

from seiko.campaign import Campaign
from seiko.domains.base import Domain
from seiko.proposers.base import Proposal
from seiko.records import Budget, Observation

EVIL = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}$x_{$"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text>{}</text></svg>'


def score(word):
    return word.count("A") - 0.5 * word.count("T")


def domain(**changes):
    parts = {
        "name": "words",
        "decode": lambda state, condition: [],
        "features": lambda words: torch.zeros(len(words), 1),
        "is_valid": lambda word: True,
        "key": str,
        "to_bytes": str.encode,
        "from_bytes": bytes.decode,
        "render": SVG.format,
    }
    return Domain(**parts | changes)


class Words:
    """New random words; from the second round on predicted with an error of 1 and this much confidence."""

    def __init__(self, std=1.0, shift=0.0):
        self.std, self.shift = std, shift

    def propose(self, history, num_queries, *, resume, generator):
        rng = random.Random(history.next_round)
        words = list(dict.fromkeys("".join(rng.choices("ACGT", k=8)) for _ in range(2 * num_queries)))
        words = [word for word in words if word not in history.keys][:num_queries]
        if not history.complete:
            return Proposal(words, report={"round/valid_fraction": 0.95})
        predicted = [(score(w) + rng.gauss(self.shift, 1.0), self.std) for w in words]
        number = history.next_round
        report = {"kl/pretrained_nats": 1.5 * number, "kl/previous_nats": 0.5, "round/valid_fraction": 0.8}
        return Proposal(words, predicted, report=report)


def begun(folder, *, proposer=None, config=None, name="first", num_queries=20, **changes):
    return Campaign.create(
        folder, domain=domain(**changes), proposer=proposer or Words(),
        budget=Budget(1000, unit="EUR", cost=2), num_queries=num_queries, name=name, config=config,
    )  # fmt: skip


def attach(campaign, count=8, note="plate of 2019"):
    rng = random.Random(5)
    words = ["".join(rng.choices("ACGT", k=8)) for _ in range(count)]
    campaign.attach(words, [Observation(score(w), noise_std=0.2, note=note) for w in words])


def tell(campaign, trials, *, note="", failed=0, infeasible=0):
    """The first ones fail, the next have no reward, every third of the rest is read three times."""
    told = {}
    for number, trial in enumerate(trials):
        value = score(trial.design)
        if number < failed:
            told[trial.id] = Observation.failed(note or "clogged")
        elif number < failed + infeasible:
            told[trial.id] = Observation.infeasible(note)
        elif number % 3 == 0:
            told[trial.id] = Observation.replicates([value - 0.3, value, value + 0.3])
        else:
            told[trial.id] = Observation(value, noise_std=0.4, note=note)
    campaign.tell(told)


def whole(folder, *, rounds=3, note="", **more):
    """Attached readings, rounds of which the last is told by half, a correction, and a batch that waits."""
    campaign = begun(folder, **more)
    attach(campaign)
    for number in range(rounds):
        trials = campaign.ask()
        tell(campaign, trials[: 10 if number == rounds - 1 else None], note=note, failed=2, infeasible=3)
    campaign.amend(
        {campaign.best(1)[0].id: Observation(9.25, noise_std=0.1)}, reason=note or "digits swapped"
    )
    return campaign
