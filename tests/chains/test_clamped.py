"""Chains with some positions given: exact laws against enumeration and against smaller alphabets."""

from __future__ import annotations

import doctest
import itertools
import math

import pytest
import torch
from torch import nn

from chain_families import ALLOWED, FAMILIES, generator
from seiko.chain import path_kl, rollout, sample, sample_path
from seiko.chains import Absorbing, Clamped, DiffusionChain, Joint, Masked, Uniform, clamped, one_hot
from seiko.chains import clamped as clamped_module
from seiko.errors import ParameterError, ShapeError

NAMES = ["clamped-masked", "clamped-absorbing", "clamped-uniform"]


def every_state(length, kinds):
    rows = torch.tensor(list(itertools.product(range(kinds), repeat=length)))
    return one_hot(rows, kinds, torch.float64)


@torch.no_grad()
def enumerated(chain, reference=None):
    """The exact law over final states, and the exact path divergence, by summing over all paths."""
    kinds = chain.process.kinds + (not isinstance(chain.process.process, Uniform))
    states = every_state(chain.process.length, kinds)
    start = chain.initial(1)
    mass = torch.stack([start.log_prob(s[None])[0] for s in states]).exp()
    total = torch.zeros((), dtype=torch.float64)
    for step in range(chain.num_steps):
        now = torch.zeros_like(mass)
        for state, weight in zip(states, mass, strict=True):
            if weight == 0:
                continue
            rows = state.expand(len(states), -1, -1)
            log_p = chain.transition(rows, step).log_prob(states)
            now += weight * log_p.exp()
            if reference is not None:
                log_q = reference.transition(rows, step).log_prob(states)
                held = log_p > -math.inf
                total += weight * (log_p[held].exp() * (log_p - log_q)[held]).sum()
        mass = now
    return states, mass, total


class Conditionals(nn.Module):
    """Logits of a known law's conditionals given the revealed positions."""

    def __init__(self, law):
        super().__init__()
        self.register_buffer("law", law)

    def forward(self, state, time, condition=None):
        length, kinds = self.law.ndim, self.law.shape[0]
        grid = every_state(length, kinds)
        clean, masked = state[..., :kinds], state[..., kinds:]
        fits = torch.einsum("blk,nlk->bnl", clean + masked, grid).prod(-1) * self.law.flatten()
        return torch.einsum("bn,nlk->blk", fits, grid).clamp_min(1e-300).log()


@pytest.mark.parametrize("name", NAMES)
def test_all_mass_is_on_what_is_allowed_at_every_step(name):
    chain = FAMILIES[name](1)
    states, mass, _ = enumerated(chain)
    fits = (states[..., :3] * ~ALLOWED).sum((1, 2)) == 0
    assert mass.sum() == pytest.approx(1, abs=1e-12) and mass[~fits].sum() == 0
    assert (mass[fits & (states[..., 3:].sum((1, 2)) == 0)] > 0).all()
    for state in sample_path(chain, 40, generator=generator()):
        assert (state[..., :3] * ~ALLOWED).sum() == 0
        assert (state[:, 1, 1] == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_samples_and_divergences_are_those_of_the_enumeration(name):
    chain, reference = FAMILIES[name](1), FAMILIES[name](2)
    states, mass, total = enumerated(chain, reference)
    draws = sample(chain, 4000, batch_size=4000, generator=generator())
    frequency = torch.stack([(draws == s).all(-1).all(-1).double().mean() for s in states])
    assert (frequency - mass).abs().max() < 5 * (0.25 / 4000) ** 0.5
    kl = path_kl(chain, reference, 4000, generator=generator()).detach()
    assert float(kl.mean()) == pytest.approx(float(total), abs=4 * float(kl.std()) / 4000**0.5 + 1e-9)


def test_with_exact_conditionals_samples_have_the_conditional_law():
    law = (1.5 * torch.randn(27, generator=generator(), dtype=torch.float64)).softmax(0).view(3, 3, 3)
    chain = DiffusionChain(Conditionals(law), Masked(3, 3))
    allowed = torch.ones(3, 3, dtype=torch.bool)
    allowed[1] = torch.tensor([False, False, True])
    states, mass, _ = enumerated(clamped(chain, allowed))
    found = {tuple(s.argmax(-1).tolist()): float(m) for s, m in zip(states, mass, strict=True) if m > 0}
    given = law[:, 2] / law[:, 2].sum()
    for a, b in itertools.product(range(3), repeat=2):
        assert found.pop((a, 2, b)) == pytest.approx(float(given[a, b]), abs=1e-12)
    assert not found


@pytest.mark.parametrize("make", [Masked, Absorbing, Uniform])
def test_the_same_kinds_everywhere_are_a_smaller_alphabet(make):
    """Laws, losses and starts equal those of a process that has only these kinds."""
    allowed = torch.tensor([True, False, True, False]).expand(3, 4)
    ours, small = Clamped(make(3, 4, 2), allowed), make(3, 2, 2)
    is_uniform = make is Uniform
    columns = [0, 2] if is_uniform else [0, 2, 4]
    kinds = torch.randint(2, (6, 3), generator=generator())
    data = one_hot(kinds, 2, torch.float64)
    wide = torch.zeros(6, 3, 4, dtype=torch.float64)
    wide[..., [0, 2]] = data
    prediction = torch.randn(6, 3, 4, generator=generator(1), dtype=torch.float64)
    like = torch.empty((), dtype=torch.float64)
    torch.testing.assert_close(
        ours.initial(2, like).probs[..., columns], small.initial(2, like).probs, atol=1e-12, rtol=0
    )
    for step in range(2):
        steps = torch.full((6,), step)
        state = small.corrupt(data, steps, generator(step))
        same = torch.zeros(6, 3, 4 + (not is_uniform), dtype=torch.float64)
        same[..., columns] = state
        torch.testing.assert_close(ours.time(steps, like), small.time(steps, like))
        a = ours.transition(same, prediction, step)
        b = small.transition(state, prediction[..., [0, 2]], step)
        kept = columns if a.log_probs.shape[-1] > 4 else [0, 2]
        torch.testing.assert_close(a.log_probs[..., kept].exp(), b.log_probs.exp(), atol=1e-12, rtol=0)
        torch.testing.assert_close(
            ours.loss(prediction, wide, same, steps),
            small.loss(prediction[..., [0, 2]], data, state, steps),
            atol=1e-10,
            rtol=0,
        )


@pytest.mark.parametrize("name", NAMES)
def test_corruption_keeps_what_is_given_and_masks_as_the_chain_does(name):
    process = FAMILIES[name](1).process
    kinds = torch.tensor([[0, 1, 2, 1]]).expand(3000, 4)
    data = one_hot(kinds, 3, torch.float64)
    for step in range(process.num_steps):
        state = process.corrupt(data, torch.full((3000,), step), generator(step))
        assert ((state == 0) | (state == 1)).all() and (state.sum(-1) == 1).all()
        assert (state[..., :3] * ~ALLOWED).sum() == 0 and (state[:, 1, 1] == 1).all()
        if name == "clamped-masked":
            assert (state[..., 3].sum(1) == 3 - process._done[step]).all()
            hidden = state[:, [0, 2, 3], 3].mean(0)
            assert (hidden - (3 - process._done[step]) / 3).abs().max() < 0.05
        if name == "clamped-uniform":
            kept = step / 3
            assert float((state[:, 2] == data[:, 2]).all(-1).double().mean()) == pytest.approx(
                kept + (1 - kept) / 2, abs=0.05
            )


@pytest.mark.parametrize("name", NAMES)
def test_corruption_replaces_what_is_not_allowed(name):
    process = FAMILIES[name](1).process
    data = one_hot(torch.full((2000, 4), 2), 3, torch.float64)
    forbidden = ~ALLOWED[:, 2]
    assert forbidden.any()
    for step in range(process.num_steps):
        state = process.corrupt(data, torch.full((2000,), step), generator(step))
        assert (state.sum(-1) == 1).all() and (state[..., :3] * ~ALLOWED).sum() == 0


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_and_none_goes_to_what_is_not_allowed(name):
    chain = FAMILIES[name](1)
    *_, last = rollout(chain, 5, grad_steps="all", generator=generator())
    (last.next_state[..., :3] * torch.arange(3)).sum().backward()
    data = sample(chain, 8, generator=generator())
    chain.loss(data, generator=generator()).sum().backward()
    for parameter in chain.parameters():
        assert torch.isfinite(parameter.grad).all()


def test_losses_of_a_masked_chain_are_the_exact_bound_of_the_free_positions():
    """For exact conditionals and one position a step: minus the conditional log-likelihood, on average."""
    law = (1.5 * torch.randn(27, generator=generator(), dtype=torch.float64)).softmax(0).view(3, 3, 3)
    allowed = torch.ones(3, 3, dtype=torch.bool)
    allowed[0] = torch.tensor([True, False, False])
    process = Clamped(Masked(3, 3), allowed)
    assert process.counts.tolist() == [0, 1, 1]
    data = one_hot(torch.tensor([[0, 2, 1]]), 3, torch.float64)
    network, total = Conditionals(law), 0.0
    # Both free positions masked, then either one: the steps that reveal, each as likely.
    for hidden, weight, step in (([1, 2], 1 / 2, 1), ([1], 1 / 4, 2), ([2], 1 / 4, 2)):
        state = torch.nn.functional.pad(data, (0, 1)).clone()
        state[:, hidden] = torch.tensor([0, 0, 0, 1.0], dtype=torch.float64)
        loss = process.loss(network(state, None), data, state, torch.tensor([step]))
        total += weight * float(loss)
    assert total == pytest.approx(-math.log(float(law[0, 2, 1] / law[0].sum())), abs=1e-10)


def test_a_leaf_of_a_joint_process_may_be_clamped():
    free = torch.ones(2, 3, dtype=torch.bool)
    one = free.clone()
    one[0] = torch.tensor([False, True, False])
    joint = Joint({"a": Clamped(Masked(2, 3), one), "b": Masked(2, 3)})
    start = joint.initial(4, torch.empty(())).sample()
    assert (start["a"][:, 0, 1] == 1).all() and (start["b"][..., -1] == 1).all()


def test_bad_input():
    free = torch.ones(3, 4, dtype=torch.bool)
    with pytest.raises(ShapeError, match=r"shape \[3, 4\]; got \[4, 3\]"):
        Clamped(Masked(3, 4), free.T)
    nothing, full = free.clone(), torch.eye(4, dtype=torch.bool)[:3]
    nothing[2] = False
    with pytest.raises(ParameterError, match="no kind for position 2"):
        Clamped(Uniform(3, 4, 2), nothing)
    with pytest.raises(ParameterError, match="nothing to sample"):
        Clamped(Absorbing(3, 4, 2), full)
    with pytest.raises(ParameterError, match="got Joint"):
        Clamped(Joint({"a": Masked(3, 4)}), free)


def test_examples():
    import sys

    found = doctest.testmod(sys.modules[Clamped.__module__])
    assert found.attempted and not found.failed
    assert clamped_module is clamped
