"""What a weighted pool expects of clean states, beside laws for which that is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chain_families import FAMILIES
from seiko import tree
from seiko.chain import frozen
from seiko.chains import DDIM, Absorbing, Clamped, DiffusionChain, Joint, Masked, Uniform, one_hot
from seiko.chains.gaussian import Denoised
from seiko.chains.posterior import corruption_log_prob
from seiko.errors import ParameterError
from seiko.networks import SequenceMLP
from seiko.updaters import KLPenalty, Objective, RewardWeighted
from seiko.updaters.tilted_targets import TiltedTargets, log_linear
from seiko.updaters.training import Paths

LEVELS = torch.linspace(0.02, 0.98, 11, dtype=torch.float64)
FREE = torch.ones(4, 2, dtype=torch.bool)
PROCESS = DDIM(LEVELS, (3,), prediction=Denoised())


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Exact(nn.Module):
    """Expects of the clean state what the law of its data says: of points, or of a standard Gaussian."""

    def __init__(self, points=None):
        super().__init__()
        self.points, self.like = points, torch.zeros((), dtype=torch.float64)

    def forward(self, state, time, condition):
        step = ((1 - time) * PROCESS.num_steps).round().long()
        if self.points is None:
            alpha, sigma = (level[:, None] for level in (LEVELS[step].sqrt(), (1 - LEVELS[step]).sqrt()))
            return alpha * state / (alpha**2 + sigma**2)
        return corruption_log_prob(PROCESS, state, self.points, step).softmax(1) @ self.points


def first_leaf(state):
    return next(tree.leaves(state)).flatten(1)


def targets(points, weights, network, value, condition=None):
    chain = DiffusionChain(network, PROCESS)
    pool = Paths(points[None], torch.zeros(len(points)), condition)
    return TiltedTargets(
        chain, pool, weights, value, num_rows=len(points), batch_size=50, generator=generator()
    )


def test_log_prob_of_a_noised_state_is_the_gaussians():
    data = torch.randn(5, 3, dtype=torch.float64, generator=generator())
    state = torch.randn(4, 3, dtype=torch.float64, generator=generator(1))
    step = torch.tensor([0, 3, 7, 9])
    alpha, sigma = PROCESS.alpha_sigma(step, state)
    law = torch.distributions.Normal(alpha[..., None, :].reshape(4, 1, 1) * data, sigma.reshape(4, 1, 1))
    wanted = law.log_prob(state[:, None]).sum(-1)
    found = corruption_log_prob(PROCESS, state, data, step)
    torch.testing.assert_close(found.log_softmax(1), wanted.log_softmax(1))


@pytest.mark.parametrize("process", [Masked(4, 3), Masked(4, 3, num_steps=2), Absorbing(4, 3, 3)])
def test_a_masked_state_may_come_from_all_that_agree_with_what_is_revealed(process):
    clean = torch.tensor([[0, 1, 2, 0], [0, 1, 1, 0], [2, 1, 2, 0], [0, 0, 0, 0]])
    state = one_hot(torch.tensor([[0, 3, 2, 3], [3, 3, 3, 3], [3, 1, 3, 0]]), 4)
    wanted = [[True, False, False, False], [True] * 4, [True, True, True, False]]
    for data in (one_hot(clean, 3), one_hot(clean, 4)):
        found = corruption_log_prob(process, state, data, torch.zeros(3, dtype=torch.long))
        assert torch.isfinite(found).tolist() == wanted and not found[torch.isfinite(found)].any()


def test_log_prob_of_a_joint_state_is_the_sum_over_its_leaves():
    joint = Joint({"a": PROCESS, "b": PROCESS})
    step = torch.tensor([2, 8])
    draws = [torch.randn(n, 3, dtype=torch.float64, generator=generator(n)) for n in (2, 4, 2, 4)]
    state, data = {"a": draws[0], "b": draws[2]}, {"a": draws[1], "b": draws[3]}
    parts = sum(corruption_log_prob(PROCESS, state[name], data[name], step) for name in "ab")
    torch.testing.assert_close(corruption_log_prob(joint, state, data, step), parts)


def test_what_is_given_says_nothing_of_where_a_clamped_state_comes_from():
    allowed = torch.ones(3, 4, dtype=torch.bool)
    allowed[1] = torch.tensor([False, True, False, False])
    process, data = Masked(3, 4), one_hot(torch.tensor([[0, 1, 2], [0, 1, 1], [2, 1, 2]]), 4)
    state = one_hot(torch.tensor([[4, 1, 2], [4, 1, 4]]), 5)
    found = corruption_log_prob(Clamped(process, allowed), state, data, torch.zeros(2, dtype=torch.long))
    assert torch.isfinite(found).tolist() == [[True, False, True], [True] * 3]


def test_where_the_pool_is_the_whole_law_the_target_is_exact_whatever_is_foretold():
    points = torch.randn(40, 3, dtype=torch.float64, generator=generator())
    weights = points[:, 0].mul(2).softmax(0) * 40
    for value in (lambda state, _: state[:, 0], lambda state, _: state[:, 1], lambda state, _: -state[:, 0]):
        made = targets(points, weights, Exact(points), value)
        rows = made.draw(30, generator(1))
        for step in range(PROCESS.num_steps):
            steps = torch.full((30,), step)
            state = PROCESS.corrupt(points[rows], steps, generator(step))
            law = corruption_log_prob(PROCESS, state, points, steps)
            found, counts = made.target(state, steps, rows)
            weight = law.softmax(1) @ weights
            known = weight > 0.01
            exact = (law + weights.log()).softmax(1) @ points
            torch.testing.assert_close(found[known], exact[known])
            torch.testing.assert_close(counts, 2 * weight.clamp_min(0.01) / (weight + 1))


@pytest.mark.parametrize("slope", [1.0, 0.0], ids=["foretold well", "foretold badly"])
def test_of_a_sample_its_mean_is_right_and_it_scatters_less_than_the_samples(slope):
    """Of a standard Gaussian tilted by exp(x_1), of whose clean states the mean is known."""
    points = torch.randn(4000, 3, dtype=torch.float64, generator=generator())
    weights = points[:, 0].softmax(0) * len(points)
    made = targets(points, weights, Exact(), lambda state, _: slope * state[:, 0])
    rows = made.draw(4000, generator(1))
    for step in (1, 4, 7, 9):
        steps = torch.full((4000,), step)
        state = PROCESS.corrupt(points[rows], steps, generator(2))
        alpha, sigma = (float(level.flatten()[0]) for level in PROCESS.alpha_sigma(steps, state))
        teacher = alpha * state
        exact = teacher + torch.tensor([sigma**2, 0.0, 0.0])
        found, counts = made.target(state, steps, rows)
        error = counts[:, None] * (found - exact)
        bias = error.mean(0).abs() / counts.mean()
        assert float(bias.max()) < 0.2 * sigma**2
        of_samples = weights[rows][:, None] * (points[rows] - exact) / ((weights[rows] + 1) / 2)[:, None]
        if slope:
            assert float(error.square().mean()) < 0.7 * float(of_samples.square().mean())


def test_what_is_foretold_has_the_weights_mean_and_their_mean_with_the_value_whatever_their_law():
    value = torch.randn(500, dtype=torch.float64, generator=generator()) * 7 + 50
    noise = torch.randn(500, dtype=torch.float64, generator=generator(1))
    for weight in ((0.5 * value + 3 * noise).softmax(0) * 500, (value > 60).double() * 20):
        rate = (weight + 1) / 2
        slope, intercept = log_linear(value, weight, rate)
        off = ((slope * value + intercept).exp() - weight) / rate
        assert abs(float(off.mean())) < 1e-6 and abs(float((off * value).mean())) < 1e-4
    exact = (0.3 * value - 20).exp()
    found = log_linear(value, exact, torch.ones_like(value))
    torch.testing.assert_close(found, torch.tensor([0.3, -20.0], dtype=torch.float64))
    unknown = torch.where(torch.arange(500) < 5, value, -torch.inf)
    assert not log_linear(unknown, weight, rate).any()
    assert not log_linear(value, 0 * weight, rate).any()
    single = torch.zeros(500).index_fill(0, value.argmax(), 500.0)
    assert torch.isfinite(log_linear(value.float(), single, (single + 1) / 2)).all()


@pytest.mark.parametrize("count", [30, 100, 290])
def test_one_row_that_outweighs_all_others_is_no_trouble(count):
    value = torch.zeros(count).index_fill(0, torch.tensor(0), 50.0)
    weight = (3 * value).softmax(0) * count
    found = log_linear(value, weight, (weight + 1) / 2)
    assert torch.isfinite(found).all() and found.dtype == value.dtype


def test_a_row_is_told_of_samples_with_its_own_condition_only():
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 5, 0], [0, 6, 0]], dtype=torch.float64)
    weights = torch.tensor([0.1, 1.9, 1, 1], dtype=torch.float64)
    unknown = lambda state, _: torch.full((len(state),), -torch.inf)  # noqa: E731
    made = targets(points, weights, Exact(points), unknown, torch.tensor([0, 0, 7, 7]))
    alone = targets(points[:2], weights[:2], Exact(points), unknown)
    state, step = torch.randn(2, 3, dtype=torch.float64, generator=generator()), torch.tensor([0, 6])
    found, wanted = (m.target(state, step, torch.tensor([0, 1])) for m in (made, alone))
    torch.testing.assert_close(found, wanted)
    assert not torch.allclose(made.target(state, step, torch.tensor([2, 3]))[0], wanted[0])


def test_every_noised_state_is_used_before_any_comes_again_and_has_the_target_of_its_row():
    points = torch.randn(40, 3, dtype=torch.float64, generator=generator())
    weights = points[:, 0].softmax(0) * 40
    made = targets(points, weights, Exact(points), lambda state, _: state[:, 0])
    batches = made.batches(15, generator(1))
    numbers = torch.cat([next(batches) for _ in range(8)])
    for start in (0, 40, 80):
        assert numbers[start : start + 40].sort().values.tolist() == list(range(40))
    aim, counts = made.target(made.state, made.step, made.rows)
    torch.testing.assert_close(made.aim, aim)
    torch.testing.assert_close(made.counts, counts)


def test_where_no_value_is_known_the_mean_weight_is_foretold():
    points = torch.randn(40, 3, dtype=torch.float64, generator=generator())
    weights = points[:, 0].softmax(0) * 40
    made = targets(points, weights, Exact(), lambda state, _: torch.full((len(state),), -torch.inf))
    assert not made.coefficients.any()
    steps, rows = torch.full((40,), 5), torch.arange(40)
    state = PROCESS.corrupt(points, steps, generator(5))
    law = corruption_log_prob(PROCESS, state, points, steps).softmax(1)
    mean, weight = Exact()(state, PROCESS.time(steps, state), None), law @ weights
    known = weight > 0.01
    wanted = ((law * weights) @ points - law @ points + mean) / weight[:, None]
    torch.testing.assert_close(made.target(state, steps, rows)[0][known], wanted[known])


@pytest.mark.parametrize("process", [Uniform(4, 2, 3), Clamped(Uniform(4, 2, 3), FREE)])
def test_an_unknown_process_is_named_before_anything_is_drawn(process):
    chain = DiffusionChain(SequenceMLP(4, 2, outputs=2), process)
    objective = Objective(lambda state, _: torch.zeros(len(state)), (KLPenalty(frozen(chain), 1.0),))
    updater = RewardWeighted(likelihood="posterior")
    with pytest.raises(ParameterError, match="How likely Uniform noises one state to another") as caught:
        updater.update(chain, objective, generator=generator())
    assert 'likelihood="path"' in caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "ddpm",
        "vp",
        "ve",
        "flow",
        "two-gaussians",
        "masked-2",
        "absorbing",
        "clamped-masked",
        "clamped-absorbing",
    ],
)
def test_fits_to_a_pool_of_the_pre_trained_chain_begin_there_wherever_the_chain_stands(name):
    pretrained, elsewhere = FAMILIES[name](0), FAMILIES[name](1)
    objective = Objective(lambda state, _: first_leaf(state)[:, 0], (KLPenalty(frozen(pretrained), 1.0),))
    updater = RewardWeighted(
        pools="pretrained", num_refreshes=1, pool_size=64, fit_iterations=3, batch_size=16,
        likelihood="posterior", min_effective=0.1, measure_samples=8,
    )  # fmt: skip
    ends = [updater.update(c, objective, generator=generator())[0] for c in (pretrained, elsewhere)]
    for one, other in zip(*(end.parameters() for end in ends), strict=True):
        torch.testing.assert_close(one, other)
    moved = [
        not torch.equal(a, b) for a, b in zip(ends[0].parameters(), pretrained.parameters(), strict=True)
    ]
    assert any(moved)
