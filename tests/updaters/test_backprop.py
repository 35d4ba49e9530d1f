"""Back-propagation against finite differences, straight-through gradients against exact expectations."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from chain_families import FAMILIES
from seiko.chain import frozen, rollout, sample_path
from seiko.chains import DDIM, DiffusionChain, Velocity
from seiko.errors import ParameterError
from seiko.networks import VectorMLP
from seiko.schedules import cosine_alpha_bar
from seiko.updaters import KLPenalty, Objective, RewardBackprop
from seiko.updaters.straight_through import Relaxed, RelaxedDraws, with_gradient

STEPS = 4


def gaussian_chain(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = VectorMLP(2, width=8, num_layers=1).double()
    return DiffusionChain(network, DDIM(cosine_alpha_bar(STEPS, last=0.9), (2,), prediction=Velocity()))


def value(state, condition=None):
    return torch.sin(2 * state[:, 0]) + state[:, 1]


def objective():
    penalties = (
        KLPenalty(frozen(gaussian_chain(1)), 0.3),
        KLPenalty(frozen(gaussian_chain(2)), 0.2, "previous"),
    )
    return Objective(value, penalties)


def plain_objective(chain, batch_size, seed):
    """``mean value - sum_j w_j KL_j`` written out, with the noise of `seed`."""
    given = objective()
    path = sample_path(chain, batch_size, generator=torch.Generator().manual_seed(seed))
    total = value(path[-1])
    for k, state in enumerate(path[:-1]):
        law = chain.transition(state, k)
        for penalty in given.penalties:
            gap = law.mean - penalty.reference.transition(state, k).mean
            total = total - penalty.weight * gap.square().sum(1) / (2 * law.scale**2).squeeze()
    return float(total.detach().mean())


def loss_gradient(updater, chain, seed=0):
    loss = updater._loss(chain, objective(), 1.0, updater.batch_size, torch.Generator().manual_seed(seed))
    return loss, torch.autograd.grad(loss, list(chain.parameters()))


@pytest.mark.parametrize("checkpoint", [False, True])
def test_gradient_is_that_of_the_objective(checkpoint):
    chain, updater = gaussian_chain(0), RewardBackprop(batch_size=16, checkpoint=checkpoint)
    loss, gradients = loss_gradient(updater, chain)
    assert float(loss.detach()) == pytest.approx(-plain_objective(chain, 16, 0), abs=1e-10)
    generator = torch.Generator().manual_seed(4)
    for _ in range(3):
        directions = [
            torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in chain.parameters()
        ]
        slope = sum((d * g).sum() for d, g in zip(directions, gradients, strict=True))
        ends = []
        for sign in (1e-5, -1e-5):
            moved = gaussian_chain(0)
            with torch.no_grad():
                for parameter, direction in zip(moved.parameters(), directions, strict=True):
                    parameter.add_(sign * direction)
            ends.append(plain_objective(moved, 16, 0))
        assert -float(slope) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


class ChosenPrefix(RewardBackprop):
    """Takes the given prefix steps, with the factors that the drawn ones would have."""

    chosen = (0,)

    def _draw_prefix(self, length, generator):
        return {index: length / len(self.chosen) for index in self.chosen}


def test_prefix_divergence_is_unbiased():
    """The mean over the choices of one prefix step is the loss with all of them."""

    def gradients(*chosen):
        updater = ChosenPrefix(batch_size=16, grad_steps=1)
        object.__setattr__(updater, "chosen", chosen)
        loss, gradients = loss_gradient(updater, gaussian_chain(0))
        return torch.cat([loss.detach().reshape(1), *(g.flatten() for g in gradients)])

    single = torch.stack([gradients(k) for k in range(STEPS - 1)]).mean(0)
    torch.testing.assert_close(single, gradients(0, 1, 2))
    assert (single - gradients(0)).abs().max() > 1e-4  # and the choices do differ


@pytest.mark.parametrize(("count", "length"), [(1, 3), (2, 5), (9, 4), (3, 0), (0, 4)])
def test_prefix_factors_make_up_for_the_choice(count, length):
    updater, generator = RewardBackprop(prefix_kl_steps=count), torch.Generator().manual_seed(0)
    draws = [updater._draw_prefix(length, generator) for _ in range(3000)]
    assert all(len(draw) == min(count, length) for draw in draws)
    for index in range(length if count else 0):
        mean = sum(draw.get(index, 0.0) for draw in draws) / len(draws)
        assert mean == pytest.approx(1.0, abs=0.12)


def test_prefix_has_no_graph():
    chain = gaussian_chain(0)
    for step in rollout(RelaxedDraws(chain), 4, grad_steps=1, generator=torch.Generator().manual_seed(0)):
        has_graph = step.index == STEPS - 1
        assert step.next_state.requires_grad == has_graph
        assert step.transition.law.mean.requires_grad == has_graph


def count_of_saved_tensors(updater):
    """Tensors kept for the backward pass."""
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(1) or t, lambda t: t):
        updater._loss(
            gaussian_chain(0), objective(), 1.0, updater.batch_size, torch.Generator().manual_seed(0)
        )
    return len(saved)


def test_memory_follows_the_steps_with_a_graph():
    short, middle, whole = (
        count_of_saved_tensors(RewardBackprop(grad_steps=n, prefix_kl_steps=0)) for n in (1, 2, 4)
    )
    assert short < middle < whole
    checkpointed = RewardBackprop(grad_steps=4, prefix_kl_steps=0, checkpoint=True, reference_gradient=False)
    assert count_of_saved_tensors(checkpointed) < whole


def test_reference_gradient_changes_only_the_gradient():
    chain = gaussian_chain(0)
    full, with_state = loss_gradient(RewardBackprop(batch_size=8), chain)
    cheap, without = loss_gradient(RewardBackprop(batch_size=8, reference_gradient=False), chain)
    assert float(full.detach()) == pytest.approx(float(cheap.detach()))
    assert any(not torch.allclose(a, b) for a, b in zip(with_state, without, strict=True))


@pytest.mark.parametrize("grad_steps", [0, 5, (0, 2), (3, 2), (2, 9)])
def test_refuses_steps_out_of_range(grad_steps):
    updater = RewardBackprop(grad_steps=grad_steps)
    with pytest.raises(ParameterError, match="grad_steps"):
        updater.update(gaussian_chain(0), objective(), generator=torch.Generator().manual_seed(0))


def test_draws_the_steps_from_the_given_range():
    updater, generator = RewardBackprop(grad_steps=(2, 4)), torch.Generator().manual_seed(0)
    assert {updater._draw_grad_steps(4, generator) for _ in range(60)} == {2, 3, 4}


def test_refuses_a_value_without_gradient():
    flat = dataclasses.replace(objective(), differentiable=False)
    with pytest.raises(ParameterError, match="soft_features"):
        RewardBackprop().update(gaussian_chain(0), flat, generator=torch.Generator().manual_seed(0))


# ------------------------------------------------------------------------------- straight-through gradients


def expected_gradient(function, logits):
    """Mean over the draw of the gradient that the estimator gives, exactly, [kinds]."""
    total = torch.zeros_like(logits)
    for kind in range(len(logits)):
        leaf = logits.clone().requires_grad_()
        log_probs = leaf.log_softmax(-1)
        hard = torch.nn.functional.one_hot(torch.tensor(kind), len(logits)).double()
        row = with_gradient(log_probs, hard)
        assert torch.equal(row.detach(), hard)
        total += log_probs[kind].exp().detach() * torch.autograd.grad(function(row), leaf)[0]
    return total


def exact_gradient(function, logits):
    leaf = logits.clone().requires_grad_()
    values = torch.stack([function(row) for row in torch.eye(len(logits), dtype=torch.float64)])
    return torch.autograd.grad((leaf.softmax(-1) * values).sum(), leaf)[0]


def test_straight_through_is_exact_up_to_second_order():
    generator = torch.Generator().manual_seed(0)
    logits, slope = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    curve = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    for function in (lambda row: row @ slope, lambda row: row @ slope + row @ curve @ row):
        torch.testing.assert_close(expected_gradient(function, logits), exact_gradient(function, logits))
    cubic = lambda row: (row @ slope) ** 3  # noqa: E731
    assert (expected_gradient(cubic, logits) - exact_gradient(cubic, logits)).abs().max() > 1e-3


@pytest.mark.parametrize("family", ["masked-1", "masked-2", "absorbing", "uniform", "graph", "mixed", "ddpm"])
def test_relaxed_draws_are_the_same_draws(family):
    chain = FAMILIES[family](0)
    plain = sample_path(chain, 3, generator=torch.Generator().manual_seed(1))[-1]
    steps = rollout(RelaxedDraws(chain), 3, grad_steps="all", generator=torch.Generator().manual_seed(1))
    last = list(steps)[-1].next_state
    leaves = zip(plain.values(), last.values(), strict=True) if isinstance(plain, dict) else [(plain, last)]
    total = 0.0
    for ours, theirs in leaves:
        assert torch.equal(ours, theirs.detach())
        total = total + (theirs * torch.randn_like(theirs)).sum() if theirs.requires_grad else total
    gradients = torch.autograd.grad(total, list(chain.parameters()), allow_unused=True)
    assert all(g.isfinite().all() for g in gradients if g is not None)
    assert any((g != 0).any() for g in gradients if g is not None)


def test_relaxed_law_keeps_densities():
    chain = FAMILIES["masked-1"](0)
    law = chain.transition(chain.initial(3).sample(), 0)
    state = law.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(Relaxed(law).log_prob(state), law.log_prob(state))
    torch.testing.assert_close(Relaxed(law).kl(law), torch.zeros(3, dtype=torch.float64))
