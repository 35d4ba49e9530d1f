"""Pools of paths beside the references of an objective, drawn anew or kept for a campaign."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from seiko import shares
from seiko.chain import Chain, rollout
from seiko.typing import State
from seiko.updaters.base import Objective, start_kl
from seiko.updaters.training import Paths, join_paths, stack_states


@dataclass(frozen=True)
class PoolSize:
    """How much is drawn and kept.

    Attributes:
        num_paths: Paths.
        batch_size: Rows sampled at once.
        whole_paths: Whether all states are kept, or the last ones alone.
    """

    num_paths: int
    batch_size: int
    whole_paths: bool


@dataclass(frozen=True)
class Pool:
    """Paths, infeasible ones with value -inf, and their log-ratio and divergence to each reference, [n]."""

    paths: Paths
    log_ratio: dict[str, Tensor]
    kl: dict[str, Tensor]

    @property
    def values(self) -> Tensor:
        return self.paths.values

    @torch.no_grad()
    def valued(self, objective: Objective, batch_size: int) -> Pool:
        """The same paths by another objective's values."""
        rows = torch.arange(len(self.values)).split(batch_size)
        values = [objective.values(self.paths.ends(part), self.paths.condition_of(part)) for part in rows]
        return replace(self, paths=replace(self.paths, values=torch.cat(values)))

    def means(self) -> dict[str, float]:
        """Of the feasible values, and of the divergences."""
        finite = self.values[torch.isfinite(self.values)]
        return {"value": float(finite.mean())} | {
            f"kl/{name}": float(kl.mean()) for name, kl in self.kl.items()
        }


@torch.no_grad()
def draw_pool(
    chain: Chain, objective: Objective, size: PoolSize, *, twin: Chain | None, generator: torch.Generator
) -> Pool:
    """Sample a pool and compare each step with the references; `twin` is known to equal the chain."""

    def work(num_paths: int, own: torch.Generator) -> tuple[Any, ...]:
        pool = _draw_share(chain, objective, replace(size, num_paths=num_paths), twin, own)
        return pool.paths.states, pool.values, pool.paths.condition, pool.log_ratio, pool.kl

    parts = shares.current().each(size.num_paths, generator, work)
    return _join([Pool(Paths(*part[:3]), *part[3:]) for part in parts])


def kept_pool(
    source: Chain, objective: Objective, number: int, size: PoolSize, generator: torch.Generator
) -> Pool:
    """A pool of the pre-trained chain; of one that is compared with nothing else, the campaign's own."""
    if len(objective.penalties) > 1:
        return draw_pool(source, objective, size, twin=source, generator=generator)
    key, pools = (objective.seed, number, size), _KEPT.setdefault(source, {})
    for other in [kept for kept in pools if kept[0] != objective.seed]:
        del pools[other]
    if key in pools:
        pools[key] = pools[key].valued(objective, size.batch_size)
    else:
        seeded = torch.Generator(generator.device).manual_seed(objective.seed + number)
        pools[key] = draw_pool(source, objective, size, twin=source, generator=seeded)
    return pools[key]


_KEPT: WeakKeyDictionary[Chain, dict[tuple[int, int, PoolSize], Pool]] = WeakKeyDictionary()
"""Pools of pre-trained chains, of each chain's last campaign."""


def _draw_share(
    chain: Chain, objective: Objective, size: PoolSize, twin: Chain | None, generator: torch.Generator
) -> Pool:
    parts: list[Pool] = []
    for start in range(0, size.num_paths, size.batch_size):
        count = min(size.batch_size, size.num_paths - start)
        condition = objective.condition(count, generator)
        kl = start_kl(chain, objective, count, condition)
        ratio = {name: torch.zeros_like(rows) for name, rows in kl.items()}
        states: list[State] = []
        for step in rollout(chain, count, condition=condition, generator=generator):
            states = [*(states or [step.state]), step.next_state]
            if not size.whole_paths:
                states = states[-1:]
            own = step.transition.log_prob(step.next_state)
            for penalty in objective.penalties:
                if penalty.reference is twin:
                    continue
                law = penalty.reference.transition(step.state, step.index, condition)
                kl[penalty.name] = kl[penalty.name] + step.transition.kl(law)
                ratio[penalty.name] = ratio[penalty.name] + law.log_prob(step.next_state) - own
        values = objective.values(states[-1], condition)
        parts.append(Pool(Paths(stack_states(states), values, condition), ratio, kl))
    return _join(parts)


def _join(parts: list[Pool]) -> Pool:
    def joined(name: str) -> dict[str, Any]:
        return {key: torch.cat([getattr(p, name)[key] for p in parts]) for key in getattr(parts[0], name)}

    return Pool(join_paths([part.paths for part in parts]), joined("log_ratio"), joined("kl"))
