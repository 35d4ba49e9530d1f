"""Steps of score-based samplers as Gaussians whose mean is affine in state and score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from seiko import tree
from seiko.chains.gaussian import Epsilon, Prediction, VarianceExploding, VariancePreserving
from seiko.errors import DeterministicChainError, ParameterError
from seiko.schedules import check_num_steps

Solver: TypeAlias = Literal["predictor-corrector", "splitting"]


@dataclass(frozen=True, eq=False)
class AffineSteps:
    """``s_{k+1} ~ Normal(keep[k] s_k + push[k] score(s_k), scale[k]^2)``, all [num_steps] in double."""

    time: Tensor
    keep: Tensor
    push: Tensor
    scale: Tensor

    def then(self, other: AffineSteps) -> AffineSteps:
        """Both with *one* score, that of the state before: again one Gaussian.

        ``keep' (keep s + push g) + push' g`` and ``keep'^2 scale^2 + scale'^2``.
        """
        return AffineSteps(
            self.time,
            other.keep * self.keep,
            other.keep * self.push + other.push,
            (other.keep**2 * self.scale**2 + other.scale**2).sqrt(),
        )

    def alternating(self, other: AffineSteps) -> AffineSteps:
        """Step k of the first, step k of the second, each with its own score, [2 num_steps]."""

        def merged(name: str) -> Tensor:
            return torch.stack([getattr(self, name), getattr(other, name)], 1).flatten()

        return AffineSteps(*(merged(name) for name in ("time", "keep", "push", "scale")))


@dataclass(frozen=True, eq=False)
class GraphNoise:
    """How one leaf of a graph is noised and sampled.

    Args:
        path: Noise levels, t from 1 (noise) to 0 (data).
        prediction: What the network's output stands for.
        noise_size: Root mean square of the predicted noise's free coordinates along the reference model's
            paths, at evenly spaced times from 1 to 0; 1 is what a perfect model has far from the data. It
            fixes the size of a correction by time alone, so that rows stay independent and no noise depends
            on trained weights. The published sampler takes the norms of the batch instead.
        snr: Signal-to-noise ratio r of a correction, ``step = 2 alpha (r sigma / noise_size)^2``.
        noise_factor: Multiplier of a correction's noise.
        floor: Standard deviation of the last step, which is otherwise a denoising without noise.
        start_scale: Standard deviation of the start; published samplers take 1 whatever sigma(1).

    Raises:
        ParameterError: If a size or factor is not positive.
    """

    path: VariancePreserving | VarianceExploding
    prediction: Prediction = field(default_factory=Epsilon)
    noise_size: Sequence[float] = (1.0,)
    snr: float = 0.2
    noise_factor: float = 0.8
    floor: float = 0.05
    start_scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.noise_size or min(self.noise_size) <= 0:
            raise ParameterError(f"`noise_size` must be positive numbers; got {tuple(self.noise_size)}.")
        for name in ("snr", "noise_factor"):
            if getattr(self, name) < 0:
                raise ParameterError(f"`{name}` must not be negative; got {getattr(self, name)!r}.")
        if not self.start_scale > 0:
            raise ParameterError(f"`start_scale` must be positive; got {self.start_scale!r}.")
        if not self.floor > 0:
            raise DeterministicChainError(
                f"`floor` must be positive; got {self.floor!r}. A last step without noise has infinite KL to "
                "any other.",
                hint="Keep a floor that no decoding notices, such as 0.05.",
            )

    def levels(self, time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma at times [batch], shaped to broadcast against `like`."""
        return tree.expand(self.path.alpha(time), like), tree.expand(self.path.sigma(time), like)

    def start_step(self, start_steps: int) -> float:
        """Scale of each of equal steps from 0 whose end has the start's standard deviation."""
        return self.start_scale / math.sqrt(start_steps)

    def steps(self, num_steps: int, solver: Solver, end_time: float = 1e-4) -> AffineSteps:
        """The chain's steps: `num_steps` for "splitting", twice as many for "predictor-corrector"."""
        check_num_steps(num_steps)
        if solver == "predictor-corrector":
            times = torch.linspace(1, end_time, num_steps, dtype=torch.float64)
            steps = self._correction(times).alternating(self._reverse_diffusion(times))
        elif solver == "splitting":
            times = 1 - torch.arange(num_steps, dtype=torch.float64) / num_steps
            steps = self._correction(times).then(self._strang(times))
        else:
            raise ParameterError(f"`solver` must be 'predictor-corrector' or 'splitting'; got {solver!r}.")
        return self._ended(steps)

    def _ended(self, steps: AffineSteps) -> AffineSteps:
        """The last step made a denoising to ``(s + sigma^2 score) / alpha``, with the floor's noise."""
        alpha, sigma = self.path.alpha(steps.time[-1]), self.path.sigma(steps.time[-1])
        for values, last in (
            (steps.keep, 1 / alpha),
            (steps.push, sigma**2 / alpha),
            (steps.scale, self.floor),
        ):
            values[-1] = last
        return steps

    def _correction(self, times: Tensor) -> AffineSteps:
        """Langevin (Song et al. 2021, Alg. 5): ``s + step score + noise_factor sqrt(2 step) z``."""
        sizes = torch.tensor(self.noise_size, dtype=torch.float64)
        place = (1 - times) * (len(sizes) - 1)
        left = place.floor().long().clamp_max(max(len(sizes) - 2, 0))
        right = (left + 1).clamp_max(len(sizes) - 1)
        size = sizes[left] + (place - left) * (sizes[right] - sizes[left])
        step = 2 * (1 - self._decay(times)) * (self.snr * self.path.sigma(times) / size) ** 2
        return AffineSteps(times, torch.ones_like(times), step, self.noise_factor * (2 * step).sqrt())

    def _decay(self, times: Tensor) -> Tensor:
        """The discrete noise rate beta of a variance-preserving step, 0 for a variance-exploding one."""
        if isinstance(self.path, VarianceExploding):
            return torch.zeros_like(times)
        return (self.path.diffusion(times) ** 2 / len(times)).clamp_max(0.999)

    def _reverse_diffusion(self, times: Tensor) -> AffineSteps:
        """Reverse-diffusion predictor (Song et al. 2021, Appendix E): DDPM or SMLD discretisation."""
        if isinstance(self.path, VarianceExploding):
            variance = self.path.sigma(times) ** 2
            push = variance - torch.cat([variance[1:], variance.new_zeros(1)])
            keep = torch.ones_like(times)
        else:
            push = self._decay(times)
            keep = 2 - (1 - push).sqrt()
        return AffineSteps(times, keep, push, push.sqrt())

    def _strang(self, times: Tensor) -> AffineSteps:
        """Symmetric splitting (Jo et al. 2022, Section 3.3): half the noise, the score, half the noise.

        ``s1 = c1 s + d1 z``, ``s2 = s1 + g^2 h score``, ``s3 = c2 s2 + d2 z``: one Gaussian.
        """
        h = 1 / len(times)
        (c1, d1), (c2, d2) = self._half(times, h / 2), self._half(times - h / 2, h / 2)
        push = c2 * h * self.path.diffusion(times) ** 2
        return AffineSteps(times, c1 * c2, push, (c2**2 * d1**2 + d2**2).sqrt())

    def _half(self, times: Tensor, h: float) -> tuple[Tensor, Tensor]:
        """Factor and noise of the drift and diffusion alone, run backwards over `h` from `times`."""
        later = times - h
        if isinstance(self.path, VarianceExploding):
            change = self.path.sigma(times) ** 2 - self.path.sigma(later) ** 2
            return torch.ones_like(times), change.sqrt()
        ratio = self.path.alpha(later) / self.path.alpha(times)  # > 1
        return ratio, (1 - ratio**-2).sqrt()
