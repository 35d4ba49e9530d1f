"""What every updater keeps and refuses: purity, errors, KL targets, conditional chains."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from chain_families import FAMILIES, free_coordinates
from enumerable import masked_problem
from seiko.chain import fork, frozen, path_kl
from seiko.chains import DiffusionChain, Masked
from seiko.distributions import Gaussian
from seiko.errors import DeterministicChainError, ObservationError, ParameterError, ShapeError
from seiko.updaters import (
    KLPenalty,
    KLTarget,
    Objective,
    PolicyGradient,
    RewardBackprop,
    RewardWeighted,
    SoftQ,
)
from seiko.updaters.base import lowest_where_infeasible, measure, penalty_total, summarize
from seiko.updaters.training import Descent, DualController, trainable

SHORT = {
    "backprop": RewardBackprop(num_iterations=3, batch_size=16, measure_samples=16),
    "backprop, truncated": RewardBackprop(
        num_iterations=3, batch_size=16, grad_steps=(1, 2), prefix_kl_steps=2, measure_samples=16
    ),
    "policy gradient": PolicyGradient(num_iterations=2, batch_size=32, minibatch_size=50, measure_samples=16),
    "reward weighted, path": RewardWeighted(
        num_refreshes=2, pool_size=64, fit_iterations=3, measure_samples=16
    ),
    "reward weighted, denoising": RewardWeighted(
        num_refreshes=2, pool_size=64, fit_iterations=3, measure_samples=16, likelihood="denoising"
    ),
    "soft q": SoftQ(num_iterations=3, batch_size=32, num_paths=16, measure_samples=16),
}

LONG = {
    "backprop": RewardBackprop(num_iterations=200, batch_size=128, learning_rate=2e-3, measure_samples=2000),
    "policy gradient": PolicyGradient(
        num_iterations=60, batch_size=256, minibatch_size=512, learning_rate=2e-3, measure_samples=2000
    ),
    "reward weighted": RewardWeighted(
        num_refreshes=5, pool_size=2000, fit_iterations=50, learning_rate=2e-3, measure_samples=2000
    ),
    "soft q": SoftQ(
        num_iterations=200, batch_size=256, num_paths=128, learning_rate=2e-3, measure_samples=2000
    ),
}

ANY_CHAIN = [name for name in SHORT if "denoising" not in name and "soft q" not in name]
"""Updaters that need not know how a chain is made."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def objective_of(problem, **changes):
    penalties = (
        KLPenalty(frozen(problem.pretrained), 0.4),
        KLPenalty(frozen(problem.previous), 0.2, "previous"),
    )
    return Objective(problem.value, changes.pop("penalties", penalties), **changes)


def weights_of(chain):
    return [p.detach().clone() for p in chain.parameters()]


# ---------------------------------------------------------------------------------------------------- purity


@pytest.mark.parametrize("name", SHORT)
def test_update_is_pure_and_reproducible(name):
    problem = masked_problem(4)
    objective, before = objective_of(problem), weights_of(problem.previous)
    state = torch.get_rng_state()
    first, report = SHORT[name].update(problem.previous, objective, generator=generator(3))
    second, _ = SHORT[name].update(problem.previous, objective, generator=generator(3))
    other, _ = SHORT[name].update(problem.previous, objective, generator=generator(4))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(before, problem.previous.parameters(), strict=True))
    assert all(p.grad is None and p.requires_grad for p in problem.previous.parameters())
    assert all(torch.equal(a, b) for a, b in zip(weights_of(first), weights_of(second), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights_of(first), weights_of(other), strict=True))
    assert set(report.kl) == {"pretrained", "previous"} and report.multiplier == 1.0
    cost = 0.4 * report.kl["pretrained"] + 0.2 * report.kl["previous"]
    assert report.objective == pytest.approx(report.value - cost, abs=1e-5)
    assert report.feasible == 1.0 and report.gradient_norm > 0 and report.trace


@pytest.mark.parametrize("name", SHORT)
def test_values_are_evaluated_without_a_graph_unless_needed(name):
    problem, seen = masked_problem(4), []

    def value(state, condition):
        seen.append(state.requires_grad)
        return problem.value(state, condition)

    objective = Objective(value, (KLPenalty(frozen(problem.pretrained), 0.5),))
    SHORT[name].update(problem.pretrained, objective, generator=generator())
    assert any(seen) == name.startswith(("backprop", "soft q"))
    assert not seen[-1]  # the report's own samples


@pytest.mark.parametrize("name", [n for n in SHORT if "soft q" not in n])
def test_feasibility_may_be_asked_beside_the_value(name):
    problem = masked_problem(4)
    penalty = KLPenalty(frozen(problem.pretrained), 0.5)
    feasible = lambda state, condition: state[:, 0, 0] < 0.5  # noqa: E731

    def known(state, condition):
        return problem.value(state, condition).masked_fill(~feasible(state, condition), -math.inf)

    updated = [
        SHORT[name].update(problem.pretrained, objective, generator=generator())
        for objective in (
            Objective(known, (penalty,)),
            Objective(problem.value, (penalty,), feasible=feasible),
        )
    ]
    assert all(torch.equal(*pair) for pair in zip(*(weights_of(one) for one, _ in updated), strict=True))
    assert 0 < updated[1][1].feasible < 1


def test_what_a_chain_expects_on_the_way_is_not_asked_for_feasibility():
    problem, asked = masked_problem(4), []

    def feasible(state, condition):
        asked.append(state)
        return torch.ones(len(state), dtype=torch.bool)

    penalty = KLPenalty(frozen(problem.pretrained), 0.5)
    SHORT["soft q"].update(
        problem.pretrained, Objective(problem.value, (penalty,), feasible=feasible), generator=generator()
    )
    assert len(asked) == 1 and len(asked[0]) == 16  # the report's own samples


@pytest.mark.parametrize("name", ANY_CHAIN)
def test_conditional_chains(name):
    chain = FAMILIES["padded-gaussians"](0)
    objective = Objective(
        lambda state, condition: state["nodes"].sum((1, 2)),
        (KLPenalty(frozen(chain), 0.5),),
        condition=lambda batch_size, generator: free_coordinates(batch_size),
    )
    updated, report = SHORT[name].update(chain, objective, generator=generator())
    assert math.isfinite(report.objective) and report.kl["pretrained"] > 0
    assert any(not torch.equal(a, b) for a, b in zip(weights_of(chain), weights_of(updated), strict=True))


@pytest.mark.parametrize("name", [n for n in SHORT if "weighted" not in n])
def test_without_penalties_only_the_value_counts(name):
    problem = masked_problem(4)
    _updated, report = SHORT[name].update(problem.pretrained, Objective(problem.value), generator=generator())
    assert report.kl == {} and report.objective == report.value


# ---------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("given", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_refused(name, given):
    problem = masked_problem(4)

    def value(state, condition):
        values = state[:, 0, 0] * 1.0
        values[7] = given
        return values

    with pytest.raises(ObservationError, match=f"row 7 is {given}"):
        SHORT[name].update(
            problem.pretrained, dataclasses.replace(objective_of(problem), value=value), generator=generator()
        )


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("value", [lambda s, c: s[:, :1, 0], lambda s, c: s.sum(), lambda s, c: 1.0])
def test_a_value_of_another_shape_is_refused(name, value):
    problem = masked_problem(4)
    with pytest.raises(ShapeError, match="one number a row"):
        SHORT[name].update(
            problem.pretrained, dataclasses.replace(objective_of(problem), value=value), generator=generator()
        )


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf, None, "1"])
def test_kl_weight_is_checked(weight):
    with pytest.raises(ParameterError, match="KL weight of `previous`"):
        KLPenalty(masked_problem(4).previous, weight, "previous")


@pytest.mark.parametrize("nats", [0.0, -1.0, math.nan, math.inf])
def test_kl_target_is_checked(nats):
    with pytest.raises(ParameterError, match="KL target"):
        KLTarget(nats)


@pytest.mark.parametrize("multiplier", [0.0, -1.0, math.nan])
def test_multiplier_is_checked(multiplier):
    with pytest.raises(ParameterError, match="multiplier"):
        objective_of(masked_problem(4), multiplier=multiplier)


def test_names_of_penalties_are_checked():
    problem = masked_problem(4)
    with pytest.raises(ParameterError, match="different names"):
        Objective(problem.value, (KLPenalty(problem.previous, 1.0), KLPenalty(problem.pretrained, 1.0)))
    with pytest.raises(ParameterError, match="name must be one of"):
        objective_of(problem, target=KLTarget(1.0, "prior"))


class Straight(nn.Module):
    """A user's Gaussian chain whose last step has the given scale."""

    num_steps = 2

    def __init__(self, scale):
        super().__init__()
        self.shift, self.scale = nn.Parameter(torch.zeros(2)), scale

    def initial(self, batch_size, condition=None):
        return Gaussian(torch.zeros(batch_size, 2), torch.ones(()))

    def transition(self, state, step, condition=None):
        scale = torch.where(torch.as_tensor(step) == 1, self.scale, 1.0)
        return Gaussian(0.5 * state + self.shift, scale.reshape(scale.shape + (1,) * scale.ndim))


@pytest.mark.parametrize("name", ANY_CHAIN)
def test_a_chain_without_noise_is_refused(name):
    def update(scale):
        chain = Straight(scale)
        objective = Objective(lambda state, condition: state.sum(1), (KLPenalty(frozen(chain), 1.0),))
        return SHORT[name].update(chain, objective, generator=generator())

    with pytest.raises(DeterministicChainError, match="Step 1 of the chain has no noise"):
        update(0.0)
    assert update(0.3)[1].kl["pretrained"] > 0


@pytest.mark.parametrize("name", SHORT)
def test_a_chain_without_trainable_weights_is_refused(name):
    problem = masked_problem(4)
    with pytest.raises(ParameterError, match="no parameters that require a gradient"):
        SHORT[name].update(frozen(problem.pretrained), objective_of(problem), generator=generator())


@pytest.mark.parametrize("name", SHORT)
def test_another_number_of_steps_is_refused(name):
    problem = masked_problem(4)
    two_steps = DiffusionChain(fork(problem.pretrained).network, Masked(4, 4, num_steps=2))
    objective = objective_of(problem, penalties=(KLPenalty(two_steps, 1.0),))
    with pytest.raises(ShapeError, match="4 and 2"):
        SHORT[name].update(problem.pretrained, objective, generator=generator())


def test_a_gradient_that_is_not_finite_changes_nothing():
    chain = fork(masked_problem(4).pretrained)
    before = weights_of(chain)
    descent = Descent(chain, learning_rate=1e-3, num_iterations=1, clip_norm=1.0)
    with pytest.raises(ObservationError, match="changed nothing"):
        descent.step(1, lambda *_: sum(p.sum() for p in chain.parameters()) * math.inf, torch.Generator())
    assert all(torch.equal(a, b) for a, b in zip(before, weights_of(chain), strict=True))


# ------------------------------------------------------------------------------------------------ KL targets


@pytest.mark.parametrize("name", LONG)
def test_kl_target_is_reached_and_the_multiplier_carries_over(name):
    problem = masked_problem(4)
    objective = objective_of(
        problem, target=KLTarget(1.0), penalties=(KLPenalty(frozen(problem.pretrained), 2.0),)
    )
    updated, report = LONG[name].update(problem.pretrained, objective, generator=generator())
    kl = path_kl(updated, problem.pretrained, 4000, generator=generator(1)).mean()
    assert float(kl) == pytest.approx(1.0, rel=0.15)
    assert report.kl["pretrained"] == pytest.approx(float(kl), rel=0.1)
    assert report.multiplier < 0.5  # the weight was too large
    carried = dataclasses.replace(objective, multiplier=report.multiplier)
    short = {"num_refreshes": 1} if "weighted" in name else {"num_iterations": 10}
    again, _ = dataclasses.replace(LONG[name], **short).update(updated, carried, generator=generator(2))
    kl = path_kl(again, problem.pretrained, 4000, generator=generator(1)).mean()
    assert float(kl) == pytest.approx(1.0, rel=0.15)


def test_dual_controller():
    problem = masked_problem(4)
    free = DualController(objective_of(problem, multiplier=3.0), rate=0.5)
    free.observe({"pretrained": 100.0})
    assert free.multiplier == 3.0
    held = DualController(objective_of(problem, target=KLTarget(2.0), multiplier=3.0), rate=0.5)
    held.observe({"pretrained": 2.0, "previous": 50.0})
    assert held.multiplier == 3.0
    held.observe({"pretrained": 3.0})
    assert held.multiplier == pytest.approx(3.0 * math.exp(0.25))
    held.observe({"pretrained": 1e9})
    assert held.multiplier == pytest.approx(3.0 * math.exp(0.75))
    held.observe({"pretrained": 0.0})
    assert held.multiplier == pytest.approx(3.0 * math.exp(0.25))


# --------------------------------------------------------------------------------------------------- helpers


def test_measure_does_not_depend_on_the_number_of_penalties():
    problem = masked_problem(4)
    values, kl = measure(problem.previous, objective_of(problem), 300, generator=generator())
    assert values.shape == kl["pretrained"].shape == (300,) and not values.requires_grad
    alone, none = measure(problem.previous, Objective(problem.value), 300, generator=generator())
    assert torch.equal(values, alone) and none == {}
    assert kl["previous"].abs().max() < 1e-5 < kl["pretrained"].mean()


def test_infeasible_values_take_the_lowest_feasible_one():
    values = torch.tensor([2.0, -math.inf, 1.0])
    assert lowest_where_infeasible(values).tolist() == [2.0, 1.0, 1.0]
    assert lowest_where_infeasible(torch.full((2,), -math.inf)).tolist() == [0.0, 0.0]


def test_infeasible_values_have_no_gradient():
    state = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    feasible = torch.tensor([True, True, False, False])
    objective = Objective(lambda s, c: 2 * s, feasible=lambda s, c: feasible)
    lowest_where_infeasible(objective.values(state, None)).sum().backward()
    assert state.grad.tolist() == [2.0, 2.0, 0.0, 0.0]


def test_summary_counts_infeasible_samples():
    objective = objective_of(masked_problem(4))
    kl = {"pretrained": torch.ones(4), "previous": torch.full((4,), 2.0)}
    values = torch.tensor([2.0, -math.inf, 4.0, -math.inf])
    report = summarize(objective, values, kl, multiplier=0.5, gradient_norm=1.0)
    assert report.feasible == 0.5 and report.value == 3.0
    assert report.objective == pytest.approx(3.0 - 0.5 * (0.4 + 0.4))
    assert penalty_total(objective, 0.5, kl).tolist() == pytest.approx([0.4] * 4)
    nothing = summarize(objective, torch.full((2,), -math.inf), kl, multiplier=1.0, gradient_norm=1.0)
    assert nothing.feasible == 0.0 and nothing.value == -math.inf


def test_frozen_parameters_are_not_trained():
    chain = fork(masked_problem(4).pretrained)
    first = next(chain.parameters())
    first.requires_grad_(False)
    assert all(p is not first for p in trainable(chain))
    problem = masked_problem(4)
    updated, _ = SHORT["policy gradient"].update(chain, objective_of(problem), generator=generator())
    assert next(updated.parameters()) is first
