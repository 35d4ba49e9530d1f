"""Networks for sequences: shapes, independent rows, chains that keep the rules, what each one sees."""

from __future__ import annotations

import pytest
import torch

from seiko.chains import DiffusionChain, Masked, Uniform
from seiko.errors import ParameterError
from seiko.networks import SequenceMLP
from seiko.networks.sequence import SequenceConvolution, SequenceTransformer
from seiko.testing import check_chain

BUILD = {
    "transformer": lambda kinds, outputs: SequenceTransformer(
        6, kinds, outputs=outputs, width=16, num_layers=2, num_heads=2
    ),
    "patches": lambda kinds, outputs: SequenceTransformer(
        6, kinds, outputs=outputs, width=16, num_layers=1, num_heads=2, patch=3
    ),
    "convolution": lambda kinds, outputs: SequenceConvolution(
        6, kinds, outputs=outputs, width=16, num_layers=4, kernel=3
    ),
    "mlp": lambda kinds, outputs: SequenceMLP(6, kinds, outputs=outputs, width=16),
}
TOKENS = {"transformer": (6, 16), "patches": (2, 16), "convolution": (6, 16), "mlp": (16,)}


def built(name: str, kinds: int = 5, outputs: int = 4):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BUILD[name](kinds, outputs)


def rows(count: int = 4) -> torch.Tensor:
    kinds = torch.randint(5, (count, 6), generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.one_hot(kinds, 5).float()


@pytest.mark.parametrize("name", BUILD)
def test_shapes_and_independent_rows(name):
    network, state, time = built(name), rows(), torch.tensor([1.0, 0.5, 0.2, 0.0])
    out = network(state, time)
    assert out.shape == (4, 6, 4) and torch.isfinite(out).all()
    assert network.hidden(state, time).shape == (4, *TOKENS[name])
    torch.testing.assert_close(network(state[2:3], time[2:3]), out[2:3])


@pytest.mark.parametrize("name", BUILD)
def test_every_position_and_the_time_reach_every_output(name):
    network = built(name).double()
    state = rows(1).double().requires_grad_()
    out = network(state, torch.tensor([0.5], dtype=torch.float64))
    for position in (0, 5):
        (gradient,) = torch.autograd.grad(out[0, position].square().sum(), state, retain_graph=True)
        assert (gradient[0].abs().sum(1) > 0).all()
    other = network(state, torch.tensor([0.9], dtype=torch.float64))
    assert not torch.allclose(out, other)


@pytest.mark.parametrize("name", ["transformer", "patches", "convolution"])
@pytest.mark.parametrize("process", ["masked", "mutation"])
def test_chains_keep_the_rules(name, process):
    masked = process == "masked"
    law = Masked(6, 4, 3) if masked else Uniform(6, 4, 3)
    check_chain(lambda: DiffusionChain(built(name, 5 if masked else 4).double(), law))


def test_sizes_that_do_not_fit():
    with pytest.raises(ParameterError, match="`patch` must be a divisor of 6; got 4"):
        SequenceTransformer(6, 5, outputs=4, patch=4)
    with pytest.raises(ParameterError, match="`num_heads` must be a divisor of 128; got 3"):
        SequenceTransformer(6, 5, outputs=4, num_heads=3)
    with pytest.raises(ParameterError, match="`kernel` must be odd; got 4"):
        SequenceConvolution(6, 5, outputs=4, kernel=4)
