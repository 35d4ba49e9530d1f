"""A small world: strings of letters, a proposer that draws new ones, and the reward of a string."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from seiko.campaign.campaign import Campaign
from seiko.domains.base import Domain
from seiko.proposers.base import Proposal
from seiko.records import History

LETTERS = "abcdef"
LENGTH = 4


def is_word(design: Any) -> bool:
    return isinstance(design, str) and len(design) == LENGTH and set(design) <= set(LETTERS)


def domain(**changes: Any) -> Domain[str]:
    parts: dict[str, Any] = {
        "name": "words",
        "decode": lambda state, condition: ["".join(LETTERS[i] for i in row) for row in state.argmax(-1)],
        "features": lambda designs: torch.tensor([[float(w.count(a)) for a in LETTERS] for w in designs]),
        "is_valid": is_word,
        "key": lambda design: design,
        "to_bytes": str.encode,
        "from_bytes": bytes.decode,
        "render": lambda design: f"<b>{design}</b>",
        "why_invalid": lambda design: f"it must be {LENGTH} letters of {LETTERS}",
    }
    return Domain(**{**parts, **changes})


def reward(word: str) -> float:
    return sum(math.sin(LETTERS.index(letter) + i) for i, letter in enumerate(word))


class Drawer:
    """Draws new words at random; counts its calls in an artifact and sums what it has seen."""

    def propose(
        self,
        history: History[str],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[str]:
        taken, words = set(history.keys), []
        while len(words) < num_queries:
            indices = torch.randint(len(LETTERS), (LENGTH,), generator=generator).tolist()
            word = "".join(LETTERS[i] for i in indices)
            if word not in taken:
                taken.add(word)
                words.append(word)
        calls = json.loads(resume["state.json"])["calls"] + 1 if resume else 1
        total = sum(t.value for t in history.complete if t.value is not None)
        state = json.dumps({"calls": calls, "total": total}).encode()
        return Proposal(
            designs=words,
            predictions=[(total + i, 0.5) for i in range(num_queries)],
            artifacts={"state.json": state, "weights": bytes(1000) + state},
            report={"reward/total": total, "round/open": len(history.open)},
        )


class Answering:
    """Answers whatever it was made with; a function of (history, number) makes the answer."""

    def __init__(self, answer: Callable[[History[str], int], Any]) -> None:
        self.answer = answer

    def propose(self, history: History[str], num_queries: int, **_: Any) -> Any:
        return self.answer(history, num_queries)


def words(*designs: str) -> Answering:
    """A proposer that always gives these."""
    return Answering(lambda history, number: Proposal(designs))


def create(
    path: Any, *, proposer: Any = None, budget: int = 12, num_queries: int = 3, **more: Any
) -> Campaign[str]:
    return Campaign.create(
        path, domain=domain(), proposer=proposer or Drawer(), budget=budget, num_queries=num_queries, **more
    )


def reopen(path: Any, *, proposer: Any = None) -> Campaign[str]:
    return Campaign.open(path, domain=domain(), proposer=proposer or Drawer())


def scores(trials: Sequence[Any]) -> dict[int, float]:
    return {t.id: reward(t.design) for t in trials}
