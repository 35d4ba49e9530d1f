"""The autoencoder of a latent diffusion model as decoder and encoder of an image domain."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from seiko import memory
from seiko.errors import ParameterError


class VAEDecoder(nn.Module):
    """``latents -> pixels`` in [-1, 1] by a diffusers autoencoder, whose weights are not trained.

    Args:
        vae: ``AutoencoderKL`` or one with its interface.
        mode: "sliced" decodes a row at a time, so that a row's image never depends on the other rows, to the
            bit; "whole" all at once, the fastest on an accelerator; "tiled" a row at a time in overlapping
            tiles, for large pictures on little memory (seams are blended).

    Shape:
        [batch, latent channel, h, w] -> [batch, 3, height, width].

    Raises:
        ParameterError: If the mode is unknown, or the autoencoder has no tiling.
        OutOfMemoryError: If the device's memory is not enough.
    """

    vae: Any

    def __init__(self, vae: nn.Module, *, mode: Literal["sliced", "whole", "tiled"] = "sliced") -> None:
        super().__init__()
        if mode not in ("sliced", "whole", "tiled"):
            raise ParameterError(f'`mode` must be "sliced", "whole" or "tiled"; got {mode!r}.')
        self.vae = vae.eval().requires_grad_(False)
        self.mode = mode
        if mode == "tiled":
            if not hasattr(vae, "enable_tiling"):
                raise ParameterError(
                    f"{type(vae).__name__} cannot decode in tiles.", hint='Use mode="sliced".'
                )
            self.vae.enable_tiling()
        config = self.vae.config
        self.scaling = float(config.get("scaling_factor", None) or 1.0)
        self.shift = float(config.get("shift_factor", None) or 0.0)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.vae.parameters()).dtype

    def forward(self, latents: Tensor) -> Tensor:
        scaled = (latents / self.scaling + self.shift).to(self.dtype)
        rows = (scaled,) if self.mode == "whole" else scaled.split(1)
        with memory.explained(f"Decoding {len(latents)} images"):
            return torch.cat([self.vae.decode(row, return_dict=False)[0].float() for row in rows])

    def encode(self, levels: Tensor) -> Tensor:
        """The mean latents of pictures, levels in [0, 1], with gradients."""
        with memory.explained(f"Encoding {len(levels)} images"):
            law = self.vae.encode((2 * levels - 1).to(self.dtype), return_dict=False)[0]
        return (law.mode().float() - self.shift) * self.scaling
