"""The conformance suite of chains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seiko import tree
from seiko.chain import Chain, fork, path_log_prob, rollout, sample, sample_path
from seiko.chains.left_to_right import NextKind
from seiko.distributions import Categorical, Distribution, Gaussian, Product, Reveal
from seiko.testing.base import global_state_untouched, require, require_close, seeded
from seiko.typing import Condition, State


def check_chain(
    make_chain: Callable[[], Chain],
    *,
    condition: Condition = None,
    batch_size: int = 4,
    num_paths: int = 512,
    perturbation: float = 0.05,
) -> None:
    """Check that a chain keeps the rules of `seiko.chain.Chain`.

    Rows are independent; noise scales and supports do not depend on trained weights; a transition is pure in
    its arguments and the weights; divergences are exact, and finite between chains that differ only in
    weights; a fork is independent; samples have the right shapes and finite densities.

    Args:
        make_chain: Makes the chain; called once.
        condition: `batch_size` rows, if the chain is conditional.
        batch_size: Rows of most checks, at least 3.
        num_paths: Rows of the Monte Carlo check of the divergence.
        perturbation: Standard deviation of what is added to every trained weight for another chain.

    Raises:
        AssertionError: Saying which rule is broken.

    Example:
        >>> from seiko.chains import DiffusionChain, Masked
        >>> from seiko.networks import SequenceMLP
        >>> check_chain(lambda: DiffusionChain(SequenceMLP(3, 5, outputs=4), Masked(length=3, kinds=4)))
    """
    require(batch_size >= 3, f"`batch_size` must be at least 3; got {batch_size}.")
    chain = make_chain()
    require(isinstance(chain, Chain), f"{type(chain).__name__} lacks a member of the protocol `Chain`.")
    require(isinstance(chain.num_steps, int) and chain.num_steps >= 1, "`num_steps` must be an integer >= 1.")
    with global_state_untouched("The chain"):
        world = _World(chain, perturbed(chain, perturbation), condition, batch_size)
        for check in _CHECKS:
            check(world)
        _check_monte_carlo(world, num_paths)


def perturbed(chain: Chain, perturbation: float, seed: int = 1) -> Chain:
    """A fork whose trained weights are moved by Gaussian noise.

    Raises:
        AssertionError: If the chain has no trained weights.
    """
    other, generator = fork(chain), seeded(seed)
    trained = [p for p in other.parameters() if p.requires_grad]
    require(trained, "The chain has no parameter that requires a gradient, so nothing can be fine-tuned.")
    with torch.no_grad():
        for parameter in trained:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(perturbation * noise.to(parameter))
    return other


@dataclass
class _World:
    """A chain, another with moved weights, and paths of the first."""

    chain: Chain
    other: Chain
    condition: Condition
    batch_size: int

    def __post_init__(self) -> None:
        self.states = sample_path(self.chain, self.batch_size, condition=self.condition, generator=seeded())

    def laws(self, chain: Chain) -> list[Distribution]:
        """The law of each step at the paths' states."""
        with torch.no_grad():
            return [chain.transition(state, k, self.condition) for k, state in enumerate(self.states[:-1])]

    def rows(self, rows: Tensor | slice) -> tuple[list[State], Condition]:
        given = None if self.condition is None else tree.index(self.condition, rows)
        return [tree.index(state, rows) for state in self.states], given


def fixed_parts(law: Any) -> Iterator[tuple[str, Tensor]]:
    """What must not depend on trained weights: scales, supports, numbers of reveals; of known laws only."""
    if isinstance(law, Product):
        for name, part in law.parts.items():
            for what, tensor in fixed_parts(part):
                yield f"{what} of leaf {name!r}", tensor
    elif isinstance(law, Gaussian):
        yield "noise scale", law.scale
    elif isinstance(law, Categorical | Reveal | NextKind):
        yield "support", law.log_probs > -torch.inf
        if isinstance(law, Reveal):
            yield "number of reveals", law.count


def _check_shapes(world: _World) -> None:
    start = world.chain.initial(world.batch_size, world.condition).sample(seeded())
    shapes = [[tuple(leaf.shape) for leaf in tree.leaves(state)] for state in (start, *world.states)]
    require(
        all(s == shapes[0] for s in shapes), f"States must keep their shapes from step to step; got {shapes}."
    )
    for name in ("initial", "transition"):
        law = (
            world.chain.initial(world.batch_size, world.condition)
            if name == "initial"
            else world.laws(world.chain)[0]
        )
        found = tree.batch_size(law.sample(seeded()))
        require(
            found == world.batch_size,
            f"`{name}` must have one row a sample; got {found} of {world.batch_size}.",
        )
    drawn = sample(world.chain, world.batch_size, condition=world.condition, batch_size=2, generator=seeded())
    require(tree.batch_size(drawn) == world.batch_size, "Sampling in batches loses rows.")


def _check_densities(world: _World) -> None:
    with torch.no_grad():
        log_prob = path_log_prob(world.chain, world.states, condition=world.condition)
    want = (world.batch_size, world.chain.num_steps)
    require(
        log_prob.shape == want, f"`log_prob` must give one number a row, {want}; got {tuple(log_prob.shape)}."
    )
    require(torch.isfinite(log_prob).all(), "The chain gives its own samples a density that is not finite.")


def _check_purity(world: _World) -> None:
    first, again = world.laws(world.chain), world.laws(world.chain)
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        reseeded = world.laws(world.chain)
    require_same_laws(
        world, first, again, "Calling `transition` twice gives two laws: it draws, or keeps a state."
    )
    require_same_laws(world, first, reseeded, "`transition` depends on the global random state: it draws.")
    if isinstance(world.chain, nn.Module):
        was_training = world.chain.training
        training, evaluating = (world.laws(world.chain.train(mode)) for mode in (True, False))
        world.chain.train(was_training)
        require_same_laws(
            world,
            training,
            evaluating,
            "The law differs in train and eval mode: remove dropout and batch norm.",
        )


def require_same_laws(
    world: _World, ours: list[Distribution], theirs: list[Distribution], message: str
) -> None:
    """Fail unless two lists of laws give the paths the same densities."""
    for step, (first, second) in enumerate(zip(ours, theirs, strict=True)):
        following = world.states[step + 1]
        require_close(first.log_prob(following), second.log_prob(following), f"Step {step}: {message}")


def _check_rows(world: _World) -> None:
    everything = world.laws(world.chain)
    reverse = torch.arange(world.batch_size - 1, -1, -1)
    for rows, how in ((reverse, "permuted"), (torch.tensor([2, 1]), "added"), (torch.tensor([0]), "added")):
        states, condition = world.rows(rows)
        for step in range(world.chain.num_steps):
            with torch.no_grad():
                law = world.chain.transition(states[step], step, condition)
                found = law.log_prob(states[step + 1])
                expected = everything[step].log_prob(world.states[step + 1])[rows]
            require_close(
                found, expected, f"Step {step}: the law of a row changes when other rows are {how}."
            )


def _check_steps_by_row(world: _World) -> None:
    steps = torch.arange(world.batch_size) % world.chain.num_steps
    picked = []
    for shift in (0, 1):
        parts = [tree.index(world.states[int(k) + shift], slice(i, i + 1)) for i, k in enumerate(steps)]
        picked.append(tree.concat(parts))
    with torch.no_grad():
        together = world.chain.transition(picked[0], steps, world.condition).log_prob(picked[1])
        alone = [law.log_prob(world.states[k + 1]) for k, law in enumerate(world.laws(world.chain))]
    expected = torch.stack([alone[int(k)][i] for i, k in enumerate(steps)])
    require_close(together, expected, "A [batch] tensor of steps gives other laws than integers row by row.")


def _check_fixed_parts(world: _World) -> None:
    for step, (ours, theirs) in enumerate(zip(world.laws(world.chain), world.laws(world.other), strict=True)):
        for (what, first), (_, second) in zip(fixed_parts(ours), fixed_parts(theirs), strict=True):
            require(torch.equal(first, second), f"Step {step}: the {what} depends on trained weights.")


def _check_divergences(world: _World) -> None:
    total = torch.zeros(world.batch_size)
    for step, (ours, theirs) in enumerate(zip(world.laws(world.chain), world.laws(world.other), strict=True)):
        itself, across = ours.kl(ours), ours.kl(theirs)
        require(across.shape == (world.batch_size,), f"Step {step}: `kl` must give one number a row, summed.")
        require(
            (itself.abs() < 1e-5).all(),
            f"Step {step}: the divergence of a law to itself is {itself.tolist()}.",
        )
        require(
            torch.isfinite(across).all(),
            f"Step {step}: the divergence to other weights is {across.tolist()}. A step that depends on "
            "weights must be random and keep its support.",
        )
        require((across > -1e-5).all(), f"Step {step}: a divergence is negative: {across.tolist()}.")
        total = total + across.to(total)
    require((total > 0).any(), "Moving every trained weight changes no step's law: is the network used?")


def _check_fork(world: _World) -> None:
    before = world.laws(world.chain)
    copy = perturbed(world.chain, 0.5, seed=2)
    require_same_laws(world, before, world.laws(world.chain), "Training a fork changes the chain.")
    shared = {id(p) for p in world.chain.parameters() if p.requires_grad} & {id(p) for p in copy.parameters()}
    require(not shared, "A fork shares trained parameters with the chain.")


def _check_gradients(world: _World) -> None:
    parameters = [p for p in world.chain.parameters() if p.requires_grad]
    total = torch.zeros(())
    for step in rollout(world.chain, condition=world.condition, states=world.states, grad_steps="all"):
        reference = world.other.transition(step.state, step.index, world.condition)
        with torch.enable_grad():
            total = total + step.transition.kl(reference).sum()
    require(total.requires_grad, "The divergence has no gradient: is the transition run under no_grad?")
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    found = [g for g in gradients if g is not None]
    require(all(torch.isfinite(g).all() for g in found), "The gradient of the divergence is not finite.")
    require(
        any(g.abs().max() > 0 for g in found if g.numel()), "The divergence has no gradient in any weight."
    )


_CHECKS: tuple[Callable[[_World], None], ...] = (
    _check_shapes,
    _check_purity,
    _check_fixed_parts,
    _check_divergences,
    _check_rows,
    _check_steps_by_row,
    _check_densities,
    _check_fork,
    _check_gradients,
)


def _check_monte_carlo(world: _World, num_paths: int) -> None:
    """On sampled paths the mean of log p - log q must be that of the exact divergences of the steps."""
    repeats = torch.arange(num_paths) % world.batch_size
    condition = None if world.condition is None else tree.index(world.condition, repeats)
    difference = torch.zeros(num_paths, dtype=torch.float64)
    with torch.no_grad():
        for step in rollout(world.chain, num_paths, condition=condition, generator=seeded(3)):
            reference = world.other.transition(step.state, step.index, condition)
            ratio = step.transition.log_prob(step.next_state) - reference.log_prob(step.next_state)
            difference += (ratio - step.transition.kl(reference)).double()
    mean, error = float(difference.mean()), float(difference.std() / num_paths**0.5)
    require(
        abs(mean) <= 5 * error + 1e-5,
        f"`kl` and `log_prob` disagree: over {num_paths} paths the mean log-ratio differs from the "
        f"divergence by {mean:.3g} nats, {abs(mean) / max(error, 1e-12):.0f} standard errors.",
    )
