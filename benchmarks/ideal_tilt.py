"""The best any model can do: mean reward, divergence and distinct share of an exactly tilted law.

    SEIKO_DATA=folder python benchmarks/ideal_tilt.py logp penalized_logp qed

The law gives each molecule of QM9 (qm9_smiles/qm9_smiles.txt.gz) a mass proportional to
``exp(reward / w)``; w is chosen so that of 1,000 draws the wanted share is distinct. No fine-tuned model with
that share of distinct samples can have a higher mean by KL-regularised climbing, but for what it invents
beyond the data.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import numpy as np

from seiko.data import folder_of
from seiko.oracles.rdkit_properties import REWARDS

DISTINCT = (0.7, 0.65, 0.6)
NUM_DRAWS = 1000


def tilted(rewards: np.ndarray, scale: float) -> tuple[float, float, float]:
    """Mean reward, KL to the uniform law in nats, and expected distinct share of 1,000 draws."""
    mass = np.exp((rewards - rewards.max()) / scale)
    mass /= mass.sum()
    kl = float((mass * np.log(np.maximum(mass * len(mass), 1e-300))).sum())
    distinct = float((1 - (1 - mass) ** NUM_DRAWS).sum() / NUM_DRAWS)
    return float(mass @ rewards), kl, distinct


def scale_of(rewards: np.ndarray, distinct: float) -> float:
    """The scale w at which that share is distinct, by bisection of its logarithm."""
    low, high = 1e-3 * rewards.std(), 50 * rewards.std()
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if tilted(rewards, middle)[2] < distinct else (low, middle)
    return high


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rewards", nargs="+", choices=sorted(REWARDS), metavar="REWARD")
    parser.add_argument("--folder", type=Path, help="holds qm9_smiles.txt.gz; found in SEIKO_DATA by default")
    options = parser.parse_args()
    file = folder_of("qm9_smiles", options.folder) / "qm9_smiles.txt.gz"
    molecules = gzip.decompress(file.read_bytes()).decode().split()
    print("| reward | mean of the data | std | " + " | ".join(f"{d:.2f} distinct" for d in DISTINCT) + " |")
    print("|---|---|---|" + "---|" * len(DISTINCT))
    for name in options.rewards:
        values = np.array([REWARDS[name](molecule) for molecule in molecules])
        found = [tilted(values, scale_of(values, distinct)) for distinct in DISTINCT]
        cells = " | ".join(f"{mean:.3f} at {kl:.1f} nats" for mean, kl, _ in found)
        print(f"| {name} | {values.mean():.3f} | {values.std():.3f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
