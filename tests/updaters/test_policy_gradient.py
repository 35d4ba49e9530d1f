"""The policy gradient is unbiased: against the exact objective of chains whose paths can be enumerated."""

from __future__ import annotations

import itertools

import pytest
import torch

from seiko import tree
from seiko.chain import fork, frozen, path_log_prob
from seiko.chains import DiffusionChain, Masked
from seiko.networks import SequenceMLP
from seiko.updaters import KLPenalty, Objective, PolicyGradient
from seiko.updaters.policy_gradient import compare, path_advantages
from seiko.updaters.training import Paths, stack_states

KINDS = 2


def tiny_chain(length, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SequenceMLP(length, KINDS + 1, outputs=KINDS, width=8, num_layers=1).double()
        return DiffusionChain(network, Masked(length, KINDS))


def value(state, condition=None):
    table = torch.tensor([[0.3, -0.8], [1.0, 0.1]], dtype=torch.float64)[: state.shape[1]]
    first = state[:, 0, 0] * state[:, -1, 1]
    return (state[..., :-1] * table).sum((1, 2)) + 0.7 * first


def all_paths(length):
    """Every path of `Masked(length, KINDS)`: each order of the positions, each design."""
    states = []
    for order in itertools.permutations(range(length)):
        for kinds in itertools.product(range(KINDS), repeat=length):
            digits = torch.full((length + 1, length), KINDS)
            for step, position in enumerate(order):
                digits[step + 1 :, position] = kinds[position]
            states.append(torch.nn.functional.one_hot(digits, KINDS + 1).double())
    stacked = torch.stack(states, 1)  # [length + 1, paths, length, KINDS + 1]
    return Paths(stacked, value(stacked[-1]))


def log_probs(chain, paths):
    return path_log_prob(chain, list(paths.states), grad_steps="all").sum(1)


def gradient(chain, scalar):
    return torch.cat([g.flatten() for g in torch.autograd.grad(scalar, list(chain.parameters()))])


def exact_gradient(chain, objective, paths):
    """Autograd of ``E[value] - sum_j w_j KL_j``, both summed over all paths."""
    own = log_probs(chain, paths)
    inside = paths.values
    for penalty in objective.penalties:
        inside = inside - penalty.weight * (own - log_probs(penalty.reference, paths))
    return gradient(chain, (own.exp() * inside).sum())


def with_other_steps(log_ratio, step, rule):
    """Log-ratios in which a deliberately broken variant leaves out some steps, seen from `step`."""
    kept = {
        "right": lambda k: True,
        "no divergence to go": lambda k: k <= step,
        "no divergence of its own": lambda k: k != step,
        "no divergence": lambda k: False,
    }[rule]
    mask = torch.tensor([kept(k) for k in range(len(next(iter(log_ratio.values()))))]).double()[:, None]
    return {name: grid * mask for name, grid in log_ratio.items()}


def expected_estimate(updater, chain, old, objective, paths, rule="right"):
    """The estimator's exact mean over all batches of two independent paths drawn from `old`."""
    probs = log_probs(old, paths).exp().detach()
    total, size = 0.0, len(paths.values)
    weight = sum(penalty.weight for penalty in objective.penalties)
    for pair in itertools.product(range(size), repeat=2):
        rows = torch.tensor(pair)
        batch = Paths(tree.tree_map(lambda leaf, r=rows: leaf[:, r], paths.states), paths.values[rows])
        seen = compare(old, batch, objective, 64)
        for step in range(chain.num_steps):
            ratios = with_other_steps(seen.log_ratio, step, rule)
            advantages = path_advantages(batch.values, ratios, objective, 1.0)
            steps = torch.full((2,), step)
            loss = updater.surrogate_loss(
                chain, batch, (steps, torch.arange(2)), seen.log_prob, advantages, weight
            )
            total = total - probs[rows].prod() * loss / chain.num_steps
    return gradient(chain, total)


def objective_of(length):
    penalties = (
        KLPenalty(frozen(tiny_chain(length, 1)), 0.4),
        KLPenalty(frozen(tiny_chain(length, 2)), 0.3, "previous"),
    )
    return Objective(value, penalties)


def test_enumeration_is_complete():
    chain, paths = tiny_chain(2, 0), all_paths(2)
    assert float(log_probs(chain, paths).detach().exp().sum()) == pytest.approx(1.0)


def test_gradient_is_unbiased():
    chain, objective, paths = tiny_chain(2, 0), objective_of(2), all_paths(2)
    exact = exact_gradient(chain, objective, paths)
    estimate = expected_estimate(PolicyGradient(), chain, frozen(chain), objective, paths)
    torch.testing.assert_close(estimate, exact, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("rule", ["no divergence to go", "no divergence of its own", "no divergence"])
def test_leaving_out_a_divergence_is_biased(rule):
    chain, objective, paths = tiny_chain(2, 0), objective_of(2), all_paths(2)
    exact = exact_gradient(chain, objective, paths)
    estimate = expected_estimate(PolicyGradient(), chain, frozen(chain), objective, paths, rule)
    assert (estimate - exact).norm() > 1e-3 * exact.norm()  # the unbiased one agrees to 1e-8


def test_gradient_is_unbiased_after_the_chain_has_moved():
    """Without clipping, one step away from the law that drew the paths: the correction is exact."""
    chain, old, objective, paths = tiny_chain(1, 0), frozen(tiny_chain(1, 3)), objective_of(1), all_paths(1)
    exact = exact_gradient(chain, objective, paths)
    estimate = expected_estimate(PolicyGradient(clip_ratio=1e9), chain, old, objective, paths)
    torch.testing.assert_close(estimate, exact, rtol=1e-8, atol=1e-10)


def test_advantages_vanish_at_the_maximum():
    """With value = w log(p / reference) the chain is the maximum, and no path has anything to teach."""
    chain, reference, paths = tiny_chain(2, 0), frozen(tiny_chain(2, 1)), all_paths(2)
    gain = 0.5 * (log_probs(chain, paths) - log_probs(reference, paths)).detach()
    objective = Objective(value, (KLPenalty(reference, 0.5),))
    best = Paths(paths.states, gain)
    seen = compare(frozen(chain), best, objective, 7)
    assert path_advantages(best.values, seen.log_ratio, objective, 1.0).abs().max() < 1e-12


def test_advantages_are_less_the_leave_one_out_mean():
    values = torch.tensor([1.0, 2.0, 6.0])
    expected = torch.tensor([1.0 - 4.0, 2.0 - 3.5, 6.0 - 1.5])
    torch.testing.assert_close(path_advantages(values, {}, Objective(value), 1.0), expected)


def test_compare_does_not_depend_on_the_chunk():
    chain, objective, paths = tiny_chain(2, 0), objective_of(2), all_paths(2)
    small, large = compare(chain, paths, objective, 5), compare(chain, paths, objective, 1000)
    torch.testing.assert_close(small.log_prob, large.log_prob)
    torch.testing.assert_close(small.kl["previous"], large.kl["previous"])
    torch.testing.assert_close(small.log_prob.T, path_log_prob(chain, list(paths.states)))


def test_clipping_stops_the_gain_of_a_ratio_out_of_range():
    chain, paths = tiny_chain(1, 0), all_paths(1)
    old = log_probs(chain, paths).detach() - 1.0  # every ratio is e, out of 1 +- 0.2
    pairs = torch.zeros(KINDS, dtype=torch.long), torch.arange(KINDS)
    advantages = torch.ones(KINDS, dtype=torch.float64)
    loss = PolicyGradient().surrogate_loss(chain, paths, pairs, old[None], advantages, 0.0)
    assert gradient(chain, loss).norm() == 0
    assert float(loss.detach()) == pytest.approx(-1.2)


def test_paths_of_a_tree_are_stacked():
    path = [{"a": torch.zeros(4, 2), "b": torch.ones(4)} for _ in range(3)]
    stacked = stack_states(path)
    assert stacked["a"].shape == (3, 4, 2)
    now, after, condition = Paths(stacked, torch.zeros(4)).at(torch.tensor([0, 1]), torch.tensor([3, 2]))
    assert now["a"].shape == (2, 2) and after["b"].shape == (2,) and condition is None


def test_improve_moves_only_the_student():
    chain, objective = tiny_chain(2, 0), objective_of(2)
    updater = PolicyGradient(batch_size=16)
    student = fork(chain)
    paths = all_paths(2)
    kl = updater.improve(
        student, paths, objective, updater.descent(student), 1.0, torch.Generator().manual_seed(0)
    )
    assert set(kl) == {"pretrained", "previous"} and all(nats > 0 for nats in kl.values())
    assert any(not torch.equal(a, b) for a, b in zip(student.parameters(), chain.parameters(), strict=True))
