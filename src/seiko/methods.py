"""Named methods: each is a composition of parts, and says what it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar

from seiko.acquisitions import Mean, Thompson, UpperConfidenceBound
from seiko.chain import Chain, SupportsLoss
from seiko.chains.clean import can_look_ahead
from seiko.chains.left_to_right import LeftToRight
from seiko.domains.base import Crossover, Domain, FeatureKind, Mutate
from seiko.domains.molecule_features import PROPERTY_UNITS
from seiko.proposers.adalead import AdaLead
from seiko.proposers.base import Proposer
from seiko.proposers.best_of_n import BestOfN
from seiko.proposers.genetic import GeneticAlgorithm
from seiko.proposers.guidance import Guidance
from seiko.proposers.online import OnlineFineTuner
from seiko.proposers.online_ppo import OnlinePPO
from seiko.proposers.pool_bayes_opt import PoolBayesOpt
from seiko.proposers.random import RandomSampling
from seiko.proposers.sampling import sampler
from seiko.proposers.tempered_smc import TemperedSMC
from seiko.surrogates.base import Surrogate
from seiko.surrogates.ensemble import BootstrapEnsemble
from seiko.surrogates.gp import GaussianProcess
from seiko.updaters.backprop import RewardBackprop
from seiko.updaters.base import ShareOfEntropy, Updater
from seiko.updaters.reward_weighted import RewardWeighted
from seiko.updaters.soft_q import SoftQ

Design = TypeVar("Design")
DEFAULT_KL_TARGET = 4.0
SURROGATES: Mapping[FeatureKind, Surrogate] = {
    "counts": GaussianProcess("tanimoto"),
    "counts+properties": GaussianProcess("tanimoto+matern", num_properties=len(PROPERTY_UNITS)),
    "additive": GaussianProcess("linear+tanimoto"),
    "variants": GaussianProcess("matern", winsorize=0.5),
    "learned": GaussianProcess("matern"),
    "embedding": GaussianProcess("matern"),
}
SEQUENCES: tuple[FeatureKind, ...] = ("additive", "variants", "learned")
"""What the features of sequences are."""

DEFAULT_SEARCH: Mapping[str, Any] = {"population_size": 50, "mutation_rate": 0.5}


def default_surrogate(domain: Domain[Any]) -> Surrogate:
    """A Gaussian process, by the kind of features."""
    return SURROGATES[domain.feature_kind]


def default_settings(chain: Chain, domain: Domain[Any]) -> dict[str, Any]:
    """Of `seiko_ucb`, by the kind of designs; see docs/tuning.md for how they were found."""
    sequences = domain.feature_kind in SEQUENCES
    if not sequences and not isinstance(chain, LeftToRight):
        return {"exploration": 1.0, "kl_target": DEFAULT_KL_TARGET}
    search: dict[str, Any] = {"kl_target": ShareOfEntropy(0.45)}
    if sequences:
        search |= {"pool_size": 2000, "num_generations": 8, "generation_size": 1000}
        can_edit = domain.mutate is not None and domain.crossover is not None
        return {"exploration": 2.0, "edit_rate": 0.5 if can_edit else 0.0} | search
    search |= {"pool_size": 1000, "num_generations": 4, "generation_size": 500, "num_parents": 20}
    return {"exploration": 1.0, "select": "thompson", "crossover_rate": 0.5} | search


def default_updater(chain: Chain, domain: Domain[Any]) -> Updater:
    """Back-propagation where features and steps have exact gradients, else reward-weighted fitting."""
    if domain.soft_features is not None and domain.feature_kind == "embedding":
        return RewardBackprop()
    likelihood: Literal["path", "denoising"] = "denoising" if isinstance(chain, SupportsLoss) else "path"
    common: dict[str, Any] = {"learning_rate": 5e-4, "likelihood": likelihood}
    if isinstance(chain, LeftToRight):  # one pass trains all positions of its rows
        return RewardWeighted(
            num_refreshes=1, pool_size=500, fit_iterations=30, batch_size=64, measure_samples=128, **common
        )
    return RewardWeighted(num_refreshes=3 if domain.feature_kind in SEQUENCES else 1, **common)


def final_updater(updater: Updater, domain: Domain[Any]) -> Updater:
    """The same with three pools more, for the model that is handed over in the end.

    Fits on sequences fall short of the KL target (4.5 of 5 nats for 8-mers), so they are aimed beside it.
    """
    if not isinstance(updater, RewardWeighted):
        return updater
    calibrate = updater.pools == "current" and domain.feature_kind in SEQUENCES
    return replace(updater, num_refreshes=updater.num_refreshes + 3, calibrate=calibrate)


def seiko_ucb(
    chain: Chain,
    domain: Domain[Design],
    *,
    exploration: float | None = None,
    surrogate: Surrogate | None = None,
    updater: Updater | None = None,
    **settings: Any,
) -> OnlineFineTuner[Design]:
    """SEIKO-UCB: climbs ``mean + exploration * std`` under both KL penalties; queries are chosen from a pool.

    Args:
        chain: The pre-trained chain.
        domain: What its states are.
        exploration: Multiplier of the surrogate's standard deviation, >= 0; that of `default_settings` if
            None.
        surrogate: `default_surrogate` if None.
        updater: `default_updater` if None.
        **settings: Of `OnlineFineTuner`; those of `default_settings` where nothing is given.

    Example:
        >>> from seiko import zoo
        >>> proposer = seiko_ucb(*zoo.load("qm9-graph"), exploration=0.5)
    """
    updater = updater or default_updater(chain, domain)
    options: dict[str, Any] = {
        "select": "acquisition",
        "kl_weight_previous": 0.1,
        "final_updater": final_updater(updater, domain),
        **default_settings(chain, domain),
    }
    usual = options.pop("exploration")
    return OnlineFineTuner(
        chain,
        domain,
        surrogate=surrogate or default_surrogate(domain),
        acquisition=UpperConfidenceBound(usual if exploration is None else exploration),
        updater=updater,
        **(options | settings),
    )


def seiko_bootstrap(
    chain: Chain, domain: Domain[Design], *, num_members: int = 8, **settings: Any
) -> OnlineFineTuner[Design]:
    """SEIKO-Bootstrap: `seiko_ucb` with the spread of a bootstrap ensemble."""
    surrogate = settings.pop("surrogate", None) or BootstrapEnsemble(num_members)
    return seiko_ucb(chain, domain, surrogate=surrogate, **settings)


def seiko_thompson(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """SEIKO-TS: `seiko_ucb` with one posterior function draw a round in place of the bound."""
    return replace(seiko_ucb(chain, domain, **settings), acquisition=Thompson())


def greedy(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Greedy: `seiko_ucb` without optimism, the control of exploration."""
    method = replace(seiko_ucb(chain, domain, **settings), acquisition=Mean())
    return replace(method, select="acquisition") if method.select == "thompson" else method


def soft_q(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Soft Q: `greedy` with the climb of SQDF, one reparameterised step at a time; see `SoftQ`."""
    return greedy(chain, domain, **({"updater": SoftQ()} | settings))


def non_adaptive(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Non-adaptive: all queries are samples of the pre-trained chain; then one fine-tuning, no optimism."""
    return greedy(chain, domain, **({"select": "samples", "adapt": "finally"} | settings))


def online_ppo(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlinePPO[Design]:
    """Online PPO: KL-penalised policy gradient on the true reward; every sample is a query."""
    return OnlinePPO(chain, domain, **settings)


def random(chain: Chain, domain: Domain[Design], **settings: Any) -> RandomSampling[Design]:
    """Random: plain new samples of the pre-trained chain; nothing is learned."""
    return RandomSampling(domain, sampler(chain, domain), **settings)


def best_of_n(
    chain: Chain, domain: Domain[Design], *, surrogate: Surrogate | None = None, **settings: Any
) -> BestOfN[Design]:
    """Best of N: the top of samples of the pre-trained chain by the surrogate; the chain stays frozen."""
    return BestOfN(chain, domain, surrogate=surrogate or default_surrogate(domain), **settings)


def genetic(
    chain: Chain,
    domain: Domain[Design],
    *,
    mutate: Mutate[Design],
    crossover: Crossover[Design],
    **settings: Any,
) -> GeneticAlgorithm[Design]:
    """Genetic algorithm: children of the best designs told, from samples of the chain on; no surrogate."""
    return GeneticAlgorithm(domain, sampler(chain, domain), mutate=mutate, crossover=crossover, **settings)


def adalead(
    chain: Chain,
    domain: Domain[Design],
    *,
    mutate: Mutate[Design],
    crossover: Crossover[Design],
    surrogate: Surrogate | None = None,
    **settings: Any,
) -> AdaLead[Design]:
    """AdaLead: greedy evolution of the best designs told, with roll-outs under the surrogate."""
    return AdaLead(
        domain,
        sampler(chain, domain),
        mutate=mutate,
        crossover=crossover,
        surrogate=surrogate or default_surrogate(domain),
        **settings,
    )


def pool_bayes_opt(
    chain: Chain,
    domain: Domain[Design],
    *,
    mutate: Mutate[Design],
    crossover: Crossover[Design],
    exploration: float = 1.0,
    surrogate: Surrogate | None = None,
    search: Mapping[str, Any] = DEFAULT_SEARCH,
    **settings: Any,
) -> PoolBayesOpt[Design]:
    """GP Bayesian optimisation over a pool: samples of the chain, evolved under ``mean + exploration * std``.

    Args:
        chain: The pre-trained chain; only sampled.
        domain: What its states are.
        mutate: As of `GeneticAlgorithm`.
        crossover: As of `GeneticAlgorithm`.
        exploration: Multiplier of the surrogate's standard deviation, >= 0.
        surrogate: `default_surrogate` if None: a Gaussian process.
        search: Settings of the inner `GeneticAlgorithm`.
        **settings: Of `PoolBayesOpt`.
    """
    inner = genetic(chain, domain, mutate=mutate, crossover=crossover, **search)
    options: dict[str, Any] = {"acquisition": UpperConfidenceBound(exploration)}
    return PoolBayesOpt(inner, surrogate=surrogate or default_surrogate(domain), **(options | settings))


def guidance(
    chain: Chain,
    domain: Domain[Design],
    *,
    surrogate: Surrogate | None = None,
    **settings: Any,
) -> Guidance[Design]:
    """Guidance: the frozen chain leans along the gradient of a regressor on the told data; no optimism.

    Args:
        chain: The pre-trained chain.
        domain: What its states are; it must have soft features.
        surrogate: `default_surrogate` if None.
        **settings: Of `Guidance`; `kl_target` is that of `default_settings` where none is given.
    """
    options = {"kl_target": default_settings(chain, domain)["kl_target"]} | settings
    return Guidance(chain, domain, surrogate=surrogate or default_surrogate(domain), **options)


def tempered_smc(
    chain: Chain,
    domain: Domain[Design],
    *,
    exploration: float = 1.0,
    surrogate: Surrogate | None = None,
    **settings: Any,
) -> TemperedSMC[Design]:
    """Tempered SMC: particles of the frozen chain tilted by ``mean + exploration * std``, without training.

    They move by guided steps where the domain has soft features, else by the chain's own.

    Args:
        chain: The pre-trained chain.
        domain: What its states are.
        exploration: Multiplier of the surrogate's standard deviation, >= 0.
        surrogate: `default_surrogate` if None.
        **settings: Of `TemperedSMC`; `kl_target` is that of `default_settings` where none is given.
    """
    has_gradient = domain.soft_features is not None and can_look_ahead(chain)
    options: dict[str, Any] = {
        "acquisition": UpperConfidenceBound(exploration),
        "proposal": "guided" if has_gradient else "chain",
        "kl_target": default_settings(chain, domain)["kl_target"],
    }
    return TemperedSMC(
        chain, domain, surrogate=surrogate or default_surrogate(domain), **(options | settings)
    )


METHODS: Mapping[str, Callable[..., Proposer[Any]]] = {
    "seiko_ucb": seiko_ucb,
    "seiko_bootstrap": seiko_bootstrap,
    "seiko_thompson": seiko_thompson,
    "greedy": greedy,
    "non_adaptive": non_adaptive,
    "online_ppo": online_ppo,
    "random": random,
    "best_of_n": best_of_n,
    "guidance": guidance,
    "tempered_smc": tempered_smc,
    "soft_q": soft_q,
}
