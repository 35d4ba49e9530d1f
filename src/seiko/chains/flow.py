"""Flow models as chains: ancestral steps along the straight path, with the flow's own marginals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seiko.chains.base import level
from seiko.chains.gaussian import (
    FlowVelocity,
    Prediction,
    _GaussianTraining,
    check_eta,
    check_times,
    chosen_levels,
)
from seiko.distributions import Gaussian
from seiko.errors import DeterministicChainError, ParameterError


@dataclass(frozen=True, eq=False)
class FlowDDIM(_GaussianTraining):
    """DDIM's generalised steps on the straight path ``(1 - s) x_0 + s e`` of flow-matching models.

    With s and r the noise levels before and after a step, x_0 the denoised prediction and e the noise, the
    next state has

    - mean ``(1 - r) x_0 + sqrt(r^2 - scale^2) e``,
    - scale ``eta r / s sqrt(s^2 - ((1 - s) / (1 - r))^2 r^2)``.

    It is Song, Meng & Ermon 2021, Eq. 12, with ``sqrt(alpha_bar)`` and ``sqrt(1 - alpha_bar)`` replaced by
    ``1 - s`` and ``s``: for any eta and any number of steps the exact prediction leads from the law
    ``(1 - s) x_0 + s e`` to the law ``(1 - r) x_0 + r e``, as the flow's own equation does. eta = 1 is
    memoryless: the reversal of a Markov chain that forgets x_0 at s = 1.

    Args:
        sigmas: Decreasing noise levels in (0, 1], [num_steps + 1]. A last level of exactly 0 makes the last
            step deterministic and is refused.
        event_shape: Shape of one state.
        eta: Stochasticity in (0, 1].
        prediction: What the network's output stands for.
        times: What the network is told at each step, [num_steps]; by default the noise level itself.

    Raises:
        DeterministicChainError: If eta or the last level is 0.
        ParameterError: If eta or the levels are out of range.

    Example:
        >>> FlowDDIM(torch.tensor([1.0, 0.5, 0.01]), (3,)).num_steps
        2
    """

    sigmas: Tensor
    event_shape: tuple[int, ...]
    eta: float = 1.0
    prediction: Prediction = FlowVelocity()
    times: Tensor | None = None

    def __post_init__(self) -> None:
        check_eta(self.eta, "FlowDDIM")
        check_times(self.times, self.num_steps)
        levels = self.sigmas
        if levels.ndim != 1 or len(levels) < 2 or not (levels.diff() < 0).all() or not 0 < levels[0] <= 1:
            raise ParameterError(
                "`sigmas` must be decreasing noise levels in (0, 1], [num_steps + 1]; got "
                f"{levels.tolist() if levels.numel() < 12 else list(levels.shape)}."
            )
        if not levels[-1] > 0:
            raise DeterministicChainError(
                f"The last level of `sigmas` must stay above 0; got {float(levels[-1])}. At 0 the last step "
                "has no noise and infinite KL to any other.",
                hint="Keep a floor, such as 0.01.",
            )

    @property
    def num_steps(self) -> int:
        return len(self.sigmas) - 1

    def with_steps(self, num_steps: int) -> FlowDDIM:
        """The same model in fewer steps: evenly chosen levels of this process, its first and last among them.

        Raises:
            ParameterError: If `num_steps` is not in 1 ... this process's own.
        """
        kept = chosen_levels(self.num_steps, num_steps)
        own = self.sigmas[:-1] if self.times is None else self.times
        return replace(self, sigmas=self.sigmas[kept], times=own[kept[:-1]])

    def alpha_sigma(self, step: int | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """``1 - s`` and ``s`` at `step`."""
        return level(1 - self.sigmas, step, like), level(self.sigmas, step, like)

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        """What the network is told: the noise level, or one of `times`; [] or [batch]."""
        times = self.sigmas if self.times is None else self.times
        return torch.as_tensor(times.to(like.device)[step]).to(like)

    def start_scale(self, like: Tensor) -> Tensor:
        return self.sigmas[0].to(like)

    def transition(self, state: Tensor, prediction: Tensor, step: int | Tensor) -> Gaussian:
        alpha, sigma = self.alpha_sigma(step, state)
        denoised, noise = self.prediction.split(prediction, state, alpha, sigma)
        s, r = self.sigmas[:-1].double(), self.sigmas[1:].double()
        variance = (self.eta * r / s) ** 2 * (s**2 - ((1 - s) / (1 - r) * r) ** 2)
        keep = level(1 - r, step, state)
        rest = level((r**2 - variance).clamp_min(0).sqrt(), step, state)
        return Gaussian(keep * denoised + rest * noise, level(variance.sqrt(), step, state))
