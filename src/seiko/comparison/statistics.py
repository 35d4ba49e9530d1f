"""Statistics of a comparison: interquartile means, bootstrap intervals, paired tests, ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seiko.errors import ParameterError

RESAMPLES = 2000
CONFIDENCE = 0.95


def interquartile_mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of the middle half: the lowest and the highest quarter, rounded down, are left out.

    As recommended for few seeds by Agarwal et al., arXiv:2108.13264; of 5 values the middle 3 count, of 10
    the middle 6, of 3 all.

    Raises:
        ParameterError: If there are no values.

    Example:
        >>> interquartile_mean([0.0, 1.0, 2.0, 6.0, 100.0])
        3.0
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not len(ordered):
        raise ParameterError("An interquartile mean needs at least one value; got none.")
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def bootstrap_interval(
    groups: Sequence[Sequence[float]], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """A 95 % percentile interval of the interquartile mean over all values, resampled within each group.

    Args:
        groups: Values of one task each, or of the seeds of one task alone.
        resamples: Bootstrap samples.
        seed: Of these.

    Returns:
        Low and high, or None where no group has two values: one run has no spread.
    """
    rows = [np.asarray(values, dtype=np.float64) for values in groups if len(values)]
    if not any(len(row) > 1 for row in rows):
        return None
    rng = np.random.default_rng(seed)
    drawn = [row[rng.integers(len(row), size=(resamples, len(row)))] for row in rows]
    together = np.sort(np.concatenate(drawn, axis=1), axis=1)
    cut = together.shape[1] // 4
    means = together[:, cut : together.shape[1] - cut].mean(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Paired:
    """One method against another over pairs.

    Attributes:
        wins: Pairs in which the first is higher.
        losses: Pairs in which it is lower.
        ties: The rest.
        median_difference: First less second.
        p_value: Two-sided, of the Wilcoxon signed-rank test without ties; 1 if all are ties.
    """

    wins: int
    losses: int
    ties: int
    median_difference: float
    p_value: float


def signed_rank(first: Sequence[float], second: Sequence[float]) -> Paired:
    """The Wilcoxon signed-rank test of paired values: exact for few pairs without equal differences.

    With n pairs the least p-value there can be is 2^(1-n): five seeds cannot go below 0.06.

    Raises:
        ParameterError: If the two differ in length or are empty.

    Example:
        >>> signed_rank([1.0, 2.0, 3.5], [0.5, 1.0, 1.0]).p_value
        0.25
    """
    if len(first) != len(second) or not len(first):
        raise ParameterError(f"Pairs are needed; got {len(first)} and {len(second)} values.")
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    told = difference[difference != 0]
    p_value = float(stats.wilcoxon(told).pvalue) if len(told) else 1.0
    return Paired(
        int((difference > 0).sum()),
        int((difference < 0).sum()),
        int((difference == 0).sum()),
        float(np.median(difference)),
        p_value,
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values adjusted for their number, by Holm (Scand. J. Stat. 6:65, 1979).

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_value))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def ranks(values: Mapping[str, float]) -> dict[str, float]:
    """1 for the highest; equal values share the mean of their ranks.

    Example:
        >>> ranks({"a": 2.0, "b": 5.0, "c": 2.0})
        {'a': 2.5, 'b': 1.0, 'c': 2.5}
    """
    given = stats.rankdata([-value for value in values.values()])
    return {name: float(rank) for name, rank in zip(values, given, strict=True)}
