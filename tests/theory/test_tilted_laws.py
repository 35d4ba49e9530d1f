"""The closed form is the maximum, the three-point identity is exact, and one round obeys the bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import entropy

from seiko.errors import ParameterError, SeikoError, ShapeError
from seiko.theory import Pull, divergence, normalised, objective, tilted
from seiko.theory.laws import mean

seeds = st.integers(0, 2**32 - 1)
weights = st.floats(0.02, 5.0)


def random_law(rng, size, *, sparse=False):
    law = normalised(rng.normal(size=size) * rng.uniform(0.1, 4))
    if sparse:
        keep = rng.random(size) < 0.6
        keep[rng.integers(size)] = True
        law = normalised(np.where(keep, law, -np.inf))
    return law


@settings(max_examples=150, deadline=None)
@given(seed=seeds, first=weights, second=st.one_of(st.just(0.0), weights), sparse=st.booleans())
def test_the_three_point_identity(seed, first, second, sparse):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 40))
    pretrained = random_law(rng, size, sparse=sparse)
    previous = tilted(rng.normal(size=size), [Pull(pretrained, 1.0)])  # a law of the same support
    value = rng.normal(size=size) * rng.uniform(0, 3)
    pulls = [Pull(pretrained, first), Pull(previous, second)]
    best = tilted(value, pulls)
    other = np.where(np.isfinite(pretrained), random_law(rng, size, sparse=True), -np.inf)
    other = normalised(np.where(np.isfinite(other).any(), other, pretrained))
    gap = objective(best, value, pulls) - objective(other, value, pulls)
    expected = (first + second) * divergence(other, best)
    assert gap == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert gap >= -1e-9  # nothing is better than the closed form


@settings(max_examples=150, deadline=None)
@given(seed=seeds, first=weights, second=st.one_of(st.just(0.0), weights))
def test_one_round_obeys_the_bound_for_every_comparator(seed, first, second):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 40))
    pretrained, previous, other = (random_law(rng, size) for _ in range(3))
    reward, bonus = rng.normal(size=size), rng.exponential(size=size)
    centre = reward + bonus * rng.uniform(-1, 1, size)
    home = Pull(pretrained, first)
    law = tilted(centre + bonus, [home, Pull(previous, second)])
    regret = objective(other, reward, [home]) - objective(law, reward, [home])
    drift = (
        second * divergence(other, previous)
        - (first + second) * divergence(other, law)
        - second * divergence(law, previous)
    )
    assert regret <= 2 * mean(law, bonus) + drift + 1e-9


def test_the_bound_of_a_round_needs_an_optimistic_value():
    flat = normalised(np.zeros(2))
    reward, centre, bonus = np.array([0.0, 1.0]), np.array([0.0, -1.0]), np.array([0.0, 0.1])
    home = Pull(flat, 0.1)
    law, best = tilted(centre + bonus, [home]), tilted(reward, [home])
    regret = objective(best, reward, [home]) - objective(law, reward, [home])
    assert regret > 2 * mean(law, bonus) - 0.1 * divergence(best, law) + 0.5


def test_the_closed_form_is_what_a_search_finds():
    pulls = [Pull(np.log([0.8, 0.2]), 0.5), Pull(np.log([0.3, 0.7]), 0.2)]
    value = np.array([0.1, 0.9])
    found = minimize_scalar(
        lambda p: -objective(np.log([p, 1 - p]), value, pulls),
        bounds=(1e-6, 1 - 1e-6),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert np.exp(tilted(value, pulls))[0] == pytest.approx(found.x, abs=1e-6)


def test_divergence_is_that_of_scipy():
    rng = np.random.default_rng(0)
    p, q = random_law(rng, 30), random_law(rng, 30)
    assert divergence(p, q) == pytest.approx(entropy(np.exp(p), np.exp(q)))
    assert divergence(p, p) == 0
    assert divergence(p, np.where(np.arange(30) == 3, -np.inf, q)) == np.inf


def test_distance_to_the_optimum_is_regret_over_the_weight():
    rng = np.random.default_rng(1)
    home = Pull(random_law(rng, 20), 0.3)
    reward, law = rng.normal(size=20), random_law(rng, 20)
    best = tilted(reward, [home])
    gap = objective(best, reward, [home]) - objective(law, reward, [home])
    assert gap == pytest.approx(0.3 * divergence(law, best))


def test_the_telescoping_schedule_tilts_by_the_mean_of_all_values():
    rng = np.random.default_rng(2)
    pretrained, weight = random_law(rng, 25), 0.4
    values, law = rng.normal(size=(9, 25)), pretrained
    for i, value in enumerate(values):
        law = tilted(value, [Pull(pretrained, weight), Pull(law, weight * i)])
    np.testing.assert_allclose(law, tilted(values.mean(0), [Pull(pretrained, weight)]), atol=1e-10)


def test_without_the_pretrained_law_its_pull_fades():
    rng = np.random.default_rng(3)
    pretrained, value = random_law(rng, 10), rng.normal(size=10)
    law, near = pretrained, []
    for _ in range(40):
        law = tilted(value, [Pull(pretrained, 0.0), Pull(law, 1.0)])
        near.append(divergence(law, pretrained))
    assert np.all(np.diff(near) >= -1e-12) and np.exp(law).max() > 0.99


def test_support_is_that_of_the_references():
    law = tilted(np.array([9.0, 0.0, 0.0]), [Pull(np.log([0.0 + 1e-300, 0.5, 0.5]), 1.0)])
    assert np.exp(law)[0] < 1e-290
    hole = normalised(np.array([-np.inf, 0.0, 0.0]))
    assert tilted(np.array([9.0, 0.0, 0.0]), [Pull(hole, 1.0)])[0] == -np.inf


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Pull(np.zeros(2), -1.0), ParameterError, "`weight` of a pull"),
        (lambda: Pull(np.zeros(2), np.inf), ParameterError, "`weight` of a pull"),
        (lambda: tilted(np.zeros(2), [Pull(np.zeros(2), 0.0)]), ParameterError, "positive weight"),
        (lambda: tilted(np.zeros(2), []), ParameterError, "positive weight"),
        (lambda: tilted(np.zeros(2), [Pull(np.zeros(3), 1.0)]), ShapeError, r"shape \(2,\); got \(3,\)"),
        (lambda: normalised(np.full(3, -np.inf)), ParameterError, "at least one of them finite"),
        (lambda: normalised(np.array([0.0, np.nan])), ParameterError, "at least one of them finite"),
    ],
)
def test_bad_input_is_explained(make, kind, words):
    with pytest.raises(kind, match=words) as caught:
        make()
    assert isinstance(caught.value, SeikoError)
