"""Denoisers of diffusers as networks: ``network(state, time, condition)``, guided by prompts or not."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seiko import memory, tree
from seiko.errors import ParameterError, ShapeError
from seiko.typing import Condition

ONE_CONDITION = ("encoder_hidden_states", "class_labels")
"""What a condition without a name is: the first of these that the denoiser takes."""


class DiffusersNetwork(nn.Module):
    """Any denoiser of diffusers: ``UNet2DModel``, ``UNet2DConditionModel``, or a transformer.

    A condition is a mapping from the denoiser's argument names to tensors [batch, ...]; a dot goes a level
    down, as in ``"added_cond_kwargs.text_embeds"``. A plain tensor is the denoiser's
    ``encoder_hidden_states`` or, if it takes none, its ``class_labels``. The denoiser stays in eval mode, so
    that a law is the same in training. It runs in its own dtype; states and predictions keep theirs, so that
    divergences are never taken in low precision. A learned variance is dropped: a noise scale may not depend
    on trained weights.

    Args:
        model: The denoiser.
        num_train_timesteps: T of its training.
        flow: The time is a noise level and is given as ``time * T`` (flow matching), instead of the time step
            ``time * T - 1``, an integer.
        fixed: Arguments that are the same for all rows and all calls, such as ``img_ids`` of Flux.
        compile: Compile the blocks that the model repeats, one kind once (regional ``torch.compile``); a
            mapping is given to it as options. Copies compile their own when they are first called.

    Shape:
        state [batch, ...], time [batch] in (0, 1] -> [batch, ...] like the state.

    Raises:
        ParameterError: If a condition has an argument that the denoiser does not take.
        ShapeError: If the prediction does not have the state's shape.
        OutOfMemoryError: If the device's memory is not enough.

    Example:
        >>> import diffusers
        >>> unet = diffusers.UNet2DModel(
        ...     8, 3, 3, block_out_channels=(8, 8), norm_num_groups=4, layers_per_block=1,
        ...     down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
        ... )
        >>> DiffusersNetwork(unet)(torch.zeros(2, 3, 8, 8), torch.ones(2)).shape
        torch.Size([2, 3, 8, 8])
    """

    like: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        num_train_timesteps: int = 1000,
        flow: bool = False,
        fixed: Mapping[str, Any] | None = None,
        compile: bool | Mapping[str, Any] = False,
    ) -> None:
        super().__init__()
        self.model = model.eval()
        self._compile = _checked_compile(model, compile)
        self._compiled = 0  # the model whose blocks are compiled: a copy's are not
        self.num_train_timesteps, self.flow = num_train_timesteps, flow
        self.register_buffer("like", torch.zeros(()), persistent=False)  # states in single precision
        self._accepted = tuple(inspect.signature(model.forward).parameters)
        self._fixed = tuple(fixed or {})
        for name, value in (fixed or {}).items():
            self.register_buffer(f"fixed_{name}", value, persistent=False)

    def train(self, mode: bool = True) -> DiffusersNetwork:
        """Only a name for the training state: the denoiser itself never drops out."""
        super().train(mode)
        self.model.eval()
        return self

    @property
    def dtype(self) -> torch.dtype:
        """What the denoiser computes in."""
        return next(p.dtype for p in self.model.parameters() if p.is_floating_point())

    def forward(self, state: Tensor, time: Tensor, condition: Condition = None) -> Tensor:
        given: dict[str, Any] = {name: self.get_buffer(f"fixed_{name}") for name in self._fixed}
        for name, leaf in self._named(condition).items():
            _put(given, name.split("."), leaf.to(self.dtype) if leaf.is_floating_point() else leaf)
        if self._compile is not None and self._compiled != id(self.model):
            self.model.compile_repeated_blocks(**self._compile)  # type: ignore[operator]
            self._compiled = id(self.model)
        steps = time * self.num_train_timesteps
        steps = steps.to(self.dtype) if self.flow else (steps - 1).round().long()
        with memory.explained(f"A call of {type(self.model).__name__} on {len(state)} rows"):
            output = self.model(state.to(self.dtype), timestep=steps, **given, return_dict=False)[0]
        output = output.to(state.dtype)
        if output.ndim > 1 and output.shape[1] == 2 * state.shape[1]:
            output = output.chunk(2, dim=1)[0]
        if output.shape != state.shape:
            raise ShapeError(
                f"{type(self.model).__name__} must predict like its state, {list(state.shape)}; got "
                f"{list(output.shape)}.",
                hint="Are `in_channels` and `out_channels` of its configuration those of one state?",
            )
        return output

    def _named(self, condition: Condition) -> Mapping[str, Tensor]:
        if condition is None:
            return {}
        if isinstance(condition, Tensor):
            name = next((n for n in ONE_CONDITION if n in self._accepted), None)
            if name is None:
                raise ParameterError(f"{type(self.model).__name__} takes no condition without a name.")
            return {name: condition}
        unknown = [name for name in condition if name.split(".")[0] not in self._accepted]
        if unknown:
            raise ParameterError(
                f"{type(self.model).__name__} does not take {unknown}; it takes {list(self._accepted)}."
            )
        return condition


def _checked_compile(model: nn.Module, compile: bool | Mapping[str, Any]) -> dict[str, Any] | None:
    if compile is False:
        return None
    if not getattr(model, "_repeated_blocks", None):
        raise ParameterError(
            f"{type(model).__name__} names no repeated blocks, so there is no region to compile.",
            hint="Leave `compile` out, or compile the model itself.",
        )
    return {} if compile is True else dict(compile)


def _put(tree_of_arguments: dict[str, Any], path: list[str], leaf: Tensor) -> None:
    for name in path[:-1]:
        tree_of_arguments = tree_of_arguments.setdefault(name, {})
    tree_of_arguments[path[-1]] = leaf


class PromptNetwork(nn.Module):
    """A network that is told the number of a prompt, and looks up what stands for it.

    The tables hold each prompt's embeddings once, however many rows use them, and forks share them. With a
    guidance scale other than 1 the prediction is ``n + guidance_scale * (p - n)`` (Ho & Salimans 2022,
    Eq. 6): p under the prompt and n under its negative prompt, both from one call on twice the rows.

    Args:
        network: Called as ``network(state, time, condition)`` with rows of the tables.
        prompts: The condition of each prompt, leaves [num_prompts, ...].
        negative: The condition of each prompt's negative prompt, of the same shapes; None without guidance.
        guidance_scale: 1 is no guidance.

    Shape:
        state [batch, ...], time [batch], condition [batch] integers -> [batch, ...] like the state.

    Raises:
        ParameterError: If guidance has no negative prompts, or a call has no or a wrong condition.
        ShapeError: If the two tables differ in leaves or shapes.
    """

    def __init__(
        self,
        network: nn.Module,
        prompts: Mapping[str, Tensor],
        *,
        negative: Mapping[str, Tensor] | None = None,
        guidance_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if negative is None and guidance_scale != 1:
            raise ParameterError(
                f"A guidance scale of {guidance_scale} needs `negative`, the condition that stands for none.",
                hint='Embed the empty prompt "", or use guidance_scale=1.',
            )
        self.network = network
        self.guidance_scale = guidance_scale
        self.num_prompts = tree.batch_size(prompts)
        self._names = tuple(prompts)
        self._keep("given", prompts)
        if negative is not None:
            shapes = [{n: t.shape for n, t in table.items()} for table in (prompts, negative)]
            if shapes[0] != shapes[1]:
                raise ShapeError(f"`prompts` and `negative` must have the same shapes; got {shapes}.")
            self._keep("none", negative)

    def _keep(self, table: str, leaves: Mapping[str, Tensor]) -> None:
        for position, leaf in enumerate(leaves.values()):
            # A parameter, not a buffer: forks share frozen parameters and copy buffers.
            self.register_parameter(f"{table}_{position}", nn.Parameter(leaf.detach().clone(), False))

    def _rows(self, table: str, rows: Tensor) -> dict[str, Tensor]:
        return {name: self.get_parameter(f"{table}_{i}")[rows] for i, name in enumerate(self._names)}

    @property
    def like(self) -> Tensor | None:
        """What tells the states' dtype and device."""
        return getattr(self.network, "like", None)

    def forward(self, state: Tensor, time: Tensor, condition: Condition = None) -> Tensor:
        rows = self._checked(condition)
        given = self._rows("given", rows)
        if self.guidance_scale == 1:
            return self.network(state, time, given)
        both = tree.concat([given, self._rows("none", rows)])
        output = self.network(torch.cat([state, state]), torch.cat([time, time]), both)
        given_part, none_part = output.chunk(2)
        return none_part + self.guidance_scale * (given_part - none_part)

    def _checked(self, condition: Condition) -> Tensor:
        if not isinstance(condition, Tensor) or condition.is_floating_point() or condition.ndim != 1:
            raise ParameterError(
                "The condition of a prompted chain must be the number of a prompt for each row, [batch] "
                f"integers from 0 to {self.num_prompts - 1}; got {_described(condition)}.",
                hint="Use `domain.condition(batch_size, generator)`, or sample with `condition=`.",
            )
        return condition


def _described(condition: Condition) -> str:
    if isinstance(condition, Tensor):
        return f"{condition.dtype} {list(condition.shape)}"
    return "none" if condition is None else f"leaves {sorted(condition)}"
