"""Measured regret stays under the bound on random instances; its growth is what the guarantee says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seiko.errors import ParameterError
from seiko.theory import (
    Elliptical,
    Learner,
    Modest,
    NoBonus,
    Ridge,
    Unshrinking,
    World,
    aliased,
    constant,
    growth_exponent,
    measure,
    normalised,
    promised,
    quadratic,
    rare_family,
    shared_features,
    telescopes,
    telescoping,
)

SCHEDULES = {"zero": constant(0.0), "constant": constant(0.3), "telescoping": telescoping(0.3)}


def dense_world(rng, size=50, dimension=5, noise_std=0.3):
    """Random features of length at most 1, a random linear reward, a law with a hole in its support."""
    features = rng.normal(size=(size, dimension))
    features /= np.linalg.norm(features, axis=1, keepdims=True) * rng.uniform(1, 2, (size, 1))
    weights = rng.normal(size=dimension)
    law = np.where(np.arange(size) == 7, -np.inf, rng.normal(size=size))
    return World(features, features @ weights, normalised(law), float(np.linalg.norm(weights)), noise_std)


@pytest.fixture(scope="module")
def rare():
    return rare_family(np.random.default_rng(3))


def exponent(world, bonus, previous, seed=0, rounds=1000):
    found = measure(
        world, Learner(bonus, previous), num_rounds=rounds, generator=np.random.default_rng([seed, 1])
    )
    return growth_exponent(found.cumulative())


@pytest.mark.parametrize("name", SCHEDULES)
def test_regret_is_below_the_bound_on_random_instances(name):
    runs_covered = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        world = dense_world(rng)
        learner = Learner(
            Elliptical(world.noise_std, world.norm, failure=0.05), SCHEDULES[name], 0.3, ridge=0.5
        )
        found = measure(world, learner, num_rounds=60, generator=rng)
        each = found.regret <= found.width + found.drift + 1e-9
        assert each[found.covered].all()
        assert (found.regret >= -1e-12).all()
        runs_covered += found.covered.all()
        if found.covered.all():
            assert (found.cumulative() <= found.bound() + 1e-9).all()
    assert runs_covered >= 11


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_divergences_telescope(name):
    world = dense_world(np.random.default_rng(5))
    learner = Learner(Elliptical(0.3, world.norm), SCHEDULES[name], 0.3)
    found = measure(world, learner, num_rounds=50, generator=np.random.default_rng(0))
    assert telescopes(SCHEDULES[name], 0.3, 50)
    assert (np.cumsum(found.drift) <= found.first_pull + 1e-9).all()
    assert (found.first_pull > 0) == (name == "constant")


def test_too_fast_a_schedule_does_not_telescope():
    assert not telescopes(quadratic(0.3), 0.3, 50)
    assert quadratic(0.3)(1) == 0 == telescoping(0.3)(1)


def test_the_bonus_covers_as_often_as_it_says():
    covered = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        world = dense_world(rng)
        learner = Learner(Elliptical(world.noise_std, world.norm, failure=0.2), constant(0.0), 0.3)
        covered += measure(world, learner, num_rounds=25, generator=rng).covered.all()
    assert covered >= 0.8 * 150


def test_what_it_promises_is_above_the_mean_bound(rare):
    bonus = Elliptical(rare.noise_std, rare.norm)
    runs = [
        measure(rare, Learner(bonus, constant(0.0)), num_rounds=200, generator=np.random.default_rng(s))
        for s in range(3)
    ]
    bound = np.mean([run.bound() for run in runs], axis=0)
    for rounds in (1, 10, 200):
        assert bound[rounds - 1] <= promised(rounds, dimension=18, ridge=0.1, bonus=bonus)


def test_the_elliptical_potential():
    rng, ridge = np.random.default_rng(0), 0.1
    state, total = Ridge.empty(6, ridge=ridge), 0.0
    for _ in range(400):
        feature = rng.normal(size=6)
        feature /= np.linalg.norm(feature)
        total += float(state.width(feature[None])[0]) ** 2
        state = state.told(feature, 0.0)
    assert total <= (1 / ridge) / np.log(1 + 1 / ridge) * state.log_det
    assert state.log_det <= 6 * np.log(1 + 400 / (6 * ridge))


def test_readings_one_at_a_time_are_a_dense_solve():
    rng = np.random.default_rng(0)
    features, values, state = rng.normal(size=(30, 4)), rng.normal(size=30), Ridge.empty(4, ridge=0.7)
    for feature, value in zip(features, values, strict=True):
        state = state.told(feature, value)
    precision, new = 0.7 * np.eye(4) + features.T @ features, rng.normal(size=(8, 4))
    np.testing.assert_allclose(state.mean(new), new @ np.linalg.solve(precision, features.T @ values))
    np.testing.assert_allclose(
        state.width(new), np.sqrt(np.einsum("ni,ij,nj->n", new, np.linalg.inv(precision), new))
    )
    assert state.log_det == pytest.approx(np.linalg.slogdet(precision / 0.7)[1])


def test_which_bonuses_shrink():
    def told(count):
        state = Ridge.empty(3, ridge=1.0)
        for i in range(count):
            state = state.told(np.eye(3)[i % 3], 0.0)
        return state

    few, many = told(90), told(9_000)
    inner = Elliptical(0.1, 1.0)
    for bonus in (inner, Modest(0.1)):
        assert bonus(many, np.eye(3)).max() < 0.15 * bonus(few, np.eye(3)).max()
    stays = Unshrinking(inner)
    assert stays(many, np.eye(3)).max() > stays(few, np.eye(3)).max() > 1
    assert (NoBonus()(few, np.eye(3)) == 0).all()


@pytest.mark.parametrize("previous", [constant(0.0), constant(0.03), telescoping(0.03)])
def test_with_the_bonus_regret_grows_like_the_root(previous):
    worlds = [rare_family(np.random.default_rng(seed)) for seed in range(3)]
    found = [exponent(w, Elliptical(w.noise_std, w.norm), previous, seed) for seed, w in enumerate(worlds)]
    assert np.median(found) <= 0.6


def test_failing_variants_grow_linearly(rare):
    bonus = Elliptical(rare.noise_std, rare.norm)
    assert exponent(rare, NoBonus(), constant(0.0)) > 0.85
    assert exponent(rare, Unshrinking(bonus), constant(0.0)) > 0.85
    assert exponent(rare, bonus, quadratic(0.03)) > 0.85
    assert exponent(aliased(rare, families=6, hidden=5, shown_as=0), bonus, constant(0.0)) > 0.85


def test_greedy_is_enough_where_designs_share_their_features():
    world = shared_features(np.random.default_rng(3))
    assert world.reward.max() == pytest.approx(0.65)
    assert exponent(world, NoBonus(), constant(0.0)) < 0.6


def test_the_family_is_what_it_says(rare):
    np.testing.assert_allclose(np.linalg.norm(rare.features, axis=1), 1)
    weights, *_ = np.linalg.lstsq(rare.features, rare.reward, rcond=None)
    np.testing.assert_allclose(rare.features @ weights, rare.reward, atol=1e-12)
    assert rare.norm == pytest.approx(np.linalg.norm(weights))
    mass = np.exp(rare.log_pretrained).reshape(6, 60).sum(1)
    assert mass[-1] == pytest.approx(1e-4) and np.ptp(mass[:-1]) < 1e-12
    assert rare.reward.reshape(6, 60).mean(1).argmax() == 5


def test_features_that_hide_a_family_cannot_give_the_reward(rare):
    hidden = aliased(rare, families=6, hidden=5, shown_as=0)
    assert (hidden.features.reshape(360, 6, 3)[:, 5] == 0).all()
    fitted = hidden.features @ np.linalg.lstsq(hidden.features, rare.reward, rcond=None)[0]
    assert np.abs(fitted - rare.reward).max() > 0.2


def test_a_seed_repeats_a_run(rare):
    learner = Learner(Elliptical(0.1, rare.norm), telescoping(0.03))
    a, b, c = (
        measure(rare, learner, num_rounds=20, generator=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(a.regret, b.regret)
    assert not np.array_equal(a.regret, c.regret)


@pytest.mark.parametrize("power", [0.3, 0.5, 1.0])
def test_the_exponent_of_a_power(power):
    assert growth_exponent(3 * np.arange(1.0, 501) ** power, first=5) == pytest.approx(power)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda w: Elliptical(0.0, 1.0), "`noise_std` must be a finite number > 0; got 0.0"),
        (lambda w: Elliptical(0.1, 1.0, failure=1.0), "`failure` is a probability below 1"),
        (lambda w: Ridge.empty(2, ridge=-1.0), "`ridge` must be"),
        (
            lambda w: rare_family(np.random.default_rng(0), num_families=1),
            "`num_families` must be at least 2",
        ),
        (lambda w: rare_family(np.random.default_rng(0), rare_mass=1.0), "`rare_mass` between 0 and 1"),
        (
            lambda w: measure(
                w, Learner(NoBonus(), constant(0.0)), num_rounds=0, generator=np.random.default_rng(0)
            ),
            "`num_rounds` must be at least 1; got 0",
        ),
        (lambda w: growth_exponent(np.ones(10), first=10), "`first` must be from 1 to 9; got 10"),
        (lambda w: growth_exponent(np.zeros(10)), "sums above 0"),
    ],
)
def test_bad_settings_are_explained(make, words, rare):
    with pytest.raises(ParameterError, match=words):
        make(rare)


def test_no_weight_at_all_is_refused(rare):
    learner = replace(Learner(NoBonus(), constant(0.0)), kl_weight_pretrained=0.0)
    with pytest.raises(ParameterError, match="positive weight"):
        measure(rare, learner, num_rounds=1, generator=np.random.default_rng(0))
