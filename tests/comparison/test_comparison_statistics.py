"""Statistics against scipy, against enumeration, and by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from seiko.comparison.statistics import bootstrap_interval, holm, interquartile_mean, ranks, signed_rank
from seiko.errors import ParameterError


@pytest.mark.parametrize("count", range(1, 14))
def test_the_interquartile_mean_is_the_trimmed_mean(count):
    values = np.random.default_rng(count).normal(size=count)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))


def test_the_bootstrap_interval_is_that_of_scipy():
    values = np.random.default_rng(0).normal(size=20)
    ours = bootstrap_interval([values.tolist()], resamples=20_000)

    def statistic(sample, axis):
        return stats.trim_mean(sample, 0.25, axis=axis)

    theirs = stats.bootstrap(
        (values,), statistic, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.02)
    assert ours == bootstrap_interval([values.tolist()], resamples=20_000)
    assert ours[0] < interquartile_mean(values) < ours[1]


def test_every_group_is_resampled_within_itself():
    low, high = bootstrap_interval([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert low == high == pytest.approx(0.5)  # mixed, some samples would be all of one kind
    assert bootstrap_interval([[1.0], [2.0]]) is None and bootstrap_interval([]) is None
    low, high = bootstrap_interval([[0.0, 1.0]], resamples=4000)
    assert (low, high) == (0.0, 1.0)


@pytest.mark.parametrize("count", [3, 6, 9])
def test_the_p_value_is_that_of_all_signs(count):
    rng = np.random.default_rng(count)
    first, second = rng.normal(size=count) + 0.5, rng.normal(size=count)
    difference = first - second
    size = stats.rankdata(abs(difference))
    told = min(size[difference > 0].sum(), size[difference < 0].sum())
    sums = [size[[bool(s) for s in signs]].sum() for signs in product([0, 1], repeat=count)]
    expected = min(1.0, 2 * np.mean([total <= told for total in sums]))
    found = signed_rank(first.tolist(), second.tolist())
    assert found.p_value == pytest.approx(expected)
    assert (found.wins, found.losses) == ((difference > 0).sum(), (difference < 0).sum())
    assert found.median_difference == pytest.approx(np.median(difference))


def test_ties_decide_nothing():
    tied = signed_rank([1.0, 2.0], [1.0, 2.0])
    assert (tied.wins, tied.losses, tied.ties, tied.p_value) == (0, 0, 2, 1.0)
    assert signed_rank([1.0, 2.0, 3.0, 7.0], [1.0, 1.0, 1.0, 4.0]).p_value == 0.25


def test_holm_by_hand():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.9}) == pytest.approx(
        {"a": 0.09, "b": 0.04, "c": 0.09, "d": 0.9}
    )
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0} and holm({}) == {}


def test_equal_values_share_ranks():
    assert ranks({"a": 1.0, "b": 3.0, "c": 3.0, "d": 0.0}) == {"a": 3.0, "b": 1.5, "c": 1.5, "d": 4.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interquartile_mean([]), "needs at least one value"),
        (lambda: signed_rank([1.0], []), "got 1 and 0 values"),
        (lambda: signed_rank([], []), "got 0 and 0 values"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
