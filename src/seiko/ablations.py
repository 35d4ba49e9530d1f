"""SEIKO-UCB with one part taken out each: what the parts buy. Without optimism it is `greedy`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.methods import seiko_ucb
from seiko.proposers.online import OnlineFineTuner

Design = TypeVar("Design")
NATS_A_ROUND = 4.0


def without_choosing(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Without choosing: queries are plain samples of the fine-tuned chain, as in the paper."""
    return seiko_ucb(chain, domain, **({"select": "samples"} | settings))


def without_variations(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Without variations: queries are chosen among plain samples of the fine-tuned chain."""
    return seiko_ucb(chain, domain, **({"num_generations": 0} | settings))


def without_edits(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Without edits: all variations are written by the fine-tuned chain."""
    return seiko_ucb(chain, domain, **({"edit_rate": 0.0} | settings))


def without_feasibility(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Without the feasibility model: infeasible readings teach nothing."""
    return seiko_ucb(chain, domain, **({"feasibility": None} | settings))


def without_previous_kl(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Without the divergence to the previous round: near the pre-trained chain only."""
    return seiko_ucb(chain, domain, **({"kl_weight_previous": 0.0} | settings))


def without_pretrained_kl(chain: Chain, domain: Domain[Design], **settings: Any) -> OnlineFineTuner[Design]:
    """Without the divergence to the pre-trained chain: at most 4 nats a round from the previous one.

    The pull to the pre-trained chain fades as rounds pass, as in the code that was released with the paper.
    """
    options = {"kl_weight_pretrained": 0.0, "kl_weight_previous": 1.0, "kl_target": NATS_A_ROUND}
    return seiko_ucb(chain, domain, **(options | settings))


ABLATIONS: Mapping[str, Callable[..., OnlineFineTuner[Any]]] = {
    ablation.__name__: ablation
    for ablation in (
        without_choosing,
        without_variations,
        without_edits,
        without_feasibility,
        without_previous_kl,
        without_pretrained_kl,
    )
}
