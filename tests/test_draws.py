"""Numbers come from the generator's device and go to the state's; "meta" stands for that."""

from __future__ import annotations

import pytest
import torch

from seiko import draws
from seiko.chains import DDIM, Absorbing, Clamped, Masked, Uniform
from seiko.schedules import cosine_alpha_bar

META = torch.device("meta")
FREE = torch.ones(4, 3, dtype=torch.bool)
CATEGORICAL = [Masked(4, 3), Absorbing(4, 3, 3), Uniform(4, 3, 3), Clamped(Masked(4, 3), FREE)]


def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def as_on_cuda(monkeypatch):
    """Torch refuses a generator of another device for CUDA, and lets it pass for "meta"."""
    for name in ("rand", "randn", "randint"):
        draw = getattr(torch, name)

        def strict(*sizes, generator=None, device="cpu", draw=draw, **options):
            if generator is not None and torch.device(device) != generator.device:
                raise RuntimeError(f"Expected a {device} generator.")
            return draw(*sizes, generator=generator, device=device, **options)

        monkeypatch.setattr(torch, name, strict)


@pytest.mark.parametrize("process", CATEGORICAL, ids=lambda process: type(process).__name__)
def test_categorical_states_on_another_device_are_noised_and_sampled(process):
    data = torch.zeros(2, 4, 3, device=META)
    step = draws.randint(0, process.num_steps, (2,), META, generator())
    state = process.corrupt(data, step, generator())
    after = process.transition(state, torch.zeros(2, 4, 3, device=META), step).sample(generator())
    assert state.device == after.device == META and after.shape == state.shape


def test_gaussian_states_on_another_device_are_noised_and_sampled():
    process, data = DDIM(cosine_alpha_bar(4), (3,)), torch.zeros(2, 3, device=META)
    state = process.corrupt(data, torch.zeros(2, dtype=torch.long, device=META), generator())
    after = process.transition(state, data, 0).sample(generator())
    assert state.device == after.device == META


def test_the_numbers_are_those_of_the_generator():
    like = torch.zeros(5, dtype=torch.float64)
    for found, wanted in (
        (draws.rand((5,), like.device, generator()), torch.rand(5, generator=generator())),
        (draws.randn_like(like, generator()), torch.randn(5, generator=generator(), dtype=like.dtype)),
        (
            draws.randint(2, 9, (5,), like.device, generator()),
            torch.randint(2, 9, (5,), generator=generator()),
        ),
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    weights = torch.tensor([0.0, 1.0, 3.0])
    found = draws.rows(weights, 4000, generator())
    assert float((found == 2).double().mean()) == pytest.approx(0.75, abs=0.03) and not (found == 0).any()
