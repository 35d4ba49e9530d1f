"""Classifier guidance: a frozen chain whose every step leans towards a value, with exact laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from seiko import tree
from seiko.chain import Chain
from seiko.chains.base import Process, level
from seiko.chains.clean import as_diffusion, clean_of
from seiko.chains.gaussian import _GaussianTraining
from seiko.chains.joint import Joint
from seiko.distributions import Distribution, Product
from seiko.errors import ObservationError, ParameterError, ShapeError
from seiko.typing import Condition, State

Value = Callable[[State, Condition], Tensor]


@dataclass(frozen=True)
class Look:
    """One step of a guided chain, and what it came from.

    Attributes:
        law: Of the guided step.
        base: Of the frozen chain's own step.
        values: Of the expected clean states, [batch].
    """

    law: Distribution
    base: Distribution
    values: Tensor


class Guided(nn.Module):
    """A frozen chain guided towards ``p proportional to p_chain exp(scale * value)``.

    With s the state, x(s) the clean state that the chain expects, and ``h(s) = scale * value(x(s))``, an
    approximation of ``log E[exp(scale * value) | s]``:

    - Gaussian leaves: ``Normal(mean + std^2 grad_s h(s), std)`` (Dhariwal & Nichol 2021, Algorithm 1; with
      the regressor on the predicted clean state, Chung et al. 2023). Exact for a Gaussian chain and a
      linear value in the limit of many steps.
    - Categorical leaves: ``p(j | s) exp(g_j)``, normalised at each position, in place of the network's clean
      probabilities p(j | s), with g the gradient of h by the expected one-hot rows. It is the guided step law
      ``p(s' | s) exp(h(s') - h(s))`` with ``h(s') - h(s)`` in first order, so that one gradient gives every
      letter's ratio at once (Nisonoff et al. 2024, arXiv 2406.01572, Eq. 2 and its Taylor approximation).
      Exact for a value linear in the rows where positions are independent. That a revealed letter changes
      what the chain expects elsewhere is left out.

    Noise scales, supports and what is revealed where stay those of the chain, so the divergence between the
    two is finite and exact, as between any two chains. The gradient of the value is a constant in any
    further derivative: this chain samples and compares, and is not meant to be trained.

    Args:
        chain: A network and a process; it is held, not copied.
        value: ``(clean state, condition) -> [batch]``, with gradients; rows must be independent.
        scale: Nats for each unit of value, or one such number a step, [num_steps]; 0 is no guidance.

    Raises:
        ParameterError: If the chain is no `DiffusionChain`, or a scale is negative or not finite.
        ShapeError: If there is not one scale a step.

    Example:
        >>> from seiko.chain import path_kl
        >>> from seiko.chains import DiffusionChain, Masked
        >>> from seiko.networks import SequenceMLP
        >>> chain = DiffusionChain(SequenceMLP(3, 5, outputs=4), Masked(length=3, kinds=4))
        >>> guided = Guided(chain, lambda state, condition: state[..., 0].sum(1), scale=2.0)
        >>> bool(path_kl(guided, chain, 64, generator=torch.Generator().manual_seed(0)).mean() > 0.1)
        True
    """

    def __init__(self, chain: Chain, value: Value, *, scale: float | Tensor = 1.0) -> None:
        super().__init__()
        self.chain = as_diffusion(chain)
        self.value, self.num_steps = value, chain.num_steps
        scales = torch.as_tensor(scale, dtype=torch.float64)
        if scales.ndim and scales.shape != (chain.num_steps,):
            raise ShapeError(f"`scale` must be a number or [{chain.num_steps}]; got {list(scales.shape)}.")
        if not bool((torch.isfinite(scales) & (scales >= 0)).all()):
            raise ParameterError(
                f"`scale` must be finite and >= 0, in nats for each unit of value; got {scales.tolist()}."
            )
        self.scales = scales.expand(chain.num_steps)

    def initial(self, batch_size: int, condition: Condition = None) -> Distribution:
        """The law of s_0: the chain's own."""
        return self.chain.initial(batch_size, condition)

    def transition(self, state: State, step: int | Tensor, condition: Condition = None) -> Distribution:
        """The guided law of the next state: one call of the network, and one gradient of the value."""
        return self.look(state, step, condition).law

    def look(self, state: State, step: int | Tensor, condition: Condition = None) -> Look:
        """The guided law, with the chain's own and the value it came from."""
        process = self.chain.process
        with_grad = torch.is_grad_enabled() or _has_gaussian(process)
        with torch.set_grad_enabled(with_grad):
            inner = tree.tree_map(_tracked, state) if _has_gaussian(process) else state
            prediction = self.chain.predicted(inner, step, condition)
        base = process.transition(state, prediction, step)
        slopes, values = self._slopes(inner, prediction, step, condition)
        return Look(_pushed(process, state, prediction, base, step, slopes), base, values)

    def _slopes(
        self, state: State, prediction: Any, step: int | Tensor, condition: Condition
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Of h: by a Gaussian leaf's state, by a categorical leaf's clean rows; and the values [batch]."""
        process = self.chain.process
        with torch.enable_grad():
            clean = clean_of(process, state, prediction, step)
            if not _has_gaussian(process):
                clean = tree.tree_map(_tracked, tree.detach(clean))
            values = self.value(clean, condition)
            points = {
                name: (_leaves(state) if isinstance(part, _GaussianTraining) else _leaves(clean))[name]
                for name, part in _parts(process).items()
            }
            found = _gradients(values, points)
        scales = level(self.scales, step, values)
        slopes = {name: tree.expand(scales.expand(len(values)), g) * g for name, g in found.items()}
        if not all(bool(torch.isfinite(slope).all()) for slope in slopes.values()):
            raise ObservationError(
                "The gradient of the value by the expected clean state is not finite.",
                hint="Look at the surrogate and the features; lower the guidance scale.",
            )
        return slopes, values.detach()


def _tracked(leaf: Tensor) -> Tensor:
    return leaf if leaf.requires_grad else leaf.detach().requires_grad_()


def _gradients(values: Tensor, points: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the sum of the values, by each point; 0 where there is none."""
    if not values.requires_grad:
        return {name: torch.zeros_like(point) for name, point in points.items()}
    # The graph is kept for a caller that differentiates the step itself.
    found = torch.autograd.grad(
        values.sum(), list(points.values()), allow_unused=True, retain_graph=torch.is_grad_enabled()
    )
    zeros = (torch.zeros_like(point) for point in points.values())
    return {
        name: zero if gradient is None else gradient.detach()
        for name, zero, gradient in zip(points, zeros, found, strict=True)
    }


def _leaves(state: Any) -> Mapping[str, Tensor]:
    return {"": state} if isinstance(state, Tensor) else state


def _parts(process: Process) -> Mapping[str, Process]:
    return process.processes if isinstance(process, Joint) else {"": process}


def _has_gaussian(process: Process) -> bool:
    return any(isinstance(part, _GaussianTraining) for part in _parts(process).values())


def _pushed(
    process: Process,
    state: Any,
    prediction: Any,
    base: Any,
    step: int | Tensor,
    slopes: Mapping[str, Tensor],
) -> Distribution:
    """The law of the next state with each leaf moved along its slope."""
    laws = base.parts if isinstance(process, Joint) else {"": base}
    states, predictions = _leaves(state), _leaves(prediction)
    moved = {}
    for name, part in _parts(process).items():
        if isinstance(part, _GaussianTraining):
            law = laws[name]
            moved[name] = replace(law, mean=law.mean + law.scale**2 * slopes[name])
        else:
            kinds = predictions[name].shape[-1]
            tilted = predictions[name].log_softmax(-1) + slopes[name][..., :kinds]
            moved[name] = part.transition(states[name], tilted, step)
    return Product(moved) if isinstance(process, Joint) else moved[""]
