"""Online PPO: the true reward is climbed directly, every sample is a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from seiko import tree
from seiko.chain import Chain, fork, frozen, sample_path
from seiko.checkpoints import load_weights, tensors_from_bytes, tensors_to_bytes
from seiko.domains.base import Domain
from seiko.errors import NotEnoughDesignsError
from seiko.proposers.base import Proposal, check_num_queries
from seiko.records import History
from seiko.typing import Condition, State
from seiko.updaters.base import KLPenalty, Objective, lowest_where_infeasible, measure, summarize
from seiko.updaters.policy_gradient import Paths, PolicyGradient, stack_states

Design = TypeVar("Design")
WEIGHTS, PATHS = "chain.safetensors", "paths.safetensors"


@dataclass(frozen=True)
class OnlinePPO(Generic[Design]):
    """KL-penalised PPO on the true reward (the paper's *Online PPO* baseline).

    A round asks for the designs at the ends of sampled paths; the next moves the chain by their readings,
    with the same clipped and KL-penalised gradient as `PolicyGradient`, and no surrogate. A sample that
    repeats a told design takes its reading without a new query; an invalid or infeasible one takes the lowest
    reading of its batch; one that failed, or has no reading yet, is left out.

    Args:
        chain: The pre-trained chain; never changed.
        domain: What its states are.
        updater: Settings of the gradient; its `num_epochs` are the passes over each round's paths.
        kl_weight: Weight of the divergence to the pre-trained chain, in reward units per nat.
        max_draws: Batches of paths drawn at most to find enough new valid designs.
    """

    chain: Chain
    domain: Domain[Design]
    _: KW_ONLY
    updater: PolicyGradient = PolicyGradient(num_iterations=1, num_epochs=4)
    kl_weight: float = 0.1
    max_draws: int = 10

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]:
        """Learn from the last round's paths, then sample the next ones."""
        check_num_queries(num_queries)
        student, report = fork(self.chain), {}
        if WEIGHTS in resume:
            _load(student, resume[WEIGHTS])
        if PATHS in resume and (paths := self._told(resume[PATHS], history)) is not None:
            report = self._learn(student, paths, generator)
        artifacts = {WEIGHTS: _save(student)}
        designs: list[Design] = []
        if num_queries:
            designs, states, condition = self._sample(student, history, num_queries, generator)
            artifacts[PATHS] = tensors_to_bytes(_flat(states, "state") | _flat(condition, "condition"))
        return Proposal(designs, artifacts=artifacts, report=report)

    def _told(self, recorded: bytes, history: History[Design]) -> Paths | None:
        """The recorded paths whose designs were told, with their readings; None where no reading is."""
        tensors, _ = tensors_from_bytes(recorded, source=f"The artifact {PATHS}")
        states: Any = _unflat(tensors, "state")
        condition = _unflat(tensors, "condition")
        told = {trial.key: -torch.inf for trial in history.infeasible}
        told |= {t.key: t.value for t in history.complete if t.value is not None}
        designs = self.domain.decode(tree.tree_map(lambda leaf: leaf[-1], states), condition)
        earned = [told.get(self.domain.key(d)) if self.domain.is_valid(d) else -torch.inf for d in designs]
        rows = [row for row, value in enumerate(earned) if value is not None]
        values = torch.tensor([earned[row] for row in rows])
        if not torch.isfinite(values).any():
            return None
        return Paths(
            tree.tree_map(lambda leaf: leaf[:, rows], states),
            lowest_where_infeasible(values),
            None if condition is None else tree.index(condition, torch.tensor(rows)),
        )

    def _learn(self, student: Chain, paths: Paths, generator: torch.Generator) -> dict[str, Any]:
        penalty = KLPenalty(frozen(self.chain), self.kl_weight)
        objective = Objective(
            lambda state, condition: paths.values, (penalty,), condition=self.domain.condition
        )
        descent = self.updater.descent(student)
        self.updater.improve(student, paths, objective, descent, 1.0, generator)
        free = replace(objective, value=lambda state, condition: torch.zeros(tree.batch_size(state)))
        _, kl = measure(student, free, self.updater.measure_samples, generator=generator)
        done = summarize(objective, paths.values, kl, multiplier=1.0, gradient_norm=descent.norm)
        return {
            "objective/total": done.objective,
            "objective/value": done.value,
            "update/gradient_norm": done.gradient_norm,
            "kl/pretrained_nats": done.kl["pretrained"],
        }

    def _sample(
        self, student: Chain, history: History[Design], num_queries: int, generator: torch.Generator
    ) -> tuple[list[Design], State, Condition]:
        """New valid designs, and all paths that were drawn on the way with their conditions."""
        designs: list[Design] = []
        seen, kept, given = set(history.keys), [], []
        for _ in range(self.max_draws):
            if len(designs) == num_queries:
                break
            condition = self.domain.condition(num_queries, generator)
            path = stack_states(sample_path(student, num_queries, condition=condition, generator=generator))
            ends = self.domain.decode(tree.tree_map(lambda leaf: leaf[-1], path), condition)
            used = 0
            for design in ends:
                if len(designs) == num_queries:
                    break
                used += 1
                if self.domain.is_valid(design) and (key := self.domain.key(design)) not in seen:
                    seen.add(key)
                    designs.append(design)
            kept.append(tree.tree_map(lambda leaf, used=used: leaf[:, :used], path))
            if condition is not None:
                given.append(tree.index(condition, slice(used)))
        if len(designs) < num_queries:
            raise NotEnoughDesignsError(
                f"{num_queries} valid designs that were not asked before are needed; "
                f"{self.max_draws * num_queries} samples held {len(designs)}.",
                hint="Ask for fewer designs, or raise `kl_weight` so that the chain keeps its variety.",
            )
        states = tree.tree_map(lambda *parts: torch.cat(parts, 1), *kept)
        return designs, states, tree.concat(given) if given else None


def _save(chain: Chain) -> bytes:
    assert isinstance(chain, nn.Module)
    return tensors_to_bytes(chain.state_dict())


def _load(chain: Chain, content: bytes) -> None:
    assert isinstance(chain, nn.Module)
    load_weights(chain, tensors_from_bytes(content, source=f"The artifact {WEIGHTS}")[0], source=WEIGHTS)


def _flat(state: Condition, prefix: str) -> dict[str, Tensor]:
    if state is None:
        return {}
    if isinstance(state, Tensor):
        return {prefix: state}
    return {k: v for name, leaf in state.items() for k, v in _flat(leaf, f"{prefix}/{name}").items()}


def _unflat(tensors: Mapping[str, Tensor], prefix: str) -> Condition:
    if prefix in tensors:
        return tensors[prefix]
    start = f"{prefix}/"
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)} or None
