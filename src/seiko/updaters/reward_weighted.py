"""Reward-weighted updates: weight samples by the closed form of the maximum, and fit the chain to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Literal

import torch
from torch import Tensor

from seiko import draws
from seiko.chain import C, Chain, SupportsLoss, fork, frozen
from seiko.chains.base import DiffusionChain
from seiko.chains.clean import as_diffusion
from seiko.chains.contrast import contrast
from seiko.chains.posterior import check_posterior
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.updaters.base import KLTarget, Objective, UpdateReport, measure, summarize
from seiko.updaters.pools import Pool, PoolSize, draw_pool, kept_pool
from seiko.updaters.tilted_targets import TiltedTargets
from seiko.updaters.training import Descent, Paths, check_objective

Loss = Callable[[slice, torch.Generator], Tensor]


@dataclass(frozen=True)
class RewardWeighted:
    """Iterated self-normalised importance weighting towards the objective's closed form.

    Paths are drawn from the current chain p. With h the value and w = sum_j w_j, a path's weight is

    ``log weight = step / w * (h + sum_j w_j log(reference_j / p))``,

    the maximum's density over the current one, tempered by the largest ``step <= 1`` that keeps the effective
    sample size ``(sum weight)^2 / sum weight^2`` at `min_effective` of the feasible pool. The chain is then
    fitted to the weighted pool by maximum likelihood, and the pool is drawn anew. The fixed point is the
    closed form, whatever the steps. An infeasible sample has weight 0. No gradient of the value is needed.

    ``pools="pretrained"`` draws from the pre-trained chain q in place of p, with ``log(reference_j / q)``
    in the weights. Its own ratio is then 0, whatever has become of p, and nothing is ever fitted to samples
    of a fitted chain, which lose variety from fit to fit. It is for chains whose paths cannot be compared (of
    pixels their divergence is thousands of nats). `min_effective` must then be small, since no later pool
    makes up for a tempered one. Under a penalty to the pre-trained chain alone such a pool is drawn once and
    serves every update of a campaign (`Objective.seed`), so it can be large where samples are slow.

    The likelihood's mean under equal weights is known exactly, so only what the weights differ from it is
    left to chance (`path_loss`): the noise of a finite pool fades as the weights become equal.

    With a KL target the common multiplier of the weights is solved on the pool, so that the weighted pool has
    the wanted divergence. The chain fitted to it has another: few fits fall short of it, and what they learn
    of a finite pool beyond its law adds to it. The next pool's mean log-ratio says where the chain is, and
    with `calibrate` its aim lies beside the target by what the last fit lost, by half of it at most.

    Args:
        pools: "current" draws them from the chain that is fitted, "pretrained" from that penalty's reference.
        num_refreshes: How often the pool is drawn anew.
        pool_size: Paths in a pool.
        fit_iterations: Optimiser steps on each pool.
        batch_size: Rows of an optimiser step, drawn from the pool by weight.
        learning_rate: Of Adam.
        likelihood: "path" fits recorded steps, exact for every chain; "denoising" fits ``chain.loss`` on the
            last states with fresh corruption. It needs a chain trained that way, and is exact only as far as
            such training makes steps and corruption agree: for a Gaussian chain, in the limit of many steps.
            "posterior" does the same with the clean states that the weighted pool expects in place of single
            ones (`TiltedTargets`): far fewer fits, for Gaussian and masked processes. With pools of
            the pre-trained chain they begin at that chain, from which the targets say what changes.
        baseline: With "denoising", the share of what a fit to the whole pool would teach that is taken off
            (`contrast`), 0 to 1, at about three times the cost: less noise, and a chain that is not at the
            minimum of its loss on its own samples does not drift.
        reuse: With "posterior", how often a noised state and its target are used, for which the pool's chain
            and the value are asked once.
        min_effective: Least effective sample size, as a share of the feasible pool.
        max_weight: Weights are clipped at this many times their mean.
        clip_norm: Largest gradient norm.
        ema_decay: Of a moving average of the weights over the fits, with which each later pool is drawn and
            which is handed over; 0 takes the last weights.
        calibrate: Aim so that the chain, and not the weighted pool, ends at the KL target; it takes several
            pools, of the current chain.
        measure_samples: Fresh samples for the report.
        sample_batch: Rows sampled at once; it bounds memory.

    Example:
        >>> RewardWeighted(num_refreshes=2, pool_size=500).min_effective
        0.3
    """

    pools: Literal["current", "pretrained"] = "current"
    num_refreshes: int = 3
    pool_size: int = 1000
    fit_iterations: int = 60
    batch_size: int = 256
    learning_rate: float = 1e-3
    likelihood: Literal["path", "denoising", "posterior"] = "path"
    baseline: float = 0.0
    reuse: int = 1
    min_effective: float = 0.3
    max_weight: float = 50.0
    clip_norm: float = 1.0
    ema_decay: float = 0.0
    calibrate: bool = False
    measure_samples: int = 256
    sample_batch: int = 256

    def __post_init__(self) -> None:
        likelihoods, pools = ("path", "denoising", "posterior"), ("current", "pretrained")
        for name, allowed in (("likelihood", likelihoods), ("pools", pools)):
            if getattr(self, name) not in allowed:
                raise ParameterError(f"`{name}` must be one of {allowed}; got {getattr(self, name)!r}.")
        if not 0 < self.min_effective < 1:
            raise ParameterError(f"`min_effective` must be in (0, 1); got {self.min_effective!r}.")
        if not 0 <= self.baseline <= 1:
            raise ParameterError(f"`baseline` must be in [0, 1]; got {self.baseline!r}.")
        if self.reuse < 1:
            raise ParameterError(f"`reuse` must be an integer >= 1; got {self.reuse!r}.")
        if self.calibrate and self.pools == "pretrained":
            raise ParameterError(
                'calibrate=True needs pools="current".',
                hint="Those of the pre-trained chain do not tell where a fit ended.",
            )
        if not 0 <= self.ema_decay < 1:
            raise ParameterError(f"`ema_decay` must be in [0, 1); got {self.ema_decay!r}.")

    def update(self, chain: C, objective: Objective, *, generator: torch.Generator) -> tuple[C, UpdateReport]:
        """See `Updater`.

        Raises:
            ParameterError: If the KL weights sum to 0: the closed form needs a positive one.
            NotEnoughDesignsError: If no sample of a pool is feasible.
        """
        check_objective(chain, objective)
        if not sum(penalty.weight for penalty in objective.penalties) > 0:
            raise ParameterError(
                "RewardWeighted needs KL weights whose sum is > 0: without, the maximum is a single design.",
                hint="Set `kl_weight_pretrained` or `kl_weight_previous`.",
            )
        if self.likelihood == "denoising" and not isinstance(chain, SupportsLoss):
            raise ParameterError(
                'likelihood="denoising" needs a chain with `loss`.',
                hint='Use likelihood="path".',
            )
        if self.likelihood == "posterior":
            check_posterior(chain)
        student = fork(chain)
        if self.likelihood == "posterior" and self.pools == "pretrained":
            _begin_at(student, _pretrained(objective))
        descent = Descent(
            student,
            learning_rate=self.learning_rate,
            num_iterations=self.num_refreshes * self.fit_iterations,
            clip_norm=self.clip_norm,
            ema_decay=self.ema_decay,
        )
        size = PoolSize(self.pool_size, self.sample_batch, whole_paths=self.likelihood == "path")
        multiplier, share, fitted_to, trace = objective.multiplier, 1.0, 0.0, []
        for refresh in range(self.num_refreshes):
            if self.pools == "pretrained":
                source = _pretrained(objective)
                pool = kept_pool(source, objective, refresh, size, generator)
            else:
                source = student
                twin = chain if refresh == 0 else None
                pool = draw_pool(source, objective, size, twin=twin, generator=generator)
            aim = objective.target
            if self.calibrate and refresh and aim is not None:
                aim = _corrected(aim, fitted_to, pool)
            weights, multiplier, step = self._weigh(pool, replace(objective, target=aim), multiplier)
            if aim is not None:
                fitted_to = _divergence(weights, pool.log_ratio[aim.name])
            share = float(1 / (weights.square().sum() * len(weights)))
            self._fit(student, source, pool, weights * len(weights), objective, descent, generator)
            descent.settle()
            trace.append(
                {"effective_sample_size": share, "step": step, "multiplier": multiplier} | pool.means()
            )
        values, kl = measure(student, objective, self.measure_samples, generator=generator)
        report = summarize(
            objective,
            values,
            kl,
            multiplier=multiplier,
            gradient_norm=descent.norm,
            effective_sample_size=share,
            trace=trace,
        )
        if self.pools == "pretrained":
            report = replace(report, weighted_nats=_divergence(weights, torch.zeros_like(weights)))
        return student, report

    def _weigh(self, pool: Pool, objective: Objective, multiplier: float) -> tuple[Tensor, float, float]:
        """Normalised weights [n], the multiplier of the KL weights, and the tempering step."""
        if not torch.isfinite(pool.values).any():
            raise NotEnoughDesignsError(
                f"None of {len(pool.values)} samples of the chain is a feasible design to fit.",
                hint="Raise the KL weight to the pre-trained chain, or check the domain's `is_valid`.",
            )

        def log_weights(scale: float) -> Tensor:
            total = scale * sum(p.weight for p in objective.penalties)
            pull = [scale * p.weight * pool.log_ratio[p.name] for p in objective.penalties]
            return (pool.values + torch.stack(pull).sum(0)) / total

        target = objective.target
        if target is not None:
            ratio = pool.log_ratio[target.name]
            multiplier = _solve(
                lambda scale: _divergence(log_weights(scale).softmax(0), ratio) - target.nats, 1e-9, 1e9
            )
        full = log_weights(multiplier)
        step = _largest_step(full, self.min_effective)
        weights = (step * full).softmax(0)
        weights = weights.clamp_max(self.max_weight / len(weights))
        return weights / weights.sum(), multiplier, step

    def _fit(
        self,
        student: Chain,
        source: Chain,
        pool: Pool,
        weights: Tensor,
        objective: Objective,
        descent: Descent,
        generator: torch.Generator,
    ) -> None:
        """Move `student`, in place, to the weighted pool of `source`; `weights` [n] have mean 1."""
        if self.likelihood == "path":
            losses = self._of_steps(student, frozen(source), pool, weights, generator)
        elif self.likelihood == "denoising":
            teacher = frozen(source) if self.baseline else None
            losses = self._of_samples(student, teacher, pool, weights, generator)
        else:
            targets = TiltedTargets(
                as_diffusion(frozen(source)),
                pool.paths,
                weights,
                partial(objective.values, final=False),
                num_rows=math.ceil(self.fit_iterations * self.batch_size / self.reuse),
                batch_size=self.sample_batch,
                generator=generator,
            )
            losses = self._of_targets(as_diffusion(student), targets, generator)
        for loss in islice(losses, self.fit_iterations):
            descent.step(self.batch_size, loss, generator)

    def _of_targets(
        self, student: DiffusionChain, targets: TiltedTargets, generator: torch.Generator
    ) -> Iterator[Loss]:
        def loss(chosen: Tensor, rows: slice, _: torch.Generator) -> Tensor:
            return targets.loss(student, chosen[rows]).mean()

        return (partial(loss, chosen) for chosen in targets.batches(self.batch_size, generator))

    def _of_samples(
        self,
        student: Chain,
        teacher: Chain | None,
        pool: Pool,
        weights: Tensor,
        generator: torch.Generator,
    ) -> Iterator[Loss]:
        def loss(drawn: list[Tensor], rows: slice, own: torch.Generator) -> Tensor:
            chosen, *others = ((pool.paths.ends(d[rows]), pool.paths.condition_of(d[rows])) for d in drawn)
            less = 0.0 if teacher is None else contrast(student, teacher, *others[0], own).mean()
            return student.loss(*chosen, own).mean() - self.baseline * less  # type: ignore[attr-defined]

        while True:
            drawn = [draws.rows(weights, self.batch_size, generator)]
            if teacher is not None:
                drawn.append(torch.randint(len(weights), (self.batch_size,), generator=generator))
            yield partial(loss, drawn)

    def _of_steps(
        self, student: Chain, old: Chain, pool: Pool, weights: Tensor, generator: torch.Generator
    ) -> Iterator[Loss]:
        share = float(weights.mean() ** 2 / weights.square().mean())

        def loss(drawn: tuple[Tensor, Tensor, Tensor], rows: slice, _: torch.Generator) -> Tensor:
            steps, chosen, own_weights = (part[rows] for part in drawn)
            terms = path_loss(student, old, pool.paths, (steps, chosen), own_weights, share)
            return student.num_steps * terms.mean()

        while True:
            rows = torch.randint(len(weights), (self.batch_size,), generator=generator)
            steps = torch.randint(student.num_steps, rows.shape, generator=generator)
            yield partial(loss, (steps, rows, weights[rows]))


def path_loss(
    chain: Chain, old: Chain, paths: Paths, pairs: tuple[Tensor, Tensor], weights: Tensor, share: float
) -> Tensor:
    """``share * KL(old step || step) - (weight - share) * log p(step)`` of (step, row) pairs, in nats, [m].

    On paths drawn from `old`, ``E[log p] = -KL(old || p) + constant``, so for any `share` the mean is the
    weighted negative log-likelihood; the nearer the weights are to `share`, the less is left to chance.
    """
    now, after, condition = paths.at(*pairs)
    law = chain.transition(now, pairs[0], condition)
    with torch.no_grad():
        before = old.transition(now, pairs[0], condition)
    return share * before.kl(law) - (weights - share) * law.log_prob(after)


def _pretrained(objective: Objective) -> Chain:
    for penalty in objective.penalties:
        if penalty.name == "pretrained":
            return penalty.reference
    raise ParameterError(
        'pools="pretrained" needs a penalty to the pre-trained chain.', hint="Set `kl_weight_pretrained`."
    )


def _corrected(target: KLTarget, fitted_to: float, pool: Pool) -> KLTarget:
    """Beside the target by what the last fit lost, which the pool of the chain that it made tells."""
    lost = fitted_to + float(pool.log_ratio[target.name].mean())
    return replace(target, nats=min(max(target.nats + lost, 0.5 * target.nats), 1.5 * target.nats))


@torch.no_grad()
def _begin_at(student: Chain, source: Chain) -> None:
    """Give what is trained of `student` the values of `source`, a chain of the same make."""
    for parameter, value in zip(student.parameters(), source.parameters(), strict=True):
        if parameter.requires_grad:
            parameter.copy_(value)


def _divergence(weights: Tensor, log_ratio: Tensor) -> float:
    """KL of a weighted pool to the reference of its log-ratios [n], in nats; the weights [n] sum to 1."""
    terms = torch.special.xlogy(weights, weights * len(weights))
    return float((terms - torch.where(weights > 0, weights * log_ratio, 0.0)).sum())


def _effective_share(log_weights: Tensor) -> float:
    weights = log_weights.softmax(0)
    return float(1 / (weights.square().sum() * len(weights)))


def _largest_step(log_weights: Tensor, share: float) -> float:
    """The largest step in (0, 1] whose tempered weights keep the effective share of the feasible rows."""
    feasible = log_weights[torch.isfinite(log_weights)]
    if _effective_share(feasible) >= share:
        return 1.0
    return _solve(lambda step: share - _effective_share(step * feasible), 1e-15, 1.0)


def _solve(function: Callable[[float], float], least: float, most: float) -> float:
    """The argument at which a monotonic function crosses 0, by bisection of its logarithm."""
    low, high = math.log(least), math.log(most)
    falling = function(least) > function(most)
    for _ in range(50):
        middle = 0.5 * (low + high)
        above = function(math.exp(middle)) > 0
        low, high = (middle, high) if above == falling else (low, middle)
    return math.exp(low)
