"""What a fit to a teacher's own samples would teach, for every kind of chain."""

from __future__ import annotations

import itertools

import pytest
import torch
from graph_world import masks, small_chain

from chain_families import FAMILIES
from seiko.chain import frozen, sample
from seiko.chains.contrast import contrast
from seiko.errors import ParameterError

KNOWN = sorted(set(FAMILIES) - {"padded-gaussians"})
MAKE = {name: (FAMILIES[name], lambda n: None) for name in KNOWN} | {"graph-sde": (small_chain, masks)}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gradient(value, chain):
    parts = torch.autograd.grad(value, [p for p in chain.parameters() if p.requires_grad], allow_unused=True)
    return torch.cat([part.flatten() for part in parts if part is not None])


@pytest.mark.parametrize("name", MAKE)
def test_a_chain_that_teaches_itself_has_the_gradient_of_its_loss(name):
    """What it expects is the minimum of the loss against it."""
    make, condition = MAKE[name]
    chain, given = make(0), condition(64)
    data = sample(make(1), 64, condition=given, generator=generator(1))
    found = gradient(contrast(chain, frozen(chain), data, given, generator(2)).mean(), chain)
    wanted = gradient(chain.loss(data, given, generator(2)).mean(), chain)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", MAKE)
def test_another_teacher_expects_something_else_and_is_not_trained(name):
    make, condition = MAKE[name]
    chain, teacher, given = make(0), make(1), condition(32)
    data = sample(teacher, 32, condition=given, generator=generator(1))
    found = contrast(chain, teacher, data, given, generator(2))
    own = contrast(chain, chain, data, given, generator(2))
    assert found.shape == (32,) and torch.isfinite(found).all()
    assert not torch.allclose(found, own)
    found.sum().backward()
    assert all(p.grad is None for p in teacher.parameters())


def test_over_the_teachers_own_law_its_gradient_is_0_at_any_chain():
    chain, teacher = FAMILIES["left-to-right"](0), FAMILIES["left-to-right"](1)
    rows = {
        (*row[: row.index(0)], *[0] * (4 - row.index(0))) if 0 in row else row
        for row in itertools.product(range(3), repeat=4)
    }
    rows = torch.tensor(sorted(rows))
    law = (-teacher.loss(rows)).detach().exp()
    assert float(law.sum()) == pytest.approx(1.0, abs=1e-5)
    scale = gradient((law * chain.loss(rows)).sum(), chain).abs().max()
    found = gradient((law * contrast(chain, teacher, rows, None, None)).sum(), chain)
    assert scale > 0.01 and found.abs().max() < 1e-5 * scale
    wrong = gradient((law.flip(0) * contrast(chain, teacher, rows, None, None)).sum(), chain)
    assert wrong.abs().max() > 0.1 * scale


def test_other_kinds_of_chains_are_refused():
    chain = FAMILIES["padded-gaussians"](0)
    with pytest.raises(ParameterError, match="PaddedGaussians"):
        contrast(chain, chain, torch.zeros(2, 3), None, generator())
