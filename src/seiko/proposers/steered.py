"""Rounds of a method that steers the frozen chain by a surrogate, and never changes its weights."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from seiko.acquisitions import Acquisition, Mean
from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.errors import ParameterError, WeightsError
from seiko.proposers.base import Proposal, check_num_queries
from seiko.proposers.sampling import Pool, diverse_batch, draw_designs, fill_pool, top_up
from seiko.proposers.scoring import Score, calibration, fit_score, predict
from seiko.records import History
from seiko.surrogates.base import Surrogate
from seiko.surrogates.feasibility import FeasibilityModel
from seiko.updaters.base import KLPenalty, ShareOfEntropy, check_kl_target, kl_target_nats

Design = TypeVar("Design")
STEERING = "steering.json"
LEAST_READINGS = 2


class Steering(Protocol):
    """The frozen chain, steered by a fixed score at some scale.

    ``divergence`` is an estimate of the KL to the chain from a generator's draws, in nats.
    """

    def draw(self, num_samples: int, generator: torch.Generator) -> Sequence[Any]: ...
    def divergence(self, generator: torch.Generator) -> float: ...


@dataclass(frozen=True)
class SteeredChain(ABC, Generic[Design]):
    """Fit a surrogate to everything told, steer the frozen chain by it, choose the next designs.

    The steered law aims at ``p_pre exp(acquisition / kl_weight)``, as fine-tuning under a KL penalty does; so
    the steered chain takes the place of p(i) in SEIKO's round, and all else is the same.

    Args:
        chain: The pre-trained chain; never changed.
        domain: What its states are.
        surrogate: Recipe of the learned stand-in for the reward.
        acquisition: What the chain is steered by and what queries are chosen by.
        select: "acquisition" draws a pool and takes a diverse top batch of it by acquisition and feasibility;
            "samples" queries plain new samples of the steered chain.
        kl_weight: In reward units per nat; the guidance scale is one over it. With a target only the start of
            the search, in spreads of the readings.
        kl_target: Wanted KL to the pre-trained chain, in nats or as a share of its entropy, for which the
            scale is searched in every round; None keeps `kl_weight`.
        pool_size: Samples drawn to choose from.
        diversity: See `diverse_batch`.
        feasibility: Model of the probability that a design has a reward, learned from infeasible readings.
        final_acquisition: Steers the model that is handed over in the end.

    Raises:
        ParameterError: If a name or number is outside of what is allowed.
    """

    chain: Chain
    domain: Domain[Design]
    _: KW_ONLY
    surrogate: Surrogate
    acquisition: Acquisition = Mean()
    select: Literal["samples", "acquisition"] = "acquisition"
    kl_weight: float = 1.0
    kl_target: float | ShareOfEntropy | None = None
    pool_size: int = 1000
    diversity: float = 0.5
    feasibility: FeasibilityModel = FeasibilityModel()
    final_acquisition: Acquisition = Mean()

    def __post_init__(self) -> None:
        if self.select not in ("samples", "acquisition"):
            raise ParameterError(f'`select` must be "samples" or "acquisition"; got {self.select!r}.')
        KLPenalty(self.chain, self.kl_weight)
        if not self.kl_weight > 0:
            raise ParameterError(f"`kl_weight` must be > 0; got {self.kl_weight!r}.")
        check_kl_target(self.kl_target)
        if self.pool_size < 1:
            raise ParameterError(f"`pool_size` must be an integer >= 1; got {self.pool_size!r}.")

    @abstractmethod
    def steer(self, score: Score[Design], scale: float) -> Steering:
        """The frozen chain, leaning by `scale` nats for each unit of the score."""

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]:
        """One round; plain samples while fewer than two readings were told.

        Asked for 0 designs it fits, and reports the divergence of the model that is handed over.
        """
        check_num_queries(num_queries)
        report: dict[str, Any] = dict(calibration(history))
        if len(history.complete) < LEAST_READINGS:
            pool: Pool[Design] = Pool()
            if num_queries:
                enough: dict[str, Any] = {"least": num_queries, "size": num_queries, "generator": generator}
                pool = fill_pool(self._plain, self.domain, history.keys, **enough)
            return Proposal(pool.designs[:num_queries], report=report | pool.report())
        acquisition = self.acquisition if num_queries else self.final_acquisition
        score = self._score(history, acquisition, generator)
        scale, found = self._scale(score, history, resume, generator)
        report["steering/scale"] = scale
        if math.isfinite(found):
            report["kl/pretrained_nats"] = found
        artifacts = {STEERING: json.dumps({"scale": scale}).encode()}
        if not num_queries:
            return Proposal((), artifacts=artifacts, report=report)
        designs, chosen = self._choose(self.steer(score, scale), score, history, num_queries, generator)
        predictions = predict(score.model, self.domain, designs)
        return Proposal(designs, predictions=predictions, artifacts=artifacts, report=report | chosen)

    def final_designs(
        self,
        history: History[Design],
        num_samples: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Sequence[Design]:
        """Draws of the steered chain with everything told; see `SupportsFinalDesigns`."""
        if len(history.complete) < LEAST_READINGS:
            return self._plain(num_samples, generator)
        score = self._score(history, self.final_acquisition, generator)
        scale = _last_scale(resume)
        if scale is None:
            scale, _ = self._scale(score, history, resume, generator)
        return self.steer(score, scale).draw(num_samples, generator)

    def _plain(self, num_samples: int, generator: torch.Generator) -> Sequence[Design]:
        return draw_designs(self.chain, self.domain, num_samples, generator)

    def _score(
        self, history: History[Design], acquisition: Acquisition, generator: torch.Generator
    ) -> Score[Design]:
        return fit_score(
            history,
            self.domain,
            self.surrogate,
            acquisition,
            feasibility=self.feasibility,
            generator=generator,
        )

    @cached_property
    def _target(self) -> float | None:
        return kl_target_nats(self.kl_target, self.chain, self.domain.condition)

    def _scale(
        self,
        score: Score[Design],
        history: History[Design],
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> tuple[float, float]:
        """The scale, and the divergence that was found at it."""
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        tried: dict[float, float] = {}

        def divergence(scale: float) -> float:
            draws = torch.Generator().manual_seed(seed)  # the same for every scale: a smooth function of it
            tried[scale] = self.steer(score, scale).divergence(draws)
            return tried[scale]

        if self._target is None:
            scale = 1 / self.kl_weight
            return scale, divergence(scale)
        values = torch.tensor([trial.value for trial in history.complete], dtype=torch.float64)
        spread = float(values.std(unbiased=False)) or 1.0
        start = _last_scale(resume) or 1 / (self.kl_weight * spread)
        scale = solve_scale(divergence, self._target, start=start)
        return scale, tried[scale]

    def _choose(
        self,
        steering: Steering,
        score: Score[Design],
        history: History[Design],
        num_queries: int,
        generator: torch.Generator,
    ) -> tuple[list[Design], dict[str, float]]:
        by_score = self.select == "acquisition"
        size = max(self.pool_size, num_queries) if by_score else num_queries
        enough: dict[str, Any] = {"least": num_queries, "size": size, "generator": generator}
        pool = fill_pool(steering.draw, self.domain, history.keys, short=True, **enough)
        report = top_up(pool, self._plain, self.domain, **enough)
        designs = pool.designs[:num_queries]
        if by_score:
            features = self.domain.features(pool.designs)
            wanted: Tensor = score.of_features(features)
            rows = diverse_batch(wanted, features, num_queries, diversity=self.diversity)
            designs = [pool.designs[row] for row in rows]
        return designs, report


def solve_scale(
    divergence: Callable[[float], float],
    target: float,
    *,
    start: float,
    tolerance: float = 0.1,
    max_tries: int = 10,
) -> float:
    """A scale at which an increasing divergence, near 0 a square of the scale, is near its target.

    Steps by ``sqrt(target / divergence)``, bolder each time and at most fourfold, until the target is
    enclosed, then halves the logarithm. Where the divergence is nowhere near the target the nearest that was
    tried is the answer.

    Args:
        divergence: Of a scale, in nats.
        target: In nats, > 0.
        start: The first scale tried, > 0.
        tolerance: Relative error that is good enough.
        max_tries: Divergences evaluated at most.

    Example:
        >>> scale = solve_scale(lambda scale: 0.5 * scale**2, 2.0, start=0.01)
        >>> abs(scale - 2) < 0.2
        True
    """
    low, high, scale, power = 0.0, math.inf, start, 0.5
    tried: dict[float, float] = {}
    for _ in range(max_tries):
        found = tried[scale] = divergence(scale)
        if abs(found - target) <= tolerance * target or found <= 0:
            break
        low, high = (scale, high) if found < target else (low, scale)
        if low > 0 and high < math.inf:
            scale = math.sqrt(low * high)
        else:
            scale *= min(4.0, max(0.25, (target / found) ** power))
            power *= 2
    return min(tried, key=lambda one: abs(tried[one] - target))


def _last_scale(resume: Mapping[str, bytes]) -> float | None:
    """Of the last artifacts.

    Raises:
        WeightsError: If the artifact is corrupt.
    """
    if STEERING not in resume:
        return None
    try:
        scale = float(json.loads(resume[STEERING])["scale"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"The artifact {STEERING} is corrupt: {error}.") from error
    if not (math.isfinite(scale) and scale > 0):
        raise WeightsError(f"The artifact {STEERING} holds the scale {scale}; it must be finite and > 0.")
    return scale
