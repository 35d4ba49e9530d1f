"""Features of images for surrogates: of pixels, of CLIP, of a network of yours, of the chain's own encoder.

Each is a function ``levels in [0, 1], [n, channel, height, width] -> [n, feature]`` with gradients. Take
another one than what the reward is made of: a surrogate that sees the reward's own features only has to fit
its last layer, and what it is worth elsewhere is not learned.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seiko.errors import MissingDependencyError, ParameterError, WeightsError
from seiko.typing import Condition

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of CLIP's training pixels (Radford et al. 2021)."""


class PixelFeatures(nn.Module):
    """What a glance sees: a coarse picture, and how much each channel varies in it. No network.

    The mean and the standard deviation of each cell of a ``grid x grid`` division; the mean absolute
    difference of neighbouring pixels down and across, and the mean, of the whole.

    Args:
        grid: Cells along each axis; smaller pictures have a cell a pixel.

    Shape:
        [n, channel, height, width] -> [n, channel * (2 * cells + 3)].

    Example:
        >>> PixelFeatures(4)(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 105])
    """

    def __init__(self, grid: int = 8) -> None:
        super().__init__()
        if grid < 1:
            raise ParameterError(f"`grid` must be an integer >= 1; got {grid!r}.")
        self.grid = grid

    def forward(self, levels: Tensor) -> Tensor:
        cells = (min(self.grid, levels.shape[-2]), min(self.grid, levels.shape[-1]))
        pool = torch.nn.functional.adaptive_avg_pool2d
        mean = pool(levels, cells)
        variance = pool(levels.square(), cells) - mean.square()
        spread = (variance.clamp_min(0) + 1e-6).sqrt()  # its slope stays finite in a flat cell
        parts = [mean, spread, _roughness(levels, -2), _roughness(levels, -1), levels.mean((-1, -2))]
        return torch.cat([part.flatten(1) for part in parts], 1)


def _roughness(levels: Tensor, dim: int) -> Tensor:
    """Mean absolute difference of neighbours along `dim`, [n, channel]; 0 where there is one pixel."""
    if levels.shape[dim] == 1:
        return levels.new_zeros(levels.shape[:2])
    return (levels.diff(dim=dim).square() + 1e-6).sqrt().mean((-1, -2))


class VisionFeatures(nn.Module):
    """Any vision network: resize, normalise, call.

    Args:
        network: ``[n, 3, size, size] -> [n, ...]``; its output is flattened. Its weights are not trained.
        size: Height and width that it takes; None leaves the picture's own.
        mean, std: Of its training pixels, one a channel.

    Shape:
        [n, 1 or 3, height, width] -> [n, feature].
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: Callable[[Tensor], Any],
        *,
        size: int | None = None,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.5, 0.5, 0.5),
    ) -> None:
        super().__init__()
        self.network, self.size = network, size
        if isinstance(network, nn.Module):
            network.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def prepared(self, levels: Tensor) -> Tensor:
        """The pictures as the network takes them: the middle of the resized (bicubic), normalised."""
        if self.size is not None and tuple(levels.shape[-2:]) != (self.size, self.size):
            levels = _resized(levels, self.size)
        return (levels.expand(-1, len(self.mean), -1, -1) - self.mean.to(levels)) / self.std.to(levels)

    def forward(self, levels: Tensor) -> Tensor:
        output = self.network(self.prepared(levels))
        return output.flatten(1)


def _resized(levels: Tensor, size: int) -> Tensor:
    height, width = levels.shape[-2:]
    factor = size / min(height, width)
    shape = [max(size, round(factor * height)), max(size, round(factor * width))]
    large = torch.nn.functional.interpolate(levels, shape, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
    return large[..., top : top + size, left : left + size]


class CLIPFeatures(nn.Module):
    """CLIP's image embedding, of length 1 (Radford et al. 2021), by transformers.

    Args:
        source: A folder or a name on the hub, such as "openai/clip-vit-large-patch14".
        dtype: What the network computes in; the embedding is in single precision.

    Raises:
        MissingDependencyError: If transformers is not installed.
        WeightsError: If the weights cannot be had.
    """

    def __init__(
        self, source: str | Path = "openai/clip-vit-large-patch14", *, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        try:
            from transformers import CLIPVisionModelWithProjection
        except ImportError as error:
            raise MissingDependencyError(
                "CLIP needs the package transformers, which cannot be imported.",
                hint="Install seiko with the extra `images`: pip install 'seiko[images]'.",
            ) from error
        try:
            network = CLIPVisionModelWithProjection.from_pretrained(str(source), dtype=dtype or torch.float32)
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"The CLIP weights {str(source)!r} cannot be loaded: {str(error).splitlines()[0]}",
                hint="Give a folder that has them, or fetch them once where there is a network.",
            ) from error
        self.model = network
        config: Any = network.config
        self.body = VisionFeatures(self._embed, size=config.image_size, mean=CLIP_MEAN, std=CLIP_STD)
        self.model.eval().requires_grad_(False)

    @property
    def size(self) -> int:
        """Length of an embedding."""
        return int(self.model.config.projection_dim)

    def _embed(self, pixels: Tensor) -> Tensor:
        return self.model(pixel_values=pixels.to(self.model.dtype)).image_embeds.float()

    def forward(self, levels: Tensor) -> Tensor:
        return torch.nn.functional.normalize(self.body(levels), dim=-1)


class ChainFeatures(nn.Module):
    """What the chain's own denoiser makes of a picture: one layer's channels, averaged over the picture.

    No gradient reaches the network's weights.

    Args:
        network: A network ``network(state, time, condition)``, for instance the pre-trained chain's.
        layer: The part of it whose output is taken, such as ``unet.mid_block``.
        encode: ``levels in [0, 1] -> clean state``; by default pixels in [-1, 1].
        time: The noise level that the network is told; the state is not noised.
        condition: One row for all pictures, if the network is conditional.

    Shape:
        [n, channel, height, width] -> [n, width of the layer].
    """

    def __init__(
        self,
        network: nn.Module,
        layer: nn.Module,
        *,
        encode: Callable[[Tensor], Tensor] | None = None,
        time: float = 0.1,
        condition: Condition = None,
    ) -> None:
        super().__init__()
        if not any(part is layer for part in network.modules()):
            raise ParameterError("`layer` must be a part of `network`, and is none of its modules.")
        if not 0 < time <= 1:
            raise ParameterError(f"`time` must be in (0, 1]; got {time!r}.")
        self.network, self.layer, self.time, self.condition = network, layer, time, condition
        self.encode = encode or (lambda levels: 2 * levels - 1)

    def forward(self, levels: Tensor) -> Tensor:
        state = self.encode(levels)
        caught: list[Tensor] = []
        hook = self.layer.register_forward_hook(lambda module, given, output: caught.append(_first(output)))
        try:
            fixed = {name: weight.detach() for name, weight in self.network.named_parameters()}
            given = (state, state.new_full((len(state),), self.time), self._rows(len(state)))
            torch.func.functional_call(self.network, fixed, given)
        finally:
            hook.remove()
        return caught[-1].float().flatten(2).mean(2)

    def _rows(self, count: int) -> Condition:
        if self.condition is None:
            return None
        if isinstance(self.condition, Tensor):
            return self.condition.expand(count, *self.condition.shape[1:])
        return {name: leaf.expand(count, *leaf.shape[1:]) for name, leaf in self.condition.items()}


def _first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]
