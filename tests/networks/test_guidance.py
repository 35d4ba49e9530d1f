"""Classifier-free guidance equals its two branches, in one call."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from seiko.chain import fork, frozen, path_kl
from seiko.chains import DDIM, DiffusionChain, Epsilon
from seiko.errors import ParameterError, ShapeError
from seiko.networks import ClassifierFreeGuidance
from seiko.schedules import cosine_alpha_bar
from seiko.testing import check_chain

NONE = torch.zeros(1, 3)


class Conditional(nn.Module):
    """A small network on [batch, 2] states and [batch, 3] conditions that counts its calls."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))
        self.rows = []

    def forward(self, state, time, condition=None):
        self.rows.append(len(state))
        return self.layers(torch.cat([state, time[:, None], condition], 1))


class OfMappings(nn.Module):
    """The same for mappings: leaves of different kinds, in and out."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, state, time, condition=None):
        shift = condition["prompt"] * condition["strength"]
        return {
            "a": state["a"] * self.scale + shift,
            "b": state["b"].tanh() * shift.sum(1)[:, None, None] + time[:, None, None],
        }


def inputs(rows=5):
    generator = torch.Generator().manual_seed(1)
    state = torch.randn(rows, 2, generator=generator)
    return state, torch.rand(rows, generator=generator), torch.randn(rows, 3, generator=generator)


@pytest.mark.parametrize("guidance_scale", [-1.0, 0.0, 0.5, 2, 7.5])
def test_it_is_the_formula_on_two_calls(guidance_scale):
    network = Conditional()
    state, time, condition = inputs()
    given, none = network(state, time, condition), network(state, time, torch.zeros_like(condition))
    guided = ClassifierFreeGuidance(network, guidance_scale, NONE)(state, time, condition)
    torch.testing.assert_close(guided, none + guidance_scale * (given - none))


def test_both_branches_are_one_call_on_twice_the_rows():
    network = Conditional()
    ClassifierFreeGuidance(network, 3.0, NONE)(*inputs())
    assert network.rows == [10]


def test_a_scale_of_one_is_the_conditional_prediction_from_one_plain_call():
    network = Conditional()
    guided = ClassifierFreeGuidance(network, 1.0, NONE)(*inputs())
    assert network.rows == [5]
    assert torch.equal(guided, network(*inputs()))


def test_the_unconditional_row_is_the_one_that_is_given():
    network, row = Conditional(), torch.tensor([[1.0, -2.0, 0.5]])
    state, time, condition = inputs()
    guided = ClassifierFreeGuidance(network, 0.0, row)(state, time, condition)
    torch.testing.assert_close(guided, network(state, time, row.expand(5, 3)))


def test_rows_are_independent():
    guided = ClassifierFreeGuidance(Conditional(), 4.0, NONE)
    together, rows = guided(*inputs()), torch.tensor([3, 0])
    torch.testing.assert_close(guided(*(part[rows] for part in inputs())), together[rows])


def test_mappings_of_leaves():
    network = OfMappings()
    none = {"prompt": torch.zeros(1, 2), "strength": torch.ones(1, 1)}
    guided = ClassifierFreeGuidance(network, 3.0, none)
    state = {"a": torch.randn(4, 2), "b": torch.randn(4, 2, 3)}
    condition = {"strength": torch.rand(4, 1), "prompt": torch.randn(4, 2)}  # leaves in another order
    zero = {"prompt": torch.zeros(4, 2), "strength": torch.ones(4, 1)}
    time = torch.rand(4)
    out, given, plain = (
        guided(state, time, condition),
        network(state, time, condition),
        network(state, time, zero),
    )
    assert set(out) == {"a", "b"}
    for name, leaf in out.items():
        torch.testing.assert_close(leaf, plain[name] + 3.0 * (given[name] - plain[name]))


def test_gradients_are_those_of_the_two_branches():
    network, twin = Conditional(), Conditional()
    state, time, condition = inputs()
    ClassifierFreeGuidance(network, 2.5, NONE)(state, time, condition).square().sum().backward()
    given, none = twin(state, time, condition), twin(state, time, torch.zeros_like(condition))
    (none + 2.5 * (given - none)).square().sum().backward()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_it_adds_nothing_to_train_and_nothing_to_save():
    network = Conditional()
    guided = ClassifierFreeGuidance(network, 2.0, NONE)
    assert list(guided.parameters()) == list(network.parameters())
    assert set(guided.state_dict()) == {f"network.{name}" for name in network.state_dict()}
    assert not guided.unconditional.requires_grad
    assert guided.double().unconditional.dtype == torch.float64
    assert torch.equal(copy.deepcopy(guided).unconditional, NONE.double())


def test_changing_the_given_row_later_changes_nothing():
    row = torch.zeros(1, 3)
    guided = ClassifierFreeGuidance(Conditional(), 2.0, row)
    row.fill_(9.0)
    assert torch.equal(guided.unconditional, NONE)


def guided_chain():
    process = DDIM(cosine_alpha_bar(4), (2,), prediction=Epsilon())
    return DiffusionChain(ClassifierFreeGuidance(Conditional(), 3.0, NONE), process)


def test_a_guided_chain_is_a_chain():
    check_chain(guided_chain, condition=inputs(4)[2])


def test_a_guided_chain_can_be_held_near_its_frozen_copy():
    chain = guided_chain()
    reference, student = frozen(chain), fork(chain)
    with torch.no_grad():
        next(student.parameters()).add_(0.1)
    generator = torch.Generator().manual_seed(0)
    kl = path_kl(student, reference, 5, condition=inputs()[2], grad_steps=2, generator=generator)
    assert (kl > 0).all()
    kl.sum().backward()
    assert all(parameter.grad is None for parameter in reference.parameters())


@pytest.mark.parametrize("bad", [float("inf"), float("nan"), "2", None, True])
def test_a_scale_that_is_no_number_is_refused(bad):
    with pytest.raises(ParameterError, match="`guidance_scale` must be a finite number; got"):
        ClassifierFreeGuidance(Conditional(), bad, NONE)


def test_an_unconditional_of_many_rows_is_refused():
    with pytest.raises(ShapeError, match=r"one row, leaves \[1, ...\]; got .*\[4, 3\]"):
        ClassifierFreeGuidance(Conditional(), 2.0, torch.zeros(4, 3))


def test_a_call_without_a_condition_is_refused():
    with pytest.raises(ParameterError, match="needs a condition"):
        ClassifierFreeGuidance(Conditional(), 2.0, NONE)(torch.zeros(5, 2), torch.zeros(5))


@pytest.mark.parametrize("condition", [torch.zeros(5, 4), {"prompt": torch.zeros(5, 3)}])
def test_a_condition_of_another_form_is_refused(condition):
    with pytest.raises(ShapeError, match="must have the leaves and shapes of `unconditional`"):
        ClassifierFreeGuidance(Conditional(), 2.0, NONE)(torch.zeros(5, 2), torch.zeros(5), condition)
