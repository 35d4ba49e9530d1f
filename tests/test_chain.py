from __future__ import annotations

import inspect
import itertools

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from chain_families import FAMILIES, condition_of, generator
from seiko import tree
from seiko.chain import (
    Chain,
    SupportsLoss,
    fork,
    frozen,
    path_kl,
    path_log_prob,
    rollout,
    sample,
    sample_path,
)
from seiko.errors import ParameterError, ShapeError

CATEGORICAL = ["masked-1", "masked-2", "masked-counts", "absorbing", "uniform", "graph"]


def _mean_and_error(rows):
    return float(rows.mean()), float(rows.std() / len(rows) ** 0.5)


@pytest.mark.parametrize("name", FAMILIES)
def test_path_kl_agrees_with_the_mean_log_ratio_of_sampled_paths(name):
    num_paths = 3000
    chain, reference = FAMILIES[name](1), FAMILIES[name](2)
    condition = condition_of(name, num_paths)
    kl = path_kl(chain, reference, num_paths, condition=condition, generator=generator(3))
    states = sample_path(chain, num_paths, condition=condition, generator=generator(4))
    ratio = path_log_prob(chain, states, condition=condition) - path_log_prob(
        reference, states, condition=condition
    )
    exact, exact_error = _mean_and_error(kl)
    drawn, drawn_error = _mean_and_error(ratio.sum(1))
    assert exact > 0.05
    assert abs(exact - drawn) < 4 * (exact_error**2 + drawn_error**2) ** 0.5

    # On the same paths each step's log-ratio has the step's divergence as its conditional mean.
    steps = rollout(chain, condition=condition, states=states)
    laws = [(s.transition, reference.transition(s.state, s.index, condition)) for s in steps]
    per_step = torch.stack([ours.kl(theirs) for ours, theirs in laws], 1)
    for difference in (ratio - per_step).T:
        mean, error = _mean_and_error(difference.detach())
        assert abs(mean) < 4 * error + 1e-12


@pytest.mark.parametrize("name", FAMILIES)
def test_a_chain_has_no_divergence_to_itself(name):
    chain = FAMILIES[name](1)
    kl = path_kl(chain, chain, 20, condition=condition_of(name, 20), generator=generator())
    torch.testing.assert_close(kl.detach(), torch.zeros(20, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_step_a_row_is_the_same_law_as_one_step_for_all(name):
    chain, condition = FAMILIES[name](1), condition_of(name, 6)
    states = sample_path(chain, 6, condition=condition, generator=generator())
    row_step = torch.arange(6) % chain.num_steps
    pick = lambda shift: tree.concat(  # noqa: E731
        [tree.index(states[int(k) + shift], slice(i, i + 1)) for i, k in enumerate(row_step)]
    )
    now, then = pick(0), pick(1)
    together = chain.transition(now, row_step, condition).log_prob(then)
    for i, k in enumerate(row_step.tolist()):
        rows = slice(i, i + 1)
        given = None if condition is None else tree.index(condition, rows)
        alone = chain.transition(tree.index(now, rows), k, given).log_prob(tree.index(then, rows))
        torch.testing.assert_close(together[rows], alone, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", FAMILIES)
def test_chains_obey_the_protocols(name):
    chain = FAMILIES[name](1)
    assert isinstance(chain, Chain)
    if name != "padded-gaussians":
        assert isinstance(chain, SupportsLoss)


def test_rollout_yields_every_step_and_joins_states():
    steps = list(rollout(FAMILIES["ddpm"](1), 3, generator=generator()))
    assert [step.index for step in steps] == [0, 1, 2, 3]
    for before, after in itertools.pairwise(steps):
        assert after.state is before.next_state


def test_rollout_is_reproducible_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    first, second = (sample(FAMILIES["mixed"](1), 5, generator=generator(7)) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    for name in first:
        assert torch.equal(first[name], second[name])


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("grad_steps", [0, 2, "all"])
@pytest.mark.parametrize("checkpoint", [True, False])
def test_the_consumers_gradient_mode_is_untouched(mode, grad_steps, checkpoint):
    chain = FAMILIES["ddpm"](1)
    with torch.set_grad_enabled(mode):
        for _ in rollout(chain, 2, grad_steps=grad_steps, checkpoint=checkpoint, generator=generator()):
            assert torch.is_grad_enabled() is mode
        assert torch.is_grad_enabled() is mode


@pytest.mark.parametrize("name", FAMILIES)
def test_replay_gives_the_recorded_states_and_the_same_laws(name):
    chain, condition = FAMILIES[name](1), condition_of(name, 4)
    sampled = list(rollout(chain, 4, condition=condition, generator=generator()))
    states = [sampled[0].state, *(step.next_state for step in sampled)]
    for first, again in zip(sampled, rollout(chain, condition=condition, states=states), strict=True):
        assert again.state is first.state and again.next_state is first.next_state
        torch.testing.assert_close(
            first.transition.log_prob(first.next_state), again.transition.log_prob(first.next_state)
        )


@pytest.mark.parametrize("name", ["ddpm", "masked-1", "mixed"])
def test_the_prefix_has_no_graph(name):
    chain = FAMILIES[name](1)
    for step in rollout(chain, 2, grad_steps=2, generator=generator()):
        has_graph = any(leaf.requires_grad for leaf in tree.leaves(step.next_state))
        assert has_graph is (step.index >= chain.num_steps - 2)


def _saved_tensors(num_steps: int, grad_steps: int | str) -> int:
    from seiko.chains import DDIM
    from seiko.schedules import cosine_alpha_bar

    chain = FAMILIES["ddpm"](1).with_process(DDIM(cosine_alpha_bar(num_steps), (3,)))
    count = 0

    def pack(tensor):
        nonlocal count
        count += 1
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        for step in rollout(chain, 2, grad_steps=grad_steps, generator=generator()):
            last = step.next_state
    assert last.requires_grad
    return count


def test_memory_does_not_grow_with_the_prefix():
    assert _saved_tensors(4, 2) == _saved_tensors(12, 2) > 0
    assert _saved_tensors(12, "all") > _saved_tensors(4, "all")


def _mean_reward(chain, grad_steps, checkpoint=False):
    for step in rollout(chain, 5, grad_steps=grad_steps, checkpoint=checkpoint, generator=generator(9)):
        last = step.next_state
    return (last.sin() + 0.3 * last.square()).sum(1).mean()


@pytest.mark.parametrize("name", ["ddim-0.3", "ddpm", "vp", "ve", "flow"])
def test_gradient_through_the_sampler_agrees_with_finite_differences(name):
    chain = FAMILIES[name](1)
    parameters = list(chain.parameters())
    gradients = torch.autograd.grad(_mean_reward(chain, "all"), parameters)
    directions = [
        torch.randn(p.shape, generator=generator(i), dtype=p.dtype) for i, p in enumerate(parameters)
    ]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    values, small = [], 1e-5
    for sign in (1, -1):
        moved = fork(chain)
        with torch.no_grad():
            for parameter, direction in zip(moved.parameters(), directions, strict=True):
                parameter.add_(sign * small * direction)
            values.append(_mean_reward(moved, 0))
    numeric = (values[0] - values[1]) / (2 * small)
    assert abs(float(slope)) > 1e-3
    torch.testing.assert_close(slope.detach(), numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["ddpm", "masked-1", "absorbing", "mixed"])
@pytest.mark.parametrize("grad_steps", [1, 2, "all"])
def test_checkpointing_does_not_change_gradients(name, grad_steps):
    chain, found = FAMILIES[name](1), []
    for checkpoint in (False, True):
        for step in rollout(chain, 4, grad_steps=grad_steps, checkpoint=checkpoint, generator=generator(2)):
            last = step.next_state
        total = sum((leaf * torch.arange(leaf.shape[-1])).sum() for leaf in tree.leaves(last))
        found.append(torch.autograd.grad(total, list(chain.parameters()), allow_unused=True))
    for plain, again in zip(*found, strict=True):
        torch.testing.assert_close(plain, again, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("last_steps", [1, 2, 3])
def test_truncated_gradient_holds_the_earlier_states_constant(last_steps):
    chain = FAMILIES["ddpm"](1)
    source = generator(9)
    for step in rollout(chain, 5, grad_steps=last_steps, generator=source):
        last = step.next_state
    truncated = torch.autograd.grad(last.square().sum(), list(chain.parameters()))

    source = generator(9)
    state = chain.initial(5).sample(source)
    for index in range(chain.num_steps):
        if index <= chain.num_steps - last_steps:
            state = state.detach()
        state = chain.transition(state, index).rsample(source)
    torch.testing.assert_close(state, last)
    by_hand = torch.autograd.grad(state.square().sum(), list(chain.parameters()))
    for ours, theirs in zip(truncated, by_hand, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_straight_through_states_are_exactly_one_hot_with_finite_gradients(name, dtype):
    chain = FAMILIES[name](1).to(dtype)
    for step in rollout(chain, 16, grad_steps="all", generator=generator()):
        for leaf in tree.leaves(step.next_state):
            assert ((leaf == 0) | (leaf == 1)).all() and (leaf.sum(-1) == 1).all()
    total = sum((leaf * torch.arange(leaf.shape[-1])).sum() for leaf in tree.leaves(step.next_state))
    gradients = torch.autograd.grad(total, list(chain.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_sampling_with_and_without_gradients_gives_the_same_states():
    for name in ("ddpm", "masked-1", "absorbing", "uniform"):
        chain = FAMILIES[name](1)
        plain, graph = (
            [step.next_state for step in rollout(chain, 4, grad_steps=steps, generator=generator(3))][-1]
            for steps in (0, "all")
        )
        assert torch.equal(plain, graph.detach())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fork_is_independent_and_shares_frozen_parameters(name):
    chain, condition = FAMILIES[name](1), condition_of(name, 4)
    first = next(chain.parameters()).requires_grad_(False)
    copy = fork(chain)
    assert next(copy.parameters()) is first
    for ours, theirs in list(zip(chain.parameters(), copy.parameters(), strict=True))[1:]:
        assert ours is not theirs and torch.equal(ours, theirs)
    states = sample_path(chain, 4, condition=condition, generator=generator())
    before = path_log_prob(chain, states, condition=condition)
    with torch.no_grad():
        for parameter in copy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3)
    assert torch.equal(before, path_log_prob(chain, states, condition=condition))
    assert not torch.equal(before, path_log_prob(copy, states, condition=condition))


def test_frozen_takes_no_gradient_and_leaves_the_chain_trainable():
    chain = FAMILIES["ddpm"](1)
    reference = frozen(chain)
    assert not any(p.requires_grad for p in reference.parameters())
    assert all(p.requires_grad for p in chain.parameters())


def test_the_gradient_of_path_kl_has_the_right_expectation():
    chain, reference = FAMILIES["ddpm"](1), frozen(FAMILIES["ddpm"](2))
    parameter = next(chain.parameters())
    kl = path_kl(chain, reference, 5, grad_steps="all", generator=generator(1)).mean()
    slope = torch.autograd.grad(kl, parameter)[0].sum()
    values = []
    for sign in (1, -1):
        moved = fork(chain)
        with torch.no_grad():
            next(moved.parameters()).add_(sign * 1e-6)
        values.append(path_kl(moved, reference, 5, generator=generator(1)).mean().detach())
    torch.testing.assert_close(slope, (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-6)


def test_sample_runs_in_batches():
    chain = FAMILIES["mixed"](1)
    states = sample(chain, 10, batch_size=4, generator=generator())
    assert {name: tuple(leaf.shape) for name, leaf in states.items()} == {
        "types": (10, 3, 3),
        "positions": (10, 3, 2),
    }
    source = generator()
    parts = [sample(chain, n, generator=source) for n in (4, 4, 2)]
    assert torch.equal(states["positions"], torch.cat([p["positions"] for p in parts]))
    assert not any(leaf.requires_grad for leaf in tree.leaves(states))


def test_sample_hands_each_batch_its_own_condition():
    chain, condition = FAMILIES["padded-gaussians"](1), condition_of("padded-gaussians", 7)
    states = sample(chain, 7, condition=condition, batch_size=3, generator=generator())
    for name, leaf in states.items():
        assert torch.equal(leaf != 0, condition[name])


@pytest.mark.parametrize("bad", [-1, 5, 1.5, "none", True, None])
def test_bad_grad_steps_are_refused(bad):
    with pytest.raises(ParameterError, match="grad_steps"):
        next(rollout(FAMILIES["ddpm"](1), 2, grad_steps=bad))


@pytest.mark.parametrize("bad", [0, -3, 2.0, None, True])
def test_bad_batch_sizes_are_refused(bad):
    chain = FAMILIES["ddpm"](1)
    with pytest.raises(ParameterError, match="batch_size"):
        next(rollout(chain, bad))
    with pytest.raises(ParameterError, match="num_samples"):
        sample(chain, bad)
    with pytest.raises(ParameterError, match="batch_size"):
        sample(chain, 3, batch_size=bad)


def test_a_path_of_another_length_is_refused():
    chain = FAMILIES["ddpm"](1)
    states = sample_path(chain, 2, generator=generator())
    with pytest.raises(ShapeError, match=r"5 states .* got 4"):
        path_log_prob(chain, states[:-1])


def test_chains_of_other_lengths_are_not_compared():
    with pytest.raises(ShapeError, match="`num_steps` is 4 and 2"):
        path_kl(FAMILIES["masked-1"](1), FAMILIES["masked-2"](1), 3)


def test_num_steps_cannot_be_set():
    chain = FAMILIES["ddpm"](1)
    with pytest.raises(ParameterError, match="with_process"):
        chain.num_steps = 3


def test_rollout_is_lazy():
    assert inspect.isgenerator(rollout(FAMILIES["ddpm"](1), 2))


# How much of a row written left to right is read depends on where it ends: the meta device cannot say.
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "left-to-right"])
def test_a_chain_works_where_its_weights_are(name):
    """What a step and a loss give lies on the device of the weights, here the meta device."""
    chain, condition = FAMILIES[name](1), condition_of(name, 6)
    states = sample_path(chain, 6, condition=condition, generator=generator())
    away = [tree.tree_map(lambda leaf: leaf.to("meta"), state) for state in states]
    given = None if condition is None else tree.tree_map(lambda leaf: leaf.to("meta"), condition)
    chain = chain.to("meta")
    for step in (0, torch.zeros(6, dtype=torch.long, device="meta")):
        law = chain.transition(away[0], step, given)
        assert all(leaf.device.type == "meta" for leaf in tree.leaves(law.sample()))
        assert law.log_prob(away[1]).device.type == law.kl(law).device.type == "meta"
    assert all(leaf.device.type == "meta" for leaf in tree.leaves(chain.initial(6, given).sample()))
    if isinstance(chain, SupportsLoss):
        assert chain.loss(away[-1]).device.type == "meta"
