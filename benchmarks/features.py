"""How well a Gaussian process foretells the readings of a search, from different features of designs.

    python benchmarks/features.py promoters utr5 rna-L50 --seeds 4
    python benchmarks/features.py pmo-osimertinib-mpo pmo-celecoxib-rediscovery --seeds 2

The readings are those of the genetic algorithm's campaign. Fitted to all rounds but the last, and to the
first alone, the surrogate predicts the next round; and from the first the other samples of the chain. Each
cell is rank correlation / mean log density of the standardised readings, mean over seeds; higher is better.
Learned features of sequences are left out where the chain was not trained.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor

from seiko import Campaign
from seiko.benchmark import TASKS
from seiko.benchmark.tasks import Task
from seiko.campaign import CallableFeedback, run
from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.domains.molecule_features import counts_and_properties, morgan_counts
from seiko.domains.sequence import default_features
from seiko.domains.sequence_features import JoinedFeatures, LearnedFeatures
from seiko.domains.sequence_space import SequenceSpace
from seiko.methods import SEQUENCES, SURROGATES
from seiko.proposers.sampling import draw_designs
from seiko.surrogates import GaussianProcess
from seiko.surrogates.base import Observations, Surrogate

Told = tuple[list[Any], Tensor]
Features = Callable[..., Tensor]
FEW = 500


def readings(task: Task, seed: int) -> tuple[list[Told], Told]:
    """The rounds of a genetic algorithm's campaign, and other samples of the chain."""
    chain, domain = task.materials()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign.create(
            folder,
            domain=domain,
            proposer=task.method("genetic")(chain, domain),
            budget=task.budget,
            num_queries=task.num_queries,
            seed=seed,
        )
        run(campaign, CallableFeedback(task.reward))
        told = campaign.history.complete
    rounds = [[t for t in told if t.round == number] for number in sorted({t.round for t in told})]
    samples = draw_designs(chain, domain, 2 * FEW, torch.Generator().manual_seed(seed))
    others = [d for d in dict.fromkeys(samples) if domain.is_valid(d)][:FEW]
    read = CallableFeedback(task.reward).evaluate(others)
    found = [(d, reading.value) for d, reading in zip(others, read, strict=True) if reading.value is not None]
    pairs = [[(t.design, t.value) for t in trials] for trials in rounds]
    return [_told(part) for part in pairs], _told(found)


def _told(pairs: Sequence[tuple[Any, float]]) -> Told:
    return [d for d, _ in pairs], torch.tensor([float(v) for _, v in pairs]).double()


def foretold(recipe: Surrogate, features: Features, known: Told, new: Told) -> Tensor:
    """Rank correlation, and mean log density in standard deviations of what is known."""
    model = recipe.fit(Observations(features(known[0]), known[1]))
    posterior = model.posterior(features(new[0]), observation_noise=True)
    mean, std = posterior.mean.squeeze(-1), posterior.variance.squeeze(-1).sqrt()
    density = torch.distributions.Normal(mean, std).log_prob(new[1]).mean() + known[1].std().log()
    return torch.tensor([spearmanr(mean.detach(), new[1])[0], float(density)])


def recipes(chain: Chain, domain: Domain[Any]) -> dict[str, tuple[Surrogate, Features]]:
    """Name to surrogate and features."""
    if domain.feature_kind not in SEQUENCES:
        properties = SURROGATES["counts+properties"]
        return {
            "environments, tanimoto": (SURROGATES["counts"], morgan_counts),
            "environments and properties, tanimoto+matern": (properties, counts_and_properties),
        }
    space = _space(domain)
    letters = default_features(space)
    found: dict[str, tuple[Surrogate, Features]] = {
        "letters and words, linear+tanimoto": (GaussianProcess("linear+tanimoto"), letters),
        "letters and words, matern": (GaussianProcess("matern"), letters),
    }
    network = getattr(chain, "network", None)
    head = [*network.parameters()][-2:]  # 0 where the chain was not trained
    if any(bool(weight.any()) for weight in head):
        learned = LearnedFeatures(network, space)
        found["learned, matern"] = (GaussianProcess("matern"), learned)
        found["all, matern"] = (GaussianProcess("matern"), JoinedFeatures((letters, learned)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    settings = parser.parse_args()
    print("| task | features, kernel | other samples | round 2 | last round |\n|---|---|---|---|---|")
    for name in settings.tasks:
        chain, domain = TASKS[name].materials()
        campaigns = [readings(TASKS[name], seed) for seed in range(settings.seeds)]
        for label, (recipe, features) in recipes(chain, domain).items():
            cells = []
            for rounds, others in campaigns:
                before = _told([pair for part in rounds[:-1] for pair in zip(*part, strict=True)])
                pairs = ((rounds[0], others), (rounds[0], rounds[1]), (before, rounds[-1]))
                cells.append(torch.stack([foretold(recipe, features, *pair) for pair in pairs]))
            mean = torch.stack(cells).mean(0).tolist()
            text = " | ".join(f"{rank:.2f} / {density:.2f}" for rank, density in mean)
            print(f"| {name} | {label} | {text} |", flush=True)


def _space(domain: Domain[Any]) -> SequenceSpace:
    features = getattr(domain.features, "__self__", None)
    part = features.parts[0] if isinstance(features, JoinedFeatures) else features
    return part.space


if __name__ == "__main__":
    main()
