"""Guided chains: exact laws, and the tilted law where it is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from chain_families import FAMILIES, PaddedGaussians, generator
from enumerable import Space, exact_law, tilted, total_variation
from seiko import tree
from seiko.chain import path_kl, sample
from seiko.chains import DDIM, Denoised, DiffusionChain, Masked
from seiko.chains.clean import look_ahead
from seiko.chains.guided import Guided
from seiko.errors import ObservationError, ParameterError, ShapeError
from seiko.networks import SequenceMLP
from seiko.schedules import cosine_alpha_bar
from seiko.testing import check_chain

SPACE = Space(length=4, kinds=3)


def spread_out(state, condition=None):
    """A bounded value of every coordinate of every leaf, [batch]."""
    total = 0.0
    for leaf in tree.leaves(state):
        weights = torch.linspace(-1, 1, leaf[0].numel(), dtype=leaf.dtype).view(leaf[0].shape)
        total = total + (leaf * weights).flatten(1).sum(1).tanh()
    return total


def linear(state, condition=None):
    weights = torch.randn(SPACE.length, SPACE.kinds, generator=generator(3))
    return torch.einsum("blk,lk->b", state[..., : SPACE.kinds], weights.to(state))


def masked_chain(strength=4.0):
    """A chain whose positions depend on each other, more so with larger weights."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = SequenceMLP(SPACE.length, SPACE.kinds + 1, outputs=SPACE.kinds, width=32, num_layers=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(strength)
    return DiffusionChain(network, Masked(SPACE.length, SPACE.kinds))


class Independent(nn.Module):
    """Positions that do not look at each other."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.randn(SPACE.length, SPACE.kinds, generator=generator(1)))

    def forward(self, state, time, condition=None):
        return self.logits.expand(len(state), -1, -1)


@pytest.mark.parametrize(
    "name", [name for name in FAMILIES if name not in ("padded-gaussians", "left-to-right")]
)
def test_a_guided_chain_is_a_chain(name):
    check_chain(lambda: Guided(FAMILIES[name](0), spread_out, scale=1.5))


def test_a_chain_that_does_not_say_what_it_expects_is_refused():
    with pytest.raises(ParameterError, match="LeftToRight expects the clean state to be is not known"):
        Guided(FAMILIES["left-to-right"](0), spread_out, scale=1.5)


@pytest.mark.parametrize("name", ["ddpm", "masked-2", "uniform", "mixed"])
def test_no_guidance_is_the_chain_itself(name):
    chain = FAMILIES[name](0)
    kl = path_kl(Guided(chain, spread_out, scale=0.0), chain, 8, generator=generator())
    torch.testing.assert_close(kl, torch.zeros_like(kl))


def target(chain, scale):
    law = exact_law(chain, SPACE)
    value = linear(SPACE.one_hot(SPACE.designs())).double()
    return law, tilted(scale * value, (1.0,), (law,))


def test_a_linear_value_on_independent_positions_gives_the_exact_tilt():
    chain = DiffusionChain(Independent(), Masked(SPACE.length, SPACE.kinds))
    law, want = target(chain, 2.0)
    assert total_variation(law, want) > 0.5
    assert total_variation(exact_law(Guided(chain, linear, scale=2.0), SPACE), want) < 1e-5


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
@pytest.mark.parametrize(("strength", "share"), [(1.0, 0.25), (2.0, 0.75), (4.0, 0.85)])
def test_a_linear_value_on_dependent_positions_comes_nearer_the_tilt(strength, share, scale):
    """The less positions depend on each other, the nearer."""
    chain = masked_chain(strength)
    law, want = target(chain, scale)
    before = total_variation(law, want)
    after = total_variation(exact_law(Guided(chain, linear, scale=scale), SPACE), want)
    assert before > 0.1
    assert after < share * before


class Normal(nn.Module):
    """The exact clean state of one coordinate whose law is Normal(mean, std)."""

    def __init__(self, num_steps, mean=0.5, std=0.8):
        super().__init__()
        self.register_buffer("alpha_bar", cosine_alpha_bar(num_steps, last=0.9999).double())
        self.mean, self.std = mean, std

    def forward(self, state, time, condition=None):
        level = self.alpha_bar[((len(self.alpha_bar) - 1) * (1 - time)).round().long()][:, None]
        gain = level.sqrt() * self.std**2 / (level * self.std**2 + 1 - level)
        return self.mean + gain * (state - level.sqrt() * self.mean)


def moments(chain):
    """Exact mean and standard deviation of the end of an affine one-dimensional chain."""
    start = chain.initial(1)
    mean, variance = float(start.mean), float(start.scale) ** 2
    points = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    for step in range(chain.num_steps):
        law = chain.transition(points, step)
        low, high = law.mean[:, 0].tolist()
        mean, variance = low + (high - low) * mean, (high - low) ** 2 * variance + float(law.scale) ** 2
    return mean, math.sqrt(variance)


def test_a_linear_value_on_a_gaussian_is_the_exact_tilt_in_the_limit():
    """Normal(m, s) tilted by exp(g x) is Normal(m + g s^2, s), g^2 s^2 / 2 nats away."""
    scale, errors = 1.5, []
    for num_steps in (25, 100, 400):
        process = DDIM(cosine_alpha_bar(num_steps, last=0.9999).double(), (1,), prediction=Denoised())
        chain = DiffusionChain(Normal(num_steps), process).double()
        guided = Guided(chain, lambda state, condition: state[:, 0], scale=scale)
        mean, std = moments(guided)
        errors.append(abs(mean - (0.5 + scale * 0.8**2)))
        assert std == pytest.approx(moments(chain)[1], rel=1e-6)
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.02 and std == pytest.approx(0.8, rel=0.01)
    kl = path_kl(guided, chain, 2, generator=generator()).mean()
    assert float(kl) == pytest.approx(scale**2 * 0.8**2 / 2, rel=0.03)


def test_the_scale_may_differ_from_step_to_step():
    chain = masked_chain()
    late = Guided(chain, linear, scale=torch.tensor([0.0, 0.0, 0.0, 2.0]))
    state = late.initial(3).sample(generator())
    base = chain.transition(state, 0)
    torch.testing.assert_close(late.transition(state, 0).kl(base), torch.zeros(3))
    assert (late.transition(state, 3).kl(base) > 0.01).all()


@pytest.mark.parametrize("name", ["ddpm", "vp", "masked-1", "absorbing", "uniform", "graph"])
def test_the_expected_state_is_a_state_and_of_revealed_data_that_data(name):
    chain = FAMILIES[name](0)
    data = sample(chain, 4, generator=generator())
    law, clean = look_ahead(chain, data, chain.num_steps - 1)
    for have, want in zip(tree.leaves(clean), tree.leaves(data), strict=True):
        assert have.shape == want.shape
        if name in ("masked-1", "absorbing", "graph"):
            torch.testing.assert_close(have, want)
        elif name == "uniform":
            torch.testing.assert_close(have.sum(-1), torch.ones_like(have[..., 0]))
    torch.testing.assert_close(law.kl(chain.transition(data, chain.num_steps - 1)), torch.zeros(4).to(have))


def test_bad_input_is_refused():
    chain = masked_chain()
    for scale in (-1.0, math.nan, math.inf):
        with pytest.raises(ParameterError, match="scale"):
            Guided(chain, linear, scale=scale)
    with pytest.raises(ShapeError, match=r"\[4\]"):
        Guided(chain, linear, scale=torch.ones(3))
    with pytest.raises(ParameterError, match="PaddedGaussians"):
        Guided(PaddedGaussians(), spread_out)
    broken = Guided(chain, lambda state, condition: state.sum((1, 2)) * math.nan)
    with pytest.raises(ObservationError, match="gradient"):
        broken.transition(chain.initial(2).sample(generator()), 0)
    constant = Guided(chain, lambda state, condition: torch.zeros(len(state)), scale=3.0)
    assert float(path_kl(constant, chain, 4, generator=generator()).abs().max()) < 1e-6
