from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chain_families import generator
from seiko.distributions import Categorical, Gaussian, Product, Reveal, point_mass
from seiko.errors import ParameterError, ShapeError


def _double(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def _every_sequence(length, kinds):
    """All one-hot sequences, [kinds ** length, length, kinds]."""
    table = torch.tensor(list(itertools.product(range(kinds), repeat=length)))
    return torch.nn.functional.one_hot(table, kinds).double()


# ------------------------------------------------------------------------------------------------ Gaussian


def test_gaussian_agrees_with_torch():
    ours, theirs = (
        Gaussian(_double(5, 3), _double(5, 3, seed=1).exp()),
        Gaussian(_double(5, 3, seed=2), _double(1, seed=3).exp()),
    )
    as_torch = [torch.distributions.Normal(law.mean, law.scale.expand_as(law.mean)) for law in (ours, theirs)]
    state = _double(5, 3, seed=4)
    torch.testing.assert_close(ours.log_prob(state), as_torch[0].log_prob(state).sum(1))
    torch.testing.assert_close(ours.kl(theirs), torch.distributions.kl_divergence(*as_torch).sum(1))


def test_gaussian_sample_has_the_law_and_no_graph():
    mean = torch.tensor([[1.0, -2.0]], dtype=torch.float64).requires_grad_()
    law = Gaussian(mean.expand(20000, 2), torch.tensor([0.5, 2.0], dtype=torch.float64))
    draws = law.sample(generator())
    assert not draws.requires_grad and law.rsample(generator()).requires_grad
    torch.testing.assert_close(draws.mean(0), mean[0].detach(), atol=0.06, rtol=0)
    torch.testing.assert_close(draws.std(0), law.scale, atol=0.05, rtol=0)


def test_padding_is_zero_and_counts_nowhere():
    free = torch.tensor([[True, True, False], [True, False, False]])
    mean, other, scale = _double(2, 3), _double(2, 3, seed=1), torch.tensor(0.7, dtype=torch.float64)
    ours, theirs = Gaussian(mean, scale, free), Gaussian(other, scale, free)
    state = ours.sample(generator())
    assert torch.equal(state != 0, free)
    for row in range(2):
        kept = free[row]
        small = Gaussian(mean[row : row + 1, kept], scale)
        torch.testing.assert_close(
            ours.log_prob(state)[row : row + 1], small.log_prob(state[row : row + 1, kept])
        )
        torch.testing.assert_close(
            ours.kl(theirs)[row : row + 1], small.kl(Gaussian(other[row : row + 1, kept], scale))
        )


def test_point_masses_diverge_by_zero_or_infinity():
    here, there = point_mass(torch.zeros(1, 2)), point_mass(torch.ones(1, 2))
    wide = Gaussian(torch.zeros(1, 2), torch.tensor(1.0))
    assert here.kl(here) == 0
    for law, other in ((here, there), (here, wide), (wide, here)):
        assert law.kl(other) == math.inf
    assert here.log_prob(torch.zeros(1, 2)) == 0 and here.log_prob(torch.ones(1, 2)) == -math.inf
    assert torch.equal(here.sample(), torch.zeros(1, 2))


def test_gradients_of_a_partly_fixed_gaussian_are_finite():
    mean = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.0, 1.0], dtype=torch.float64)
    other = Gaussian(torch.tensor([[0.0, 3.0]], dtype=torch.float64), scale)
    kl = Gaussian(mean, scale).kl(other).sum()
    assert float(kl.detach()) == 4.5
    assert torch.equal(torch.autograd.grad(kl, mean)[0], torch.tensor([[0.0, -3.0]], dtype=torch.float64))


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2, 3, 1), (3,)])
def test_wrong_shapes_are_refused(shape):
    gaussian, categorical = (
        Gaussian(torch.zeros(2, 3), torch.tensor(1.0)),
        Categorical.from_logits(torch.zeros(2, 3)),
    )
    for law in (gaussian, categorical):
        with pytest.raises(ShapeError, match=r"\[2, 3\]"):
            law.log_prob(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"other\.mean"):
        gaussian.kl(Gaussian(torch.zeros(shape), torch.tensor(1.0)))
    with pytest.raises(ShapeError, match=r"other\.log_probs"):
        categorical.kl(Categorical.from_logits(torch.zeros(shape)))


# --------------------------------------------------------------------------------------------- Categorical


def test_categorical_kl_and_normalisation_equal_enumeration():
    ours, theirs = (Categorical.from_logits(_double(1, 3, 4, seed=s)) for s in (1, 2))
    table = _every_sequence(3, 4)
    rows = lambda law: Categorical(law.log_probs.expand(len(table), -1, -1)).log_prob(table)  # noqa: E731
    log_p, log_q = rows(ours), rows(theirs)
    assert abs(float(log_p.exp().sum()) - 1) < 1e-10
    assert abs(float((log_p.exp() * (log_p - log_q)).sum() - ours.kl(theirs))) < 1e-10


def test_categorical_sample_frequencies():
    law = Categorical.from_probs(
        torch.tensor([[[0.5, 0.3, 0.2, 0.0]]], dtype=torch.float64).expand(40000, 1, 4)
    )
    for draws in (law.sample(generator()), law.rsample(generator(1))):
        torch.testing.assert_close(draws.mean((0, 1)), law.probs[0, 0], atol=0.012, rtol=0)
        assert draws[..., 3].sum() == 0


def test_straight_through_draws_are_exact_corners_with_the_relaxed_gradient():
    logits = torch.randn(200, 5, 7, generator=generator()).requires_grad_()
    draws = Categorical.from_logits(logits).rsample(generator())
    assert ((draws == 0) | (draws == 1)).all() and (draws.sum(-1) == 1).all()
    assert torch.isfinite(torch.autograd.grad((draws * torch.arange(7)).sum(), logits)[0]).all()


def test_impossible_kinds():
    sure = Categorical.from_probs(torch.tensor([[[1.0, 0.0]]]))
    fair = Categorical.from_probs(torch.tensor([[[0.5, 0.5]]]))
    assert sure.kl(sure) == 0 and fair.kl(sure) == math.inf
    torch.testing.assert_close(sure.kl(fair), torch.tensor([math.log(2)]))
    assert sure.log_prob(torch.tensor([[[0.0, 1.0]]])) == -math.inf


def test_divergence_is_infinite_even_where_the_missed_probability_underflows():
    ours = Categorical(torch.tensor([[[0.0, -800.0]]]))
    assert ours.kl(Categorical(torch.tensor([[[0.0, -math.inf]]]))) == math.inf


def test_gradient_of_a_divergence_with_impossible_kinds_is_finite():
    logits = torch.zeros(1, 1, 3, dtype=torch.float64, requires_grad=True)
    blocked = torch.tensor([0.0, 0.0, -math.inf], dtype=torch.float64)
    other = Categorical.from_logits(torch.tensor([[[1.0, 0.0, -math.inf]]], dtype=torch.float64))
    gradient = torch.autograd.grad(Categorical.from_logits(logits + blocked).kl(other).sum(), logits)[0]
    assert torch.isfinite(gradient).all() and gradient[..., 2] == 0


def test_padded_positions_count_nowhere():
    free = torch.tensor([[True, False]])
    ours, theirs = (Categorical.from_logits(_double(1, 2, 3, seed=s), free) for s in (1, 2))
    small, other = (Categorical.from_logits(_double(1, 2, 3, seed=s)[:, :1]) for s in (1, 2))
    state = ours.sample(generator())
    torch.testing.assert_close(ours.kl(theirs), small.kl(other))
    torch.testing.assert_close(ours.log_prob(state), small.log_prob(state[:, :1]))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.lists(st.floats(-30, 30), min_size=3, max_size=3)
)
def test_categorical_kl_is_never_negative(first, second):
    laws = [
        Categorical.from_logits(torch.tensor([[values]], dtype=torch.float64)) for values in (first, second)
    ]
    assert float(laws[0].kl(laws[1])) >= -1e-12


# -------------------------------------------------------------------------------------------------- Reveal


def _partly_masked(length, kinds, masked):
    """One sequence whose positions in `masked` are masked, the others of kind 0, [1, length, kinds + 1]."""
    state = torch.zeros(1, length, kinds + 1, dtype=torch.float64)
    for position in range(length):
        state[0, position, kinds if position in masked else 0] = 1
    return state


@pytest.mark.parametrize("masked", [(0, 1, 2, 3), (0, 2, 3), (1, 3)])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_reveal_equals_enumeration_of_next_states(masked, count):
    length, kinds = 4, 3
    state = _partly_masked(length, kinds, masked)
    log_probs = [_double(1, length, kinds, seed=s).log_softmax(-1) for s in (1, 2)]
    table = _every_sequence(length, kinds + 1)
    rows = lambda t: t.expand(len(table), -1, -1)  # noqa: E731
    counts = torch.full((len(table),), count)
    log_p, log_q = (Reveal(rows(lp), rows(state), counts).log_prob(table) for lp in log_probs)
    possible = log_p > -math.inf
    assert int(possible.sum()) == math.comb(len(masked), count) * kinds**count
    assert abs(float(log_p.exp().sum()) - 1) < 1e-10
    enumerated = float((log_p.exp() * (log_p - log_q))[possible].sum())
    ours, theirs = (Reveal(lp, state, torch.tensor([count])) for lp in log_probs)
    assert abs(enumerated - float(ours.kl(theirs))) < 1e-10


def test_reveal_draws_have_the_enumerated_frequencies():
    state = _partly_masked(3, 2, (0, 2))
    law = Reveal(_double(1, 3, 2).log_softmax(-1), state, torch.tensor([1]))
    many = Reveal(
        law.log_probs.expand(30000, -1, -1), state.expand(30000, -1, -1), torch.ones(30000, dtype=torch.long)
    )
    draws, table = many.sample(generator()), _every_sequence(3, 3)
    for corner in table:
        probability = float(law.log_prob(corner[None]).exp())
        share = float((draws == corner).all(-1).all(-1).double().mean())
        assert abs(share - probability) < 4 * (probability * (1 - probability) / 30000) ** 0.5 + 1e-12


def test_reveals_from_other_states_diverge_infinitely():
    log_probs, one = torch.zeros(1, 3, 2).log_softmax(-1), torch.tensor([1])
    state = _partly_masked(3, 2, (0, 1)).float()
    revised = state.clone()
    revised[0, 2] = torch.tensor([0.0, 1.0, 0.0])
    law = Reveal(log_probs, state, one)
    others = [
        Reveal(log_probs, _partly_masked(3, 2, (0, 2)).float(), one),
        Reveal(log_probs, revised, one),
        Reveal(log_probs, state, torch.tensor([2])),
    ]
    assert law.kl(law) == 0
    assert all(law.kl(other) == math.inf for other in others)


def test_a_step_that_reveals_nothing_has_no_divergence():
    sure, other = (torch.tensor([[[0.0, -math.inf]]]), torch.tensor([[[-math.inf, 0.0]]]))
    state = _partly_masked(1, 2, (0,)).float()
    assert Reveal(sure, state, torch.tensor([0])).kl(Reveal(other, state, torch.tensor([0]))) == 0


def test_reveal_refuses_wrong_shapes():
    law = Reveal(torch.zeros(1, 3, 2), torch.zeros(1, 3, 3), torch.tensor([1]))
    with pytest.raises(ShapeError, match="state"):
        law.log_prob(torch.zeros(1, 3, 2))


# ------------------------------------------------------------------------------------------------- Product


def test_product_adds_its_leaves():
    parts = {"a": Gaussian(_double(2, 3), torch.tensor(1.0)), "b": Categorical.from_logits(_double(2, 3, 4))}
    others = {
        "a": Gaussian(_double(2, 3, seed=1), torch.tensor(1.0)),
        "b": Categorical.from_logits(_double(2, 3, 4, seed=1)),
    }
    law, state = Product(parts), Product(parts).sample(generator())
    torch.testing.assert_close(
        law.log_prob(state), parts["a"].log_prob(state["a"]) + parts["b"].log_prob(state["b"])
    )
    torch.testing.assert_close(
        law.kl(Product(others)), parts["a"].kl(others["a"]) + parts["b"].kl(others["b"])
    )
    with pytest.raises(ParameterError, match="leaves"):
        law.kl(Product({"a": others["a"]}))
