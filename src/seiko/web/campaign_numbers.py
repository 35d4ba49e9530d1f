"""The mathematics of a campaign's page: intervals, calibration, rank correlation, distances of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from seiko.web.base import NOMINAL_Z

Z95 = NormalDist().inv_cdf(0.975)
MOST_LETTERS = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval; no ends where one number says nothing of the spread."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Calibration:
    """How predictions compare with what was told later.

    Attributes:
        count: Readings that had been predicted with a standard deviation.
        coverage: Share of them in their 90 % intervals, with its own 95 % interval.
        bias: Mean of told less predicted, in reward units.
        rmse: Root of the mean squared error, in reward units.
        scale: Root of the mean of ``((told - predicted) / predicted_std)^2``; 1 for an honest surrogate.
        ranking: Spearman's rank correlation of predicted and told; None where either does not vary.
        scores: ``(told - predicted) / predicted_std`` of each.
    """

    count: int
    coverage: Interval
    bias: float
    rmse: float
    scale: float
    ranking: float | None
    scores: tuple[float, ...]


def calibration_of(readings: Sequence[tuple[float, float | None, float | None]]) -> Calibration | None:
    """From value, predicted mean and predicted standard deviation; None if nothing was predicted."""
    known = [(v, m, s) for v, m, s in readings if m is not None and s]
    if not known:
        return None
    told, mean, std = (np.array(column, dtype=float) for column in zip(*known, strict=True))
    with np.errstate(over="ignore", invalid="ignore"):
        errors = told - mean
        scores = errors / std
        inside = int((np.abs(scores) <= NOMINAL_Z).sum())
        coverage = share_interval(inside, len(known))
        assert coverage is not None
        return Calibration(
            count=len(known),
            coverage=coverage,
            bias=float(errors.mean()),
            rmse=float(np.sqrt(np.square(errors).mean())),
            scale=float(np.sqrt(np.square(scores).mean())),
            ranking=rank_correlation(mean, told),
            scores=tuple(scores.tolist()),
        )


def rank_correlation(left: Sequence[float] | np.ndarray, right: Sequence[float] | np.ndarray) -> float | None:
    """Spearman's, with mean ranks for ties; None where a side does not vary.

    Example:
        >>> rank_correlation([1, 2, 3], [10, 30, 20])
        0.5
    """
    a, b = (_ranks(np.asarray(side, dtype=float)) for side in (left, right))
    spread = math.sqrt(float(a @ a) * float(b @ b))
    return round(float(a @ b) / spread, 12) if spread else None


def _ranks(values: np.ndarray) -> np.ndarray:
    """Mean ranks, centred."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]
    return ranks - ranks.mean()


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The mean and its 95 % interval by Student's t.

    Example:
        >>> i = mean_interval([1.0, 2.0, 3.0])
        >>> i.value, round(i.low, 3), round(i.high, 3)
        (2.0, -0.484, 4.484)
    """
    if not values:
        return None
    scale = max(map(abs, values)) or 1.0  # so that squares stay finite
    scaled = [value / scale for value in values]
    mean = math.fsum(scaled) / len(scaled)
    if len(values) == 1:
        return Interval(mean * scale)
    variance = math.fsum((v - mean) ** 2 for v in scaled) / (len(scaled) - 1)
    half = student_t(len(values) - 1) * math.sqrt(variance / len(values))
    return Interval(mean * scale, (mean - half) * scale, (mean + half) * scale)


def student_t(freedom: int) -> float:
    """The 97.5 % point of Student's t: exact for 1 and 2 degrees of freedom, else within 0.5 %.

    Abramowitz & Stegun 26.7.5, an expansion about the normal point.

    Example:
        >>> [round(student_t(k), 2) for k in (1, 2, 3, 10, 1000)]
        [12.71, 4.3, 3.18, 2.23, 1.96]
    """
    if freedom == 1:
        return math.tan(math.pi * 0.475)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025))
    z = Z95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def share_interval(count: int, total: int) -> Interval | None:
    """A share and its 95 % interval by Wilson's score; None of nothing.

    Example:
        >>> i = share_interval(9, 10)
        >>> i.value, round(i.low, 3), round(i.high, 3)
        (0.9, 0.596, 0.982)
    """
    if not total:
        return None
    share, z2 = count / total, Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return Interval(share, max(centre - half, 0.0), min(centre + half, 1.0))


def distances_between(groups: Sequence[Sequence[str]], pairs: int) -> tuple[list[float | None], str]:
    """Mean distance, 0 to 1, between two texts of each group, and how it was taken, in words.

    Where all texts are of one length it is the share of places that differ; else it is one less the shared
    part (Jaccard) of their pieces of three letters. Of large groups an even choice is compared.

    Args:
        groups: The texts.
        pairs: About so many pairs are compared in all.
    """
    lengths = {len(text) for group in groups for text in group}
    most = max(2, math.isqrt(2 * pairs // max(len(groups), 1)))
    chosen = [[text[:MOST_LETTERS] for text in thinned(group, min(most, 60))] for group in groups]
    if len(lengths) == 1:
        how = "the share of places at which they differ"
        return [_mean_distance(group, _places_apart) for group in chosen], how
    pieces = [[_pieces(text) for text in group] for group in chosen]
    how = "one less the shared part of their pieces of three letters (Jaccard)"
    return [_mean_distance(group, _pieces_apart) for group in pieces], how if lengths else ""


def _mean_distance(group, distance) -> float | None:  # type: ignore[no-untyped-def]
    found = [distance(a, b) for a, b in combinations(group, 2)]
    return sum(found) / len(found) if found else None


def _pieces(text: str) -> frozenset[str]:
    return frozenset(text[i : i + 3] for i in range(max(len(text) - 2, 1)))


def _pieces_apart(a: frozenset[str], b: frozenset[str]) -> float:
    return 1 - len(a & b) / len(a | b)


def _places_apart(a: str, b: str) -> float:
    return sum(x != y for x, y in zip(a, b, strict=True)) / len(a) if a else 0.0


def thinned(items, most: int):  # type: ignore[no-untyped-def]
    """At most so many of a sequence, evenly spaced, the first and the last among them.

    Example:
        >>> thinned(list(range(10)), 4)
        [0, 3, 6, 9]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]
