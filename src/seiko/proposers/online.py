"""SEIKO: Algorithm 1 of "Feedback Efficient Online Fine-Tuning of Diffusion Models" (arXiv 2402.16359)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from seiko import shares
from seiko.acquisitions import Acquisition, Mean
from seiko.chain import Chain, fork, frozen
from seiko.checkpoints import load_weights, tensors_from_bytes, tensors_to_bytes
from seiko.domains.base import Domain
from seiko.errors import ParameterError
from seiko.proposers.base import Proposal, check_num_queries
from seiko.proposers.moves import draw_edits
from seiko.proposers.sampling import (
    Pool,
    diverse_batch,
    draw_pool,
    draw_variations,
    feasible_states,
    sampler,
    thompson_batch,
    top_up,
    value_of_states,
)
from seiko.proposers.scoring import Score, calibration, fit_score, predict
from seiko.records import History
from seiko.surrogates.base import Surrogate
from seiko.surrogates.feasibility import FeasibilityModel
from seiko.updaters.base import (
    KLPenalty,
    KLTarget,
    Objective,
    ShareOfEntropy,
    Updater,
    UpdateReport,
    check_kl_target,
    kl_target_nats,
)

Design = TypeVar("Design")
WEIGHTS = "chain.safetensors"
MAX_DRAWN = 1500
"""Candidates that functions are drawn over jointly, those of the highest score."""


@dataclass(frozen=True)
class OnlineFineTuner(Generic[Design]):
    """Fine-tunes a chain between batches of queries; every variant of SEIKO is a setting of it.

    ========================================================= ==========================================
    step of a round                                           here
    ========================================================= ==========================================
    1    sample designs from p(i-1), choose, query            ``_choose``; the campaign asks
    2    add the readings                                     ``History``
    3    fit the surrogate to everything told                 ``fit_score``
    4    climb its optimistic value under both divergences    ``_climb``: `updater` on the objective
    ========================================================= ==========================================

    The objective is ``E[acquisition] - w_pre KL(p || pre-trained) - w_prev KL(p || p(i-1))``.

    Differs: queries may be *chosen* (``select="acquisition"``), and the model that is handed over in the end,
    when nothing is left to ask, climbs `final_acquisition`: optimism pays only where readings follow.

    Args:
        chain: The pre-trained chain; never changed.
        domain: What its states are.
        surrogate: Recipe of the learned stand-in for the reward.
        acquisition: What is climbed and what queries are chosen by.
        updater: How it is climbed.
        select: "samples" queries plain new samples, as the paper does. "acquisition" draws a pool, scores it
            by the acquisition and the feasibility model, and takes a diverse top batch (`diverse_batch`).
            "thompson" takes of the same pool what functions drawn from the posterior want (`thompson_batch`).
        kl_weight_pretrained: w_pre, in reward units per nat.
        kl_weight_previous: w_prev in reward units per nat, or "telescoping" for ``w_prev,i = w_pre (i - 1)``,
            under which the law is ``p_pre exp(mean of all acquisitions / w_pre)``.
        kl_target: Wanted KL to the pre-trained chain (where w_pre is 0, to the previous round), in nats or as
            a share of the pre-trained chain's entropy; scales both weights together. None keeps the weights.
        pool_size: Samples drawn to choose from.
        num_generations: How often the pool is extended by variations of the most wanted designs of it and of
            the history (`draw_variations`).
        generation_size: How many variations each time.
        num_parents: Of how many designs; as many as are asked for if None.
        crossover_rate: Share of the variations that are of two parents, where designs can be crossed.
        edit_rate: Share of the variations that are made without the chain (`draw_edits`): small changes of
            designs near the best told, where the surrogate knows most.
        diversity: See `diverse_batch`.
        feasibility: Model of the probability P that a design has a reward, learned from infeasible readings:
            ``std of the told values * log P`` is added to the acquisition. None leaves it out.
        final_acquisition: Climbed when no designs are asked for.
        final_updater: How it is climbed then; `updater` if None. Between rounds a step towards a maximum that
            the next readings move is enough; the last one is worth reaching.
        adapt: "always" learns in every round; "finally" only when no designs are asked for (non-adaptive).

    Raises:
        ParameterError: If a name or number is outside of what is allowed.
    """

    chain: Chain
    domain: Domain[Design]
    _: KW_ONLY
    surrogate: Surrogate
    acquisition: Acquisition
    updater: Updater
    select: Literal["samples", "acquisition", "thompson"] = "samples"
    kl_weight_pretrained: float = 1.0
    kl_weight_previous: float | Literal["telescoping"] = 0.0
    kl_target: float | ShareOfEntropy | None = None
    pool_size: int = 1000
    num_generations: int = 0
    generation_size: int = 1000
    num_parents: int | None = None
    crossover_rate: float = 0.0
    edit_rate: float = 0.0
    diversity: float = 0.5
    feasibility: FeasibilityModel | None = FeasibilityModel()
    final_acquisition: Acquisition = Mean()
    final_updater: Updater | None = None
    adapt: Literal["always", "finally"] = "always"

    def __post_init__(self) -> None:
        choices = {"select": ("samples", "acquisition", "thompson"), "adapt": ("always", "finally")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ParameterError(f"`{name}` must be one of {allowed}; got {getattr(self, name)!r}.")
        weight = self.kl_weight_previous
        if isinstance(weight, str) and weight != "telescoping":
            raise ParameterError(
                f'`kl_weight_previous` must be a number >= 0 or "telescoping"; got {weight!r}.'
            )
        KLPenalty(self.chain, self.kl_weight_pretrained)
        if not isinstance(weight, str):
            KLPenalty(self.chain, weight, "previous")
        check_kl_target(self.kl_target)
        for name, least in (("pool_size", 1), ("num_generations", 0), ("generation_size", 1)):
            if getattr(self, name) < least:
                raise ParameterError(f"`{name}` must be an integer >= {least}; got {getattr(self, name)!r}.")
        if self.num_parents is not None and self.num_parents < 1:
            raise ParameterError(f"`num_parents` must be an integer >= 1 or None; got {self.num_parents!r}.")
        for name in ("crossover_rate", "edit_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(f"`{name}` must be in [0, 1]; got {getattr(self, name)!r}.")
        if self.edit_rate and (self.domain.mutate is None or self.domain.crossover is None):
            raise ParameterError(
                f"`edit_rate` of {self.edit_rate!r} needs a domain with `mutate` and `crossover`; "
                f"{self.domain.name!r} has not both.",
                hint="Set `edit_rate` to 0.",
            )

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]:
        """One round, from everything told so far to the next designs. Asked for 0 designs it only learns."""
        check_num_queries(num_queries)
        current = _Current.restore(self.chain, resume, generator)
        report: dict[str, Any] = dict(calibration(history))
        score: Score[Design] | None = None
        is_last = num_queries == 0
        if history.complete and (self.adapt == "always" or is_last):
            acquisition = self.final_acquisition if is_last else self.acquisition
            score = fit_score(
                history,
                self.domain,
                self.surrogate,
                acquisition,
                feasibility=self.feasibility,
                generator=generator,
            )
            readings = fingerprint(history)
            if readings != current.readings or is_last:
                updater = self.final_updater if is_last and self.final_updater else self.updater
                current, update = self._climb(updater, current, score, readings, generator)
                report |= update
        designs: Sequence[Design] = ()
        if not is_last:
            designs, chosen = self._choose(current.chain, history, num_queries, score, generator)
            report |= chosen
        return Proposal(
            designs,
            predictions=predict(score.model if score else None, self.domain, designs),
            artifacts=current.artifacts(),
            report=report,
        )

    def _climb(
        self,
        updater: Updater,
        current: _Current,
        score: Score[Design],
        readings: str,
        generator: torch.Generator,
    ) -> tuple[_Current, dict[str, float]]:
        """p(i): the maximiser of the optimistic objective, from p(i-1) on."""
        update = current.num_updates + 1
        weight = self.kl_weight_previous
        if weight == "telescoping":
            weight = self.kl_weight_pretrained * (update - 1)
        penalties = [KLPenalty(self._pretrained, self.kl_weight_pretrained)]
        if float(weight) > 0:
            # The start of the update itself: an updater that knows them equal saves the comparison.
            penalties.append(KLPenalty(current.chain, float(weight), "previous"))
        objective = Objective(
            value_of_states(self.domain, score.with_gradients),
            tuple(penalties),
            condition=self.domain.condition,
            differentiable=self.domain.soft_features is not None,
            feasible=feasible_states(self.domain),
            target=self._target,
            multiplier=current.multiplier,
            seed=current.seed,
        )
        chain, report = updater.update(current.chain, objective, generator=generator)
        target = {} if objective.target is None else {"kl/target_nats": objective.target.nats}
        return (
            _Current(chain, update, readings, report.multiplier, current.seed),
            _named(report) | target,
        )

    @cached_property
    def _pretrained(self) -> Chain:
        """One object for all updates, so that an updater knows it again."""
        return frozen(self.chain)

    @cached_property
    def _target(self) -> KLTarget | None:
        """The target, to the pre-trained chain unless that has no weight."""
        nats = kl_target_nats(self.kl_target, self.chain, self.domain.condition)
        name = "pretrained" if self.kl_weight_pretrained > 0 else "previous"
        return None if nats is None else KLTarget(nats, name)

    def _choose(
        self,
        chain: Chain,
        history: History[Design],
        num_queries: int,
        score: Score[Design] | None,
        generator: torch.Generator,
    ) -> tuple[list[Design], dict[str, float]]:
        """The designs to ask for: plain samples, or the best of a pool."""
        chosen_by_score = score is not None and self.select != "samples"
        size = self.pool_size if chosen_by_score else num_queries
        pool = draw_pool(
            chain, self.domain, history.keys, least=num_queries, size=size, generator=generator, short=True
        )
        plain = sampler(self.chain, self.domain)
        report = top_up(pool, plain, self.domain, least=num_queries, size=size, generator=generator)
        if not chosen_by_score:
            return pool.designs[:num_queries], report
        assert score is not None
        features, wanted = self._vary(chain, pool, history, self.num_parents or num_queries, score, generator)
        if self.select == "acquisition":
            rows = diverse_batch(wanted, features, num_queries, diversity=self.diversity)
        else:
            likely = wanted.argsort(descending=True)[: max(MAX_DRAWN, num_queries)]
            draws = score.draws(features[likely], num_queries, generator)
            rows = likely[thompson_batch(draws)].tolist()
        return [pool.designs[row] for row in rows], report

    @torch.no_grad()
    def _vary(
        self,
        chain: Chain,
        pool: Pool[Design],
        history: History[Design],
        num_parents: int,
        score: Score[Design],
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Add generations of variations to a pool; the features and scores of all that is in it."""
        team = shares.current()
        features = team.rows(pool.designs, self.domain.features)
        wanted = score.of_features(features)
        if not self.num_generations:
            return features, wanted
        told = [trial.design for trial in history.complete]
        known = score(told)
        edits = round(self.edit_rate * self.generation_size)
        written = self.generation_size - edits
        for _ in range(self.num_generations):
            best = torch.cat([known, wanted]).argsort(descending=True)[:num_parents].tolist()
            parents = [told[row] if row < len(told) else pool.designs[row - len(told)] for row in best]
            children: list[Design] = []
            if written:
                children += draw_variations(
                    chain, self.domain, parents, written, generator, crossover_rate=self.crossover_rate
                )
            if edits:
                children += draw_edits(self._pretrained, self.domain, parents, edits, generator)
            if new := pool.add(children, self.domain):
                added = team.rows(new, self.domain.features)
                features = torch.cat([features, added])
                wanted = torch.cat([wanted, score.of_features(added)])
        return features, wanted


@dataclass(frozen=True)
class _Current:
    """p(i-1) and what the next update must know of it."""

    chain: Chain
    num_updates: int = 0
    readings: str = ""
    multiplier: float = 1.0
    seed: int = 0

    @classmethod
    def restore(cls, pretrained: Chain, resume: Mapping[str, bytes], generator: torch.Generator) -> _Current:
        """From the last artifacts, or the pre-trained chain itself."""
        if WEIGHTS not in resume:
            return cls(fork(pretrained), seed=generator.initial_seed() % 2**62)
        return cls(*load_chain(pretrained, resume))

    def artifacts(self) -> dict[str, bytes]:
        assert isinstance(self.chain, nn.Module)
        own = {name: p for name, p in self.chain.named_parameters() if p.requires_grad}
        metadata = {
            "num_updates": self.num_updates,
            "readings": self.readings,
            "multiplier": self.multiplier,
            "seed": self.seed,
        }
        return {WEIGHTS: tensors_to_bytes(own, metadata)}


def load_chain(pretrained: Chain, artifacts: Mapping[str, bytes]) -> tuple[Chain, int, str, float, int]:
    """A fine-tuned chain from its artifacts; its number of updates, `fingerprint`, KL multiplier and seed.

    Raises:
        WeightsError: If the artifact is corrupt or belongs to another chain.
    """
    tensors, metadata = tensors_from_bytes(artifacts[WEIGHTS], source=f"The artifact {WEIGHTS}")
    chain = fork(pretrained)
    assert isinstance(chain, nn.Module)
    trained = {name for name, parameter in chain.named_parameters() if parameter.requires_grad}
    tensors |= {name: tensor for name, tensor in chain.state_dict().items() if name not in trained}
    load_weights(chain, tensors, source=f"The artifact {WEIGHTS}")
    readings, seed = metadata.get("readings", ""), metadata.get("seed", 0)
    return chain, metadata["num_updates"], readings, metadata["multiplier"], seed


def fingerprint(history: History[Any]) -> str:
    """Of all readings: another one if any was added, repeated or corrected, or told as infeasible."""
    told: list[Any] = [(t.id, t.value, t.noise_std) for t in history.complete]
    told += [t.id for t in history.infeasible]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _named(update: UpdateReport) -> dict[str, float]:
    kl = {f"kl/{name}_nats": nats for name, nats in update.kl.items()}
    return {
        "objective/total": update.objective,
        "objective/value": update.value,
        "update/feasible_fraction": update.feasible,
        "update/effective_sample_size": update.effective_sample_size,
        "update/gradient_norm": update.gradient_norm,
        "kl/multiplier": update.multiplier,
        **kl,
        **({} if update.weighted_nats is None else {"kl/weighted_nats": update.weighted_nats}),
    }
