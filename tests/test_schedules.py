from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seiko.errors import ParameterError
from seiko.schedules import (
    check_num_steps,
    checked_counts,
    cosine_alpha_bar,
    even_counts,
    linear_beta_alpha_bar,
)


@pytest.mark.parametrize("num_steps", [1, 2, 50, 157, 158, 1000])
def test_cosine_levels_increase_strictly_between_their_ends(num_steps):
    levels = cosine_alpha_bar(num_steps, first=1e-3, last=0.999)
    assert levels.shape == (num_steps + 1,) and levels.dtype == torch.float64
    assert (levels.diff() > 0).all()
    torch.testing.assert_close(levels[[0, -1]], torch.tensor([1e-3, 0.999], dtype=torch.float64))


def test_cosine_levels_follow_the_formula():
    levels = cosine_alpha_bar(4, first=0.0, last=1.0)
    expected = torch.sin(torch.arange(5, dtype=torch.float64) * torch.pi / 8) ** 2
    torch.testing.assert_close(levels, expected)


@pytest.mark.parametrize("num_steps", [1, 10, 50, 999])
def test_linear_beta_levels_are_taken_from_the_ddpm_schedule(num_steps):
    levels = linear_beta_alpha_bar(num_steps)
    product = 1.0
    for k in range(1000):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * k / 999)
    assert abs(float(levels[0]) - product) < 1e-12
    assert (levels.diff() > 0).all() and float(levels[-1]) == 0.9999


@given(st.integers(0, 60), st.integers(1, 40))
def test_even_counts_sum_to_the_total_and_differ_by_at_most_one(total, num_steps):
    counts = even_counts(total, num_steps)
    assert len(counts) == num_steps and int(counts.sum()) == total
    assert int(counts.max() - counts.min()) <= 1


@pytest.mark.parametrize("bad", [0, -1, 2.0, "3", True])
def test_bad_numbers_of_steps_are_refused(bad):
    with pytest.raises(ParameterError, match="num_steps"):
        check_num_steps(bad)
    with pytest.raises(ParameterError):
        cosine_alpha_bar(bad)


@pytest.mark.parametrize("bad", [[1, 1], [4, -1], [[1, 2]], [], [3, 1]])
def test_counts_that_do_not_reveal_every_position_once_are_refused(bad):
    with pytest.raises(ParameterError, match="counts"):
        checked_counts(bad, 3)


def test_good_counts_are_kept():
    assert checked_counts([0, 2, 1], 3).tolist() == [0, 2, 1]
