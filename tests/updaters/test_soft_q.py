"""Soft-Q updates: the guess of what follows against enumeration, replay, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from chain_families import FAMILIES, PaddedGaussians, free_coordinates, seeded
from enumerable import conditionals, exact_law, masked_problem, tilted, total_variation
from seiko.chain import frozen, path_kl, sample
from seiko.chains import DDIM, Denoised, DiffusionChain
from seiko.errors import ParameterError
from seiko.schedules import cosine_alpha_bar
from seiko.updaters import KLPenalty, Objective, SoftQ
from seiko.updaters.soft_q import SoftValue


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def two_penalties(problem):
    return (
        KLPenalty(frozen(problem.pretrained), 0.4),
        KLPenalty(frozen(problem.previous), 0.2, "previous"),
    )


def test_the_expected_state_is_that_of_the_product_of_the_references():
    """One letter left: the geometric mean of the two conditionals there, and what stands elsewhere."""
    problem = masked_problem(4)
    space = problem.space
    states = space.states()
    one_left = (states == space.kinds).sum(1) == 1
    state, masked = space.one_hot(states[one_left]), states[one_left] == space.kinds
    value = SoftValue(problem.pretrained, Objective(problem.value, two_penalties(problem)), 1.0)
    clean = value.clean(state, torch.full((len(state),), 3))
    first, second = (c.transition(state, 3).log_probs for c in (problem.pretrained, problem.previous))
    want = (first * 2 / 3 + second / 3).softmax(-1)[masked]
    torch.testing.assert_close(clean[masked][:, :4], want, atol=1e-5, rtol=0)
    product = tilted(torch.zeros(4**4), (0.4, 0.2), problem.laws)
    want = conditionals(product, space)[one_left][masked].float()
    assert float((clean[masked][:, :4] - want).abs().mean()) < 0.02  # the chains' own laws, by enumeration
    assert torch.equal(clean[~masked], state[~masked])


def test_the_last_step_has_the_value_itself_and_earlier_ones_are_discounted():
    problem = masked_problem(4)
    space = problem.space
    state = space.one_hot(space.designs()[:50])
    plain = SoftValue(problem.pretrained, Objective(problem.value, two_penalties(problem)), 1.0)
    want = problem.value(state)
    torch.testing.assert_close(plain(state, torch.full((50,), 3)), want)
    halved = SoftValue(problem.pretrained, Objective(problem.value, two_penalties(problem)), 0.5)
    steps = torch.arange(50) % 4
    torch.testing.assert_close(
        halved(state, steps), plain(state, steps) * 0.5 ** (3 - steps), atol=1e-6, rtol=1e-5
    )


def test_a_discount_holds_early_steps_nearer_to_the_reference():
    problem = masked_problem(4)
    objective = Objective(problem.value, (KLPenalty(frozen(problem.pretrained), 0.5),))
    nats = []
    for discount in (1.0, 0.5):
        updater = SoftQ(num_iterations=80, num_paths=64, discount=discount, learning_rate=2e-3)
        tuned, _ = updater.update(problem.pretrained, objective, generator=generator())
        state = tuned.initial(1).sample()
        nats.append(float(tuned.transition(state, 0).kl(problem.pretrained.transition(state, 0)).detach()))
    assert nats[1] < 0.5 * nats[0]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_replay_changes_what_is_seen_and_not_what_is_aimed_at(share):
    problem = masked_problem(4)
    updater = SoftQ(num_iterations=150, batch_size=256, replay_share=share, learning_rate=2e-3)
    objective = Objective(problem.value, (KLPenalty(frozen(problem.pretrained), 1.0),))
    tuned, _ = updater.update(problem.pretrained, objective, generator=generator())
    want = problem.target(1.0, 0.0)
    assert total_variation(problem.laws[0], want) > 0.3
    assert total_variation(exact_law(tuned, problem.space), want) < 0.08


class Shifted(nn.Module):
    """The clean state of a standard Gaussian around its condition; the shift is trained."""

    def __init__(self, num_steps):
        super().__init__()
        self.register_buffer("alpha_bar", cosine_alpha_bar(num_steps, last=0.99).float())
        self.shift = nn.Parameter(torch.zeros(num_steps))

    def forward(self, state, time, condition):
        step = ((len(self.alpha_bar) - 1) * (1 - time)).round().long()
        alpha = self.alpha_bar[step].sqrt()[:, None]
        return condition + alpha * (state - alpha * condition) + self.shift[step][:, None]


def test_a_conditional_gaussian_chain_reaches_the_exact_tilt():
    """Normal(c, v) tilted by exp(x / w) is Normal(c + v / w, v), v / (2 w^2) nats away, for every c."""
    chain = DiffusionChain(Shifted(30), DDIM(cosine_alpha_bar(30, last=0.99), (1,), prediction=Denoised()))
    objective = Objective(
        lambda state, condition: state[:, 0],
        (KLPenalty(frozen(chain), 1.0),),
        condition=lambda n, g: 3 * torch.randn(n, 1, generator=g),
    )
    updater = SoftQ(num_iterations=200, num_paths=32, learning_rate=2e-2)
    tuned, report = updater.update(chain, objective, generator=generator())
    given = torch.full((4000, 1), 2.0)
    kl = path_kl(tuned, chain, 100, condition=given[:100], generator=generator(1)).mean()
    before, after = (sample(c, 4000, condition=given, generator=generator(1)) for c in (chain, tuned))
    variance = float(before.var())  # a little below 1: the steps are finite
    assert float((after - before).mean()) == pytest.approx(variance, rel=0.1)
    assert float(kl) == pytest.approx(variance / 2, rel=0.12)
    assert report.kl["pretrained"] == pytest.approx(float(kl), rel=0.02)


def test_leaves_of_several_kinds():
    chain = FAMILIES["graph"](0).float()
    objective = Objective(
        lambda state, condition: state["atoms"][..., 0].sum(1) * (1 - state["bonds"][..., 0].sum(1)),
        (KLPenalty(frozen(chain), 0.5),),
    )
    updater = SoftQ(num_iterations=60, num_paths=32, learning_rate=3e-3)
    _, report = updater.update(chain, objective, generator=generator())
    start = SoftQ(num_iterations=1, num_paths=32, learning_rate=1e-9)
    _, before = start.update(chain, objective, generator=generator())
    assert report.objective > before.objective + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_iterations": 0}, "num_iterations"),
        ({"replay_batches": 0}, "replay_batches"),
        ({"replay_share": 1.1}, "replay_share"),
        ({"discount": 0.0}, "discount"),
        ({"discount": math.nan}, "discount"),
    ],
)
def test_bad_settings_name_the_knob(options, message):
    with pytest.raises(ParameterError, match=message):
        SoftQ(**options)


def test_what_has_no_gradient_or_no_guess_is_refused():
    problem = masked_problem(4)
    rough = Objective(problem.value, two_penalties(problem), differentiable=False)
    with pytest.raises(ParameterError, match="gradients"):
        SoftQ(num_iterations=1).update(problem.pretrained, rough, generator=generator())
    chain = seeded(PaddedGaussians, 0)

    unknown = Objective(
        lambda state, condition: state["nodes"].sum((1, 2)),
        (KLPenalty(frozen(chain), 1.0),),
        condition=lambda n, g: free_coordinates(n),
    )
    with pytest.raises(ParameterError, match="PaddedGaussians"):
        SoftQ(num_iterations=1).update(chain, unknown, generator=generator())
