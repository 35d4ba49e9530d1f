"""A surrogate is a recipe: fitted to what was told, it is a BoTorch model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from seiko.errors import NotEnoughDataError, ObservationError, ShapeError

if TYPE_CHECKING:
    from botorch.models.model import Model


@dataclass(frozen=True)
class Observations:
    """Readings of designs, as tensors.

    Attributes:
        features: [n, feature].
        values: Readings in reward units, [n].
        noise_std: Standard deviation of each reading's noise, [n], or None where it is unknown. A NaN entry
            means unknown for that reading.

    Raises:
        NotEnoughDataError: If there are no readings.
        ShapeError: If the shapes do not fit together.
        ObservationError: If a value or feature is not finite, or a noise is negative.
    """

    features: Tensor
    values: Tensor
    noise_std: Tensor | None = None

    def __post_init__(self) -> None:
        n = len(self.features)
        if n == 0:
            raise NotEnoughDataError(
                "A surrogate needs at least one reading; got none.",
                hint="Tell readings first, or ask from the pre-trained chain.",
            )
        if self.features.ndim != 2:
            raise ShapeError(f"`features` must have shape [n, feature]; got {list(self.features.shape)}.")
        for name, tensor in (("values", self.values), ("noise_std", self.noise_std)):
            if tensor is not None and tensor.shape != (n,):
                raise ShapeError(f"`{name}` must have shape [{n}] as `features`; got {list(tensor.shape)}.")
        for name, tensor in (("features", self.features), ("values", self.values)):
            if not torch.isfinite(tensor).all():
                row = int((~torch.isfinite(tensor.reshape(n, -1))).any(1).nonzero()[0, 0])
                raise ObservationError(
                    f"`{name}` must be finite; row {row} is not.",
                    hint="Tell a failed measurement as failed, not as a number.",
                )
        if self.noise_std is not None and (self.noise_std < 0).any():
            raise ObservationError("`noise_std` must be >= 0 in every row.")

    def __len__(self) -> int:
        return len(self.features)


class Surrogate(Protocol):
    """A recipe for a learned stand-in of the reward, with uncertainty.

    ``fit`` returns a fitted BoTorch model over [.., q, feature] with one output, in double precision or the
    features' own; its posterior is over the *reward* (without observation noise) unless
    ``observation_noise=True`` is asked for. Randomness comes from `generator` alone.
    """

    def fit(self, data: Observations, *, generator: torch.Generator | None = None) -> Model: ...
