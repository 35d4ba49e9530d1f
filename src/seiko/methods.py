"""Named methods: each is a composition of parts, and says what it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar

from seiko.acquisitions import Mean, Thompson, UpperConfidenceBound
from seiko.chain import Chain, SupportsLoss
from seiko.domains.base import Domain, FeatureKind
from seiko.proposers.base import Proposer
from seiko.proposers.online import OnlineFineTuner
from seiko.proposers.online_ppo import OnlinePPO
from seiko.proposers.random import RandomSampling
from seiko.proposers.sampling import sampler
from seiko.surrogates.base import Surrogate
from seiko.surrogates.ensemble import BootstrapEnsemble
from seiko.surrogates.gp import GaussianProcess, KernelName
from seiko.updaters.backprop import RewardBackprop
from seiko.updaters.base import ShareOfEntropy, Updater
from seiko.updaters.reward_weighted import RewardWeighted

Design = TypeVar("Design")
DEFAULT_KL_TARGET = 4.0
KERNELS: Mapping[FeatureKind, KernelName] = {
    "counts": "tanimoto",
    "additive": "linear+tanimoto",
    "embedding": "matern",
}


def default_surrogate(domain: Domain[Any]) -> Surrogate:
    """A Gaussian process, its kernel by the kind of features."""
    return GaussianProcess(KERNELS[domain.feature_kind])


def default_settings(domain: Domain[Any]) -> dict[str, Any]:
    """Of `seiko_ucb`, by the kind of features; see docs/tuning.md for how they were found."""
    if domain.feature_kind == "additive":
        return {
            "exploration": 2.0,
            "kl_target": ShareOfEntropy(0.45),
            "pool_size": 2000,
            "num_generations": 4,
        }
    return {"exploration": 1.0, "kl_target": DEFAULT_KL_TARGET}


def default_updater(chain: Chain, domain: Domain[Any]) -> Updater:
    """Back-propagation where features and steps have exact gradients, else reward-weighted fitting."""
    if domain.soft_features is not None and domain.feature_kind == "embedding":
        return RewardBackprop()
    likelihood: Literal["path", "denoising"] = "denoising" if isinstance(chain, SupportsLoss) else "path"
    return RewardWeighted(num_refreshes=1, learning_rate=5e-4, likelihood=likelihood)


def final_updater(updater: Updater) -> Updater:
    """The same with four times as many pools, for the model that is handed over in the end."""
    if isinstance(updater, RewardWeighted):
        return replace(updater, num_refreshes=4 * updater.num_refreshes)
    return updater


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
        "final_updater": final_updater(updater),
        **default_settings(domain),
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
    return replace(seiko_ucb(chain, domain, **settings), acquisition=Mean())


def non_adaptive(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Non-adaptive: all queries are samples of the pre-trained chain; then one fine-tuning, no optimism."""
    return greedy(chain, domain, **({"select": "samples", "adapt": "finally"} | settings))


def online_ppo(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlinePPO[Design]:
    """Online PPO: KL-penalised policy gradient on the true reward; every sample is a query."""
    return OnlinePPO(chain, domain, **settings)


def random(chain: Chain, domain: Domain[Design], **settings: Any) -> RandomSampling[Design]:
    """Random: plain new samples of the pre-trained chain; nothing is learned."""
    return RandomSampling(domain, sampler(chain, domain), **settings)


METHODS: Mapping[str, Callable[..., Proposer[Any]]] = {
    "seiko_ucb": seiko_ucb,
    "seiko_bootstrap": seiko_bootstrap,
    "seiko_thompson": seiko_thompson,
    "greedy": greedy,
    "non_adaptive": non_adaptive,
    "online_ppo": online_ppo,
    "random": random,
}
