from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from chain_families import FAMILIES, generator
from seiko.chain import path_log_prob, sample, sample_path
from seiko.chains import Absorbing, DiffusionChain, Masked, Uniform, one_hot
from seiko.errors import ParameterError


def _double(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def _sequences(length, kinds):
    """All sequences as kinds, [kinds ** length, length]."""
    return torch.tensor(list(itertools.product(range(kinds), repeat=length)))


class ExactConditionals(nn.Module):
    """Logits of a known law's conditionals given the revealed positions; `law` is [kinds] * length."""

    def __init__(self, law: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("law", law)

    def forward(self, state, time, condition=None):
        length, kinds = self.law.ndim, self.law.shape[0]
        clean, masked = state[..., :kinds], state[..., kinds:]
        allowed = clean + masked  # [batch, length, kinds]
        joint = self.law.expand(len(state), *self.law.shape)
        for i in range(length):
            joint = joint * allowed[:, i].reshape(-1, *(kinds if j == i else 1 for j in range(length)))
        marginals = [joint.sum([1 + j for j in range(length) if j != i]) for i in range(length)]
        return torch.stack(marginals, 1).clamp_min(1e-300).log()


def _law(length=3, kinds=3, seed=0):
    return (1.5 * _double(*[kinds] * length, seed=seed)).flatten().softmax(0).reshape([kinds] * length)


# ------------------------------------------------------------------------------------------ evidence bounds


def _expected_masked_loss(chain, data):
    """The mean of the loss over every step and every set of masked positions, [batch], by enumeration."""
    process, total = chain.process, 0.0
    for step in range(process.num_steps):
        subsets = list(itertools.combinations(range(process.length), process.length - step))
        for masked in subsets:
            state = torch.nn.functional.pad(data, (0, 1)).clone()
            state[:, list(masked)] = torch.nn.functional.one_hot(
                torch.tensor(process.kinds), process.kinds + 1
            ).double()
            steps = torch.full((len(data),), step)
            prediction = chain.network(state, process.time(steps, state), None)
            total = total + process.loss(prediction, data, state, steps) / len(subsets)
    return total / process.num_steps


def test_with_exact_conditionals_the_bound_is_the_exact_negative_log_likelihood():
    law = _law()
    chain = DiffusionChain(ExactConditionals(law), Masked(3, 3))
    data = one_hot(_sequences(3, 3), 3, torch.float64)
    torch.testing.assert_close(_expected_masked_loss(chain, data), -law.flatten().log(), atol=1e-10, rtol=0)


def test_the_mean_loss_is_the_bound_of_the_any_order_paths():
    """-sum over orders of the mean log-probability of the path, for a network that is not exact."""
    chain = FAMILIES["masked-1"](1)
    data = one_hot(torch.tensor([[0, 2, 1, 1], [2, 2, 0, 1]]), 3, torch.float64)
    expected = torch.zeros(2, dtype=torch.float64)
    orders = list(itertools.permutations(range(4)))
    mask = torch.tensor([0, 0, 0, 1.0], dtype=torch.float64)
    for order in orders:
        state = mask.expand(2, 4, 4)
        states = [state]
        for position in order:
            state = state.clone()
            state[:, position] = torch.nn.functional.pad(data[:, position], (0, 1))
            states.append(state)
        # The path's density has the choice of the position, 1 / 4!, which the bound has not.
        expected -= (path_log_prob(chain, states).sum(1).detach() + math.log(24)) / len(orders)
    torch.testing.assert_close(_expected_masked_loss(chain, data).detach(), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("num_steps", [1, 3, 8])
def test_the_absorbing_bound_is_exact_for_exact_conditionals_in_expectation(num_steps):
    """Its mean over the corruption is -E log p(x) plus what revealing several positions at once costs."""
    law = _law()
    chain = DiffusionChain(ExactConditionals(law), Absorbing(3, 3, num_steps))
    kinds = _sequences(3, 3)
    chosen = kinds[torch.multinomial(law.flatten(), 20000, True, generator=generator())]
    losses = chain.loss(one_hot(chosen, 3, torch.float64), generator=generator(1))
    bound = 0.0
    data, weights = one_hot(kinds, 3, torch.float64), law.flatten()
    shares = [1 - k / num_steps for k in range(num_steps + 1)]
    for k in range(num_steps):
        for hidden in itertools.product([False, True], repeat=3):
            state = torch.nn.functional.pad(data, (0, 1)).clone()
            state[:, list(hidden)] = torch.tensor([0, 0, 0, 1.0], dtype=torch.float64)
            probability = shares[k] ** sum(hidden) * (1 - shares[k]) ** (3 - sum(hidden))
            steps = torch.full((len(data),), k)
            loss = chain.process.loss(chain.network(state, steps, None), data, state, steps)
            bound = bound + probability * float((weights * loss).sum()) / num_steps
    error = float(losses.std()) / 20000**0.5
    assert abs(float(losses.mean()) - bound) < 4 * error
    entropy = -float((law * law.log()).sum())
    assert bound > entropy - 1e-10
    if num_steps == 8:
        assert bound - entropy < 0.25 * (3 * math.log(3) - entropy)


def test_the_uniform_bound_is_above_the_entropy_and_is_the_enumerated_one():
    """K * mean KL(posterior || step), against explicit [kinds, kinds] tables of the forward process."""
    num_steps, kinds = 3, 3
    chain = FAMILIES["uniform"](1)
    data = one_hot(torch.tensor([[0, 1, 2, 0]]), kinds, torch.float64)
    kept = [k / num_steps for k in range(num_steps + 1)]
    bound = 0.0
    for k in range(num_steps):
        for found in _sequences(4, kinds):
            state = one_hot(found[None], kinds, torch.float64)
            likelihood = kept[k] * (found == data[0].argmax(-1)) + (1 - kept[k]) / kinds
            steps = torch.tensor([k])
            prediction = chain.network(state, chain.process.time(steps, state), None)
            bound = (
                bound
                + float((likelihood.prod() * chain.process.loss(prediction, data, state, steps)).detach())
                / num_steps
            )
    many = chain.loss(data.expand(20000, -1, -1), generator=generator()).detach()
    assert abs(float(many.mean()) - bound) < 4 * float(many.std()) / 20000**0.5
    # It bounds the chain's own negative log-likelihood, estimated from below by its samples.
    draws = sample(chain, 20000, batch_size=20000, generator=generator(1))
    frequency = float((draws == data).all(-1).all(-1).double().mean())
    assert bound > -math.log(frequency) - 0.2


# ---------------------------------------------------------------------------------------- single transitions


def _table(kept_now, kept_then, kinds):
    """q(x at the noisier level | s at the cleaner one), [kinds, kinds]."""
    ratio = kept_now / kept_then
    return ratio * torch.eye(kinds, dtype=torch.float64) + (1 - ratio) / kinds


@pytest.mark.parametrize("kinds", [2, 5])
@pytest.mark.parametrize("num_steps", [1, 4])
def test_uniform_steps_equal_the_explicit_sum_over_clean_kinds(kinds, num_steps):
    process = Uniform(3, kinds, num_steps)
    prediction = _double(6, 3, kinds)
    state = one_hot(torch.randint(kinds, (6, 3), generator=generator()), kinds, torch.float64)
    for step in range(num_steps):
        now, then = step / num_steps, (step + 1) / num_steps
        back = _table(now, then, kinds)  # q(x | s): [s, x]
        forward = then * torch.eye(kinds, dtype=torch.float64) + (1 - then) / kinds  # q(s | j): [j, s]
        direct = now * torch.eye(kinds, dtype=torch.float64) + (1 - now) / kinds  # q(x | j): [j, x]
        posterior = back.T[:, None, :] * forward[None] / direct.T[:, :, None]  # [x, j, s]
        clean = prediction.softmax(-1)
        explicit = torch.einsum("blx,blj,xjs->bls", state, clean, posterior)
        torch.testing.assert_close(
            process.transition(state, prediction, step).probs, explicit, atol=1e-10, rtol=0
        )


def test_a_uniform_step_keeps_its_support_under_extreme_logits():
    process = Uniform(1, 2, 2)
    state = one_hot(torch.tensor([[0]]), 2)
    for step in range(2):
        prediction = torch.tensor([[[500.0, -500.0]]], requires_grad=True)
        law = process.transition(state, prediction, step)
        assert (law.log_probs > -torch.inf).all()
        gradient = torch.autograd.grad(law.log_probs.sum(), prediction)[0]
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_absorbing_rows_sum_to_one_and_revealed_positions_stay(num_steps):
    process = Absorbing(4, 3, num_steps)
    state = one_hot(torch.tensor([[3, 0, 3, 2]]), 4, torch.float64)
    for step in range(num_steps):
        law = process.transition(state, _double(1, 4, 3), step)
        torch.testing.assert_close(
            law.probs.sum(-1), torch.ones(1, 4, dtype=torch.float64), atol=1e-12, rtol=0
        )
        assert torch.equal(law.probs[:, [1, 3]], state[:, [1, 3]])
        stay = 1 - (step + 1) / num_steps
        torch.testing.assert_close(
            law.probs[0, 0, 3], torch.tensor(stay / (1 - step / num_steps), dtype=torch.float64)
        )


@pytest.mark.parametrize("name", ["masked-1", "masked-2", "masked-counts", "absorbing"])
def test_masked_chains_end_without_masks_and_never_revise(name):
    states = sample_path(FAMILIES[name](1), 50, generator=generator())
    assert (states[0][..., -1] == 1).all() and (states[-1][..., -1] == 0).all()
    for before, after in itertools.pairwise(states):
        revealed = before[..., -1] == 0
        assert torch.equal(before[revealed], after[revealed])


def test_counts_say_how_many_are_revealed():
    states = sample_path(FAMILIES["masked-counts"](1), 20, generator=generator())
    assert [int(s[0, :, -1].sum()) for s in states] == [4, 3, 0]
    assert all((s[..., -1].sum(1) == s[0, :, -1].sum()).all() for s in states)


def test_exact_conditionals_give_samples_of_the_law():
    law = _law()
    chain = DiffusionChain(ExactConditionals(law), Masked(3, 3))
    draws = sample(chain, 20000, batch_size=20000, generator=generator())[..., :3].argmax(-1)
    counts = torch.bincount(draws @ torch.tensor([9, 3, 1]), minlength=27).double()
    chi_squared = float(((counts - 20000 * law.flatten()) ** 2 / (20000 * law.flatten())).sum())
    assert chi_squared < 26 + 5 * math.sqrt(2 * 26)


# --------------------------------------------------------------------------------------------- corruption


@pytest.mark.parametrize(
    "process", [Masked(4, 3), Masked(4, 3, num_steps=2), Absorbing(4, 3, 4), Uniform(4, 3, 4)]
)
def test_corruption_keeps_rows_one_hot_and_takes_data_with_or_without_the_mask_kind(process):
    kinds = torch.randint(3, (12, 4), generator=generator())
    step = torch.arange(12) % process.num_steps
    states = [process.corrupt(one_hot(kinds, 3), step, generator(1))]
    if not isinstance(process, Uniform):
        states.append(process.corrupt(one_hot(kinds, 4), step, generator(1)))
        kept = states[0][..., -1] == 0
        assert torch.equal(states[0].argmax(-1)[kept], kinds[kept])
        assert torch.equal(states[0], states[1])
    assert ((states[0] == 0) | (states[0] == 1)).all() and (states[0].sum(-1) == 1).all()


def test_masking_hides_each_position_equally_often():
    process = Masked(4, 3)
    data = one_hot(torch.zeros(20000, 4, dtype=torch.long), 3)
    state = process.corrupt(data, torch.full((20000,), 1), generator())
    assert (state[..., -1].sum(1) == 3).all()
    assert (state[..., -1].mean(0) - 0.75).abs().max() < 4 * (0.75 * 0.25 / 20000) ** 0.5


@pytest.mark.parametrize("length", [0, -1])
def test_bad_sizes_are_refused(length):
    for make in (lambda: Masked(length, 3), lambda: Absorbing(length, 3, 2), lambda: Uniform(length, 3, 2)):
        with pytest.raises(ParameterError, match="length"):
            make()
    with pytest.raises(ParameterError, match="kinds"):
        Masked(3, 1)


@pytest.mark.parametrize("num_steps", [-1, 2.5])
def test_bad_numbers_of_steps_are_refused(num_steps):
    for make in (Masked, Absorbing, Uniform):
        with pytest.raises(ParameterError, match="num_steps"):
            make(3, 2, num_steps)


def test_counts_and_num_steps_must_agree():
    with pytest.raises(ParameterError, match="counts"):
        Masked(3, 2, num_steps=3, counts=torch.tensor([1, 2]))
    assert Masked(3, 2, num_steps=2, counts=torch.tensor([1, 2])).num_steps == 2
