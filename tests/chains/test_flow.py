from __future__ import annotations

import pytest
import torch
from torch import nn

from seiko.chain import sample
from seiko.chains import DiffusionChain, FlowDDIM, FlowVelocity
from seiko.errors import DeterministicChainError, ParameterError
from seiko.testing import check_chain


class _ExactVelocity(nn.Module):
    """The velocity of the straight path for data N(mean, std^2), told the noise level as time."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.register_buffer("kind", torch.zeros((), dtype=torch.float64))

    def forward(self, state, time, condition=None):
        s = time[:, None]
        centred = (state - (1 - s) * self.mean) / ((1 - s) ** 2 * self.std**2 + s**2)
        return s * centred - (self.mean + (1 - s) * self.std**2 * centred)


def _levels(num_steps: int, last: float = 0.01) -> torch.Tensor:
    return torch.linspace(1, last, num_steps + 1, dtype=torch.float64)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_a_point_is_reached_with_the_right_noise_in_any_number_of_steps(eta):
    process = FlowDDIM(_levels(3, last=0.2), (1,), eta=eta)
    draws = sample(
        DiffusionChain(_ExactVelocity(2.0, 0.0), process),
        20_000,
        batch_size=20_000,
        generator=torch.Generator().manual_seed(0),
    )
    assert abs(float(draws.mean()) - 0.8 * 2.0) < 0.006
    assert abs(float(draws.std()) - 0.2) < 0.005


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_the_exact_velocity_samples_the_data_law(eta):
    chain = DiffusionChain(_ExactVelocity(1.5, 0.5), FlowDDIM(_levels(60), (1,), eta=eta))
    draws = sample(chain, 8000, batch_size=8000, generator=torch.Generator().manual_seed(0))
    assert abs(float(draws.mean()) - 0.99 * 1.5) < 0.03
    assert abs(float(draws.std()) - 0.5) < 0.03


def test_full_noise_forgets_the_start():
    """Memoryless: at eta = 1 the second state does not depend on the first but through the prediction."""
    process = FlowDDIM(_levels(4), (2,))
    one, other = (torch.full((1, 2), value, dtype=torch.float64) for value in (-3.0, 3.0))
    denoised = torch.ones(1, 2, dtype=torch.float64)
    laws = [process.transition(s, s - denoised, 0) for s in (one, other)]  # at s = 1 the state is the noise
    torch.testing.assert_close(laws[0].mean, laws[1].mean)


class _Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(4, 3).double()

    def forward(self, state, time, condition=None):
        return self.layer(torch.cat([state, time[:, None]], 1))


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_it_keeps_the_rules_of_chains(eta):
    check_chain(lambda: DiffusionChain(_Linear(), FlowDDIM(_levels(5), (3,), eta=eta)))


def test_bad_levels_are_refused():
    with pytest.raises(DeterministicChainError, match="last level"):
        FlowDDIM(torch.tensor([1.0, 0.5, 0.0]), (1,))
    with pytest.raises(DeterministicChainError, match="eta"):
        FlowDDIM(_levels(2), (1,), eta=0)
    for levels in ([0.5, 0.6], [1.5, 0.5], [0.5], [[1.0, 0.5]]):
        with pytest.raises(ParameterError, match="sigmas"):
            FlowDDIM(torch.tensor(levels), (1,))
    with pytest.raises(ParameterError, match="times"):
        FlowDDIM(_levels(2), (1,), prediction=FlowVelocity(), times=torch.tensor([0.5, 0.9]))
