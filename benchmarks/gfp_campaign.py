"""A campaign on GFP with the divergences on and off, judged by a predictor that no campaign asked.

    python benchmarks/gfp_campaign.py --output benchmarks/results/gfp-campaign.jsonl [--seeds 1]

5 rounds of 96 from `gfp-variants`, whose designs are dark. The predictor "main" answers the queries;
"control", trained on other variants with another form, only judges. Each line: what a model's samples are
worth to both, and how far they are from the wild type.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seiko import Campaign, methods, zoo
from seiko.campaign.feedback import run
from seiko.oracles.gfp_brightness import WILD_TYPE, GFPBrightness, mutations
from seiko.proposers.online import load_chain
from seiko.proposers.sampling import draw_designs
from seiko.updaters import RewardWeighted

OFF = {"kl_target": None, "kl_weight_pretrained": 1e-9, "kl_weight_previous": 0.0}
LONG = {"final_updater": RewardWeighted(num_refreshes=20, learning_rate=5e-4, likelihood="denoising")}
SETTINGS: dict[str, dict[str, Any]] = {
    "SEIKO-UCB": {},
    "both divergences off": OFF,
    "SEIKO-UCB, climbed for long": LONG,
    "both divergences off, climbed for long": OFF | LONG,
}
"""With the divergences a longer climb ends at the same law; without them nothing stops it."""


def judged(designs: list[str], domain: Any, oracles: dict[str, GFPBrightness]) -> dict[str, float]:
    """Means of what both predictors say, distances from the wild type, and diversity."""
    values = {name: oracle.values(designs) for name, oracle in oracles.items()}
    found = {name: float(np.mean(of)) for name, of in values.items()}
    found |= {f"{name} not below the wild type": above(of, oracles[name]) for name, of in values.items()}
    counts = [len(mutations(design)) for design in designs]
    return found | {
        "mutations": float(np.mean(counts)),
        "most mutations": max(counts),
        "diversity": domain.metrics["diversity"](designs),
        "distinct": len(set(designs)) / len(designs),
    }


def above(values: np.ndarray, oracle: GFPBrightness) -> float:
    """Share of the values that reach the wild type's."""
    return float(np.mean(values >= oracle(WILD_TYPE)))


def campaign(settings: dict[str, Any], seed: int, num_samples: int) -> dict[str, Any]:
    """One campaign of 5 x 96, and 1,000 samples of its final model."""
    chain, domain = zoo.load("gfp-variants")
    oracles = {"main": GFPBrightness("main"), "control": GFPBrightness("control")}
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        one = Campaign.create(
            Path(folder) / "campaign",
            domain=domain,
            proposer=methods.seiko_ucb(chain, domain, **settings),
            budget=480,
            num_queries=96,
            seed=seed,
        )
        report = run(one, oracles["main"])
        seconds = time.process_time() - start
        final = load_chain(chain, one.artifacts)[0]
        best = [trial.design for trial in one.best(100)]
    generator = torch.Generator().manual_seed(1000 + seed)
    return {
        "wild type": {name: oracle(WILD_TYPE) for name, oracle in oracles.items()},
        "pre-trained model": judged(draw_designs(chain, domain, num_samples, generator), domain, oracles),
        "final model": judged(draw_designs(final, domain, num_samples, generator), domain, oracles),
        "best 100 asked": judged(best, domain, oracles),
        "kl_pretrained_nats": report["kl/pretrained_nats"],
        "cpu_seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="File of JSON lines to add to.")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--setting", choices=SETTINGS, action="append", help="All of them by default.")
    parser.add_argument("--samples", type=int, default=1000, help="Samples of each model.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(options.seeds):
        for name in options.setting or SETTINGS:
            line = {"setting": name, "seed": seed} | campaign(SETTINGS[name], seed, options.samples)
            with options.output.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(name, seed, json.dumps(line["final model"]), flush=True)


if __name__ == "__main__":
    main()
