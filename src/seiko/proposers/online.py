"""SEIKO: Algorithm 1 of "Feedback Efficient Online Fine-Tuning of Diffusion Models" (arXiv 2402.16359)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from seiko import shares
from seiko.acquisitions import Acquisition, BoundAcquisition, Mean
from seiko.chain import Chain, fork, frozen
from seiko.checkpoints import load_weights, tensors_from_bytes, tensors_to_bytes
from seiko.domains.base import Domain
from seiko.errors import ParameterError
from seiko.proposers.base import Proposal, check_num_queries
from seiko.proposers.sampling import Pool, diverse_batch, draw_pool, value_of_states
from seiko.records import History, Trial
from seiko.surrogates.base import Observations, Surrogate
from seiko.surrogates.feasibility import FeasibilityModel
from seiko.updaters.base import KLPenalty, KLTarget, Objective, Updater, UpdateReport

if TYPE_CHECKING:
    from botorch.models.model import Model

Design = TypeVar("Design")
WEIGHTS = "chain.safetensors"


@dataclass(frozen=True)
class OnlineFineTuner(Generic[Design]):
    """Fine-tunes a chain between batches of queries; every variant of SEIKO is a setting of it.

    ========================================================= ==========================================
    step of a round                                           here
    ========================================================= ==========================================
    1    sample designs from p(i-1), choose, query            ``_choose``; the campaign asks
    2    add the readings                                     ``History``
    3    fit the surrogate to everything told                 ``_fit``
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
            by the acquisition and the feasibility model, and takes a diverse top batch.
        kl_weight_pretrained: w_pre, in reward units per nat.
        kl_weight_previous: w_prev in reward units per nat, or "telescoping" for ``w_prev,i = w_pre (i - 1)``,
            under which the law is ``p_pre exp(mean of all acquisitions / w_pre)``.
        kl_target: Wanted KL to the pre-trained chain in nats; scales both weights together. None keeps
            the weights.
        pool_size: Samples drawn to choose from.
        diversity: See `diverse_batch`.
        feasibility: Model of the probability that a design has a reward, learned from infeasible readings.
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
    select: Literal["samples", "acquisition"] = "samples"
    kl_weight_pretrained: float = 1.0
    kl_weight_previous: float | Literal["telescoping"] = 0.0
    kl_target: float | None = None
    pool_size: int = 1000
    diversity: float = 0.5
    feasibility: FeasibilityModel = FeasibilityModel()
    final_acquisition: Acquisition = Mean()
    final_updater: Updater | None = None
    adapt: Literal["always", "finally"] = "always"

    def __post_init__(self) -> None:
        for name, allowed in (("select", ("samples", "acquisition")), ("adapt", ("always", "finally"))):
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
        if self.kl_target is not None:
            KLTarget(self.kl_target)
        if self.pool_size < 1:
            raise ParameterError(f"`pool_size` must be an integer >= 1; got {self.pool_size!r}.")

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
        current = _Current.restore(self.chain, resume)
        report: dict[str, Any] = dict(calibration(history))
        score: BoundAcquisition | None = None
        model: Model | None = None
        is_last = num_queries == 0
        if history.complete and (self.adapt == "always" or is_last):
            acquisition = self.final_acquisition if is_last else self.acquisition
            model, score = self._fit(history, acquisition, generator)
            readings = fingerprint(history)
            if readings != current.readings or is_last:
                updater = self.final_updater if is_last and self.final_updater else self.updater
                current, update = self._climb(updater, current, score, readings, generator)
                report |= _named(update)
        designs: Sequence[Design] = ()
        if not is_last:
            designs, chosen = self._choose(current.chain, history, num_queries, score, generator)
            report |= chosen
        return Proposal(
            designs,
            predictions=predict(model, self.domain, designs),
            artifacts=current.artifacts(),
            report=report,
        )

    def _fit(
        self, history: History[Design], acquisition: Acquisition, generator: torch.Generator
    ) -> tuple[Model, BoundAcquisition]:
        """The surrogate fitted to everything told, and the acquisition bound to it."""
        data = observations(history.complete, self.domain)
        model = self.surrogate.fit(data, generator=generator)
        return model, acquisition.bind(model, best_value=float(data.values.max()), generator=generator)

    def _climb(
        self,
        updater: Updater,
        current: _Current,
        score: BoundAcquisition,
        readings: str,
        generator: torch.Generator,
    ) -> tuple[_Current, UpdateReport]:
        """p(i): the maximiser of the optimistic objective, from p(i-1) on."""
        update = current.num_updates + 1
        weight = self.kl_weight_previous
        if weight == "telescoping":
            weight = self.kl_weight_pretrained * (update - 1)
        penalties = [KLPenalty(frozen(self.chain), self.kl_weight_pretrained)]
        if float(weight) > 0:
            # The start of the update itself: an updater that knows them equal saves the comparison.
            penalties.append(KLPenalty(current.chain, float(weight), "previous"))
        objective = Objective(
            value_of_states(self.domain, score),
            tuple(penalties),
            condition=self.domain.condition,
            differentiable=self.domain.soft_features is not None,
            target=None if self.kl_target is None else KLTarget(self.kl_target),
            multiplier=current.multiplier,
        )
        chain, report = updater.update(current.chain, objective, generator=generator)
        return _Current(chain, update, readings, report.multiplier), report

    def _choose(
        self,
        chain: Chain,
        history: History[Design],
        num_queries: int,
        score: BoundAcquisition | None,
        generator: torch.Generator,
    ) -> tuple[list[Design], dict[str, float]]:
        """The designs to ask for: plain samples, or the best of a pool."""
        chosen_by_score = self.select == "acquisition" and score is not None
        pool = draw_pool(
            chain,
            self.domain,
            history.keys,
            least=num_queries,
            size=self.pool_size if chosen_by_score else num_queries,
            generator=generator,
        )
        designs = pool.designs[:num_queries]
        if chosen_by_score:
            assert score is not None
            features = shares.current().rows(pool.designs, self.domain.features)
            wanted = self._wanted(score, features, history, generator)
            rows = diverse_batch(wanted, features, num_queries, diversity=self.diversity)
            designs = [pool.designs[row] for row in rows]
        return designs, _pool_report(pool)

    def _wanted(
        self, score: BoundAcquisition, features: Tensor, history: History[Design], generator: torch.Generator
    ) -> Tensor:
        """Acquisition [n], lowered by the log-probability of being feasible in units of the pool's spread."""
        with torch.no_grad():
            wanted = score(features).double()
            if not history.infeasible:
                return wanted
            told = [*history.complete, *history.infeasible]
            labels = torch.tensor([True] * len(history.complete) + [False] * len(history.infeasible))
            known = self.domain.features([trial.design for trial in told])
            feasible = self.feasibility.fit(known, labels, generator=generator)(features)
            return wanted + wanted.std(unbiased=False).clamp_min(1e-12) * feasible.double().log()


@dataclass(frozen=True)
class _Current:
    """p(i-1) and what the next update must know of it."""

    chain: Chain
    num_updates: int = 0
    readings: str = ""
    multiplier: float = 1.0

    @classmethod
    def restore(cls, pretrained: Chain, resume: Mapping[str, bytes]) -> _Current:
        """From the last artifacts, or the pre-trained chain itself."""
        if WEIGHTS not in resume:
            return cls(fork(pretrained))
        return cls(*load_chain(pretrained, resume))

    def artifacts(self) -> dict[str, bytes]:
        assert isinstance(self.chain, nn.Module)
        own = {name: p for name, p in self.chain.named_parameters() if p.requires_grad}
        metadata = {
            "num_updates": self.num_updates,
            "readings": self.readings,
            "multiplier": self.multiplier,
        }
        return {WEIGHTS: tensors_to_bytes(own, metadata)}


def load_chain(pretrained: Chain, artifacts: Mapping[str, bytes]) -> tuple[Chain, int, str, float]:
    """A fine-tuned chain from its artifacts, its number of updates, `fingerprint`, and KL multiplier.

    Raises:
        WeightsError: If the artifact is corrupt or belongs to another chain.
    """
    tensors, metadata = tensors_from_bytes(artifacts[WEIGHTS], source=f"The artifact {WEIGHTS}")
    chain = fork(pretrained)
    assert isinstance(chain, nn.Module)
    trained = {name for name, parameter in chain.named_parameters() if parameter.requires_grad}
    tensors |= {name: tensor for name, tensor in chain.state_dict().items() if name not in trained}
    load_weights(chain, tensors, source=f"The artifact {WEIGHTS}")
    return chain, metadata["num_updates"], metadata.get("readings", ""), metadata["multiplier"]


def fingerprint(history: History[Any]) -> str:
    """Of all complete readings: another one if any was added, repeated or corrected."""
    told = [(t.id, t.value, t.noise_std) for t in history.complete]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def observations(trials: Sequence[Trial[Design]], domain: Domain[Design]) -> Observations:
    """Told trials as tensors; unknown noise is NaN, and None if it is unknown everywhere."""
    noise = [math.nan if trial.noise_std is None else trial.noise_std for trial in trials]
    return Observations(
        features=domain.features([trial.design for trial in trials]),
        values=torch.tensor([trial.value for trial in trials], dtype=torch.float64),
        noise_std=None if all(map(math.isnan, noise)) else torch.tensor(noise, dtype=torch.float64),
    )


@torch.no_grad()
def predict(
    model: Model | None, domain: Domain[Design], designs: Sequence[Design]
) -> list[tuple[float, float]]:
    """Mean and standard deviation of a new reading of each design; empty without a model."""
    if model is None or not designs:
        return []
    posterior: Any = model.posterior(domain.features(designs).unsqueeze(1), observation_noise=True)
    mean, variance = posterior.mean.flatten().tolist(), posterior.variance.flatten().tolist()
    return [(m, math.sqrt(max(v, 0.0))) for m, v in zip(mean, variance, strict=True)]


def calibration(history: History[Any], level: float = 0.9) -> dict[str, float]:
    """How the last told round's readings lay in the intervals predicted for them before they were told."""
    z = math.sqrt(2) * float(torch.erfinv(torch.tensor(level, dtype=torch.float64)))
    told = [t for t in history.complete if t.predicted_mean is not None and t.predicted_std]
    last = [t for t in told if t.round == max(trial.round for trial in told)]
    if not last:
        return {}
    errors = torch.tensor([t.value - t.predicted_mean for t in last])  # type: ignore[operator]
    inside = errors.abs() <= z * torch.tensor([t.predicted_std for t in last])
    return {
        "surrogate/coverage": float(inside.double().mean()),
        "surrogate/coverage_nominal": level,
        "surrogate/bias": float(errors.mean()),
        "surrogate/rmse": float(errors.square().mean().sqrt()),
    }


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
    }


def _pool_report(pool: Pool[Any]) -> dict[str, float]:
    return {
        "round/sampled": pool.sampled,
        "round/valid_fraction": pool.valid_fraction,
        "round/new_designs": len(pool.designs),
    }
