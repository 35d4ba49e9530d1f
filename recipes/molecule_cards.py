"""What the cards of the molecule chains say of their samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import wasserstein_distance

from seiko.domains.base import Domain


def shares(
    designs: Sequence[str], domain: Domain[str], known: set[str]
) -> tuple[dict[str, float], list[str]]:
    """Validity, uniqueness and novelty of samples, and the valid ones."""
    valid = [design for design in designs if domain.is_valid(design)]
    distinct = set(map(domain.key, valid))
    numbers = {
        "valid": len(valid) / len(designs),
        "unique_of_valid": len(distinct) / len(valid),
        "novel_of_unique": sum(design not in known for design in distinct) / len(distinct),
    }
    return numbers, valid


def compare(samples: Mapping[str, np.ndarray], data: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Means, standard deviations and Wasserstein distance of each property."""
    return {
        name: {
            "samples_mean": round(float(samples[name].mean()), 4),
            "data_mean": round(float(data[name].mean()), 4),
            "samples_std": round(float(samples[name].std()), 4),
            "data_std": round(float(data[name].std()), 4),
            "wasserstein": round(float(wasserstein_distance(samples[name], data[name])), 4),
        }
        for name in data
    }


def percentages(row: Mapping[str, float], *names: str) -> str:
    """Shares as the cells of a table."""
    return " | ".join(f"{100 * row[name]:.2f} %" for name in names)


def property_table(properties: Mapping[str, Mapping[str, float]]) -> Iterable[str]:
    """The lines of a table of `compare`."""
    yield "| property | samples, mean (std) | data, mean (std) | Wasserstein distance |"
    yield "|---|---|---|---|"
    for name, row in properties.items():
        ours = f"{row['samples_mean']} ({row['samples_std']})"
        yield f"| {name} | {ours} | {row['data_mean']} ({row['data_std']}) | {row['wasserstein']} |"
