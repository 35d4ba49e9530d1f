"""Gaussian chains: DDIM with eta (DDPM at eta = 1) and Euler-Maruyama for SDEs and flow models."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from seiko import draws
from seiko.chains.base import level
from seiko.distributions import Gaussian
from seiko.errors import DeterministicChainError, ParameterError
from seiko.schedules import check_num_steps


class Prediction(Protocol):
    """What a network's output stands for; brings every kind to the pair (denoised, noise).

    With ``state = alpha * denoised + sigma * noise``.
    """

    def split(self, output: Tensor, state: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]: ...
    def target(self, data: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Epsilon:
    """The noise."""

    def split(self, output: Tensor, state: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return (state - sigma * output) / alpha, output

    def target(self, data: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return noise


@dataclass(frozen=True)
class Denoised:
    """The clean state."""

    def split(self, output: Tensor, state: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return output, (state - alpha * output) / sigma

    def target(self, data: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return data


@dataclass(frozen=True)
class Velocity:
    """``alpha * noise - sigma * denoised`` (Salimans & Ho 2022, section 4), for any alpha and sigma."""

    def split(self, output: Tensor, state: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        norm = alpha**2 + sigma**2
        return (alpha * state - sigma * output) / norm, (sigma * state + alpha * output) / norm

    def target(self, data: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return alpha * noise - sigma * data


@dataclass(frozen=True)
class FlowVelocity:
    """``noise - denoised``, the velocity of the straight path (rectified flow), for any alpha and sigma."""

    def split(self, output: Tensor, state: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        norm = alpha + sigma
        return (state - sigma * output) / norm, (state + alpha * output) / norm

    def target(self, data: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return noise - data


@dataclass(frozen=True)
class Score:
    """The gradient of the log-density, ``-noise / sigma``."""

    def split(self, output: Tensor, state: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        noise = -sigma * output
        return (state - sigma * noise) / alpha, noise

    def target(self, data: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return -noise / sigma


def _noised(data: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * data + sigma * noise


class _GaussianTraining(ABC):
    """Corruption and denoising loss of a process with ``alpha_sigma``, ``prediction`` and ``event_shape``."""

    prediction: Prediction
    event_shape: tuple[int, ...]

    @abstractmethod
    def alpha_sigma(self, step: int | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Scale of the clean state and of the noise at `step`."""

    def corrupt(self, data: Tensor, step: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``alpha * data + sigma * noise`` at `step`, [batch, *event]."""
        return _noised(data, draws.randn_like(data, generator), *self.alpha_sigma(step, data))

    def loss(self, prediction: Tensor, data: Tensor, state: Tensor, step: Tensor) -> Tensor:
        """Squared error of the prediction, mean over coordinates, [batch] (Ho et al. 2020, Eq. 14)."""
        alpha, sigma = self.alpha_sigma(step, data)
        noise = (state - alpha * data) / sigma
        return (prediction - self.prediction.target(data, noise, alpha, sigma)).square().flatten(1).mean(1)

    def initial(self, batch_size: int, like: Tensor) -> Gaussian:
        """Standard noise scaled by the first level."""
        mean = like.new_zeros((batch_size, *self.event_shape))
        return Gaussian(mean, self.start_scale(like))

    def start_scale(self, like: Tensor) -> Tensor:
        return like.new_ones(())


def check_eta(eta: float, name: str) -> None:
    """Raise DeterministicChainError if `eta` is 0, ParameterError if it is outside (0, 1]."""
    if eta == 0:
        raise DeterministicChainError(
            f"`eta` of {name} must be a float in (0, 1]; got 0. A deterministic chain has infinite KL to "
            "any other, so no updater can regularise it.",
            hint="Use eta=1.0 for DDPM.",
        )
    if not 0 < eta <= 1:
        raise ParameterError(f"`eta` of {name} must be a float in (0, 1]; got {eta!r}.")


def check_times(times: Tensor | None, num_steps: int) -> None:
    """Raise ParameterError unless `times` is None or decreasing numbers in (0, 1], one a step."""
    if times is None:
        return
    falls = times.ndim == 1 and len(times) == num_steps and bool((times.diff() < 0).all())
    if not falls or not 0 < float(times[-1]) <= float(times[0]) <= 1:
        raise ParameterError(
            f"`times` must be {num_steps} decreasing numbers in (0, 1], one a step; got "
            f"{times.tolist() if times.numel() < 12 else list(times.shape)}."
        )


def chosen_levels(own: int, num_steps: int) -> Tensor:
    """Which of the levels 0 to `own` are those of a process with fewer steps, [num_steps + 1]."""
    if isinstance(num_steps, bool) or not isinstance(num_steps, int) or not 1 <= num_steps <= own:
        raise ParameterError(f"`num_steps` must be an integer from 1 to {own}; got {num_steps!r}.")
    return torch.linspace(0, own, num_steps + 1).round().long()


@dataclass(frozen=True, eq=False)
class DDIM(_GaussianTraining):
    """Generalised denoising steps (Song, Meng & Ermon 2021); eta = 1 is DDPM.

    With a = alpha_bar[step], b = alpha_bar[step + 1], x_0 the denoised prediction and e the noise:

    ========== ==================================================== ==============
    our name   formula                                              in the paper
    ========== ==================================================== ==============
    scale      eta sqrt((1 - b) / (1 - a)) sqrt(1 - a / b)          Eq. 16
    mean       sqrt(b) x_0 + sqrt(1 - b - scale^2) e                Eq. 12
    ========== ==================================================== ==============

    Args:
        alpha_bar: Increasing levels in (0, 1), [num_steps + 1]. A last level of exactly 1 makes the last step
            deterministic and is refused: see `cosine_alpha_bar`.
        event_shape: Shape of one state.
        eta: Stochasticity in (0, 1].
        prediction: What the network's output stands for.
        times: What the network is told at each step, [num_steps] in (0, 1]; by default 1 - step / K.
        clip: Largest absolute value of a denoised coordinate; the noise stays as predicted. None: no limit.

    Raises:
        DeterministicChainError: If eta is 0 or a step has no noise.
        ParameterError: If eta, the levels, the times or the limit are out of range.
    """

    alpha_bar: Tensor
    event_shape: tuple[int, ...]
    eta: float = 1.0
    prediction: Prediction = Epsilon()
    times: Tensor | None = None
    clip: float | None = None

    def __post_init__(self) -> None:
        check_eta(self.eta, "DDIM")
        check_times(self.times, self.num_steps)
        if self.clip is not None and not self.clip > 0:
            raise ParameterError(f"`clip` must be None or a number > 0; got {self.clip!r}.")
        levels = self.alpha_bar
        if levels.ndim != 1 or len(levels) < 2 or not (levels.diff() > 0).all() or not levels[0] > 0:
            raise ParameterError(
                "`alpha_bar` must be increasing levels in (0, 1), [num_steps + 1], from noise to data; got "
                f"{levels.tolist() if levels.numel() < 12 else list(levels.shape)}."
            )
        if levels[-1] >= 1:
            raise DeterministicChainError(
                f"The last level of `alpha_bar` must stay below 1; got {float(levels[-1])}. At 1 the last "
                "step has no noise and infinite KL to any other.",
                hint="Keep a floor, such as 0.9999.",
            )

    @property
    def num_steps(self) -> int:
        return len(self.alpha_bar) - 1

    def with_steps(self, num_steps: int) -> DDIM:
        """The same model in fewer steps: evenly chosen levels of this process, its first and last among them.

        Raises:
            ParameterError: If `num_steps` is not in 1 ... this process's own.
        """
        kept = chosen_levels(self.num_steps, num_steps)
        own = 1 - torch.arange(self.num_steps) / self.num_steps if self.times is None else self.times
        return replace(self, alpha_bar=self.alpha_bar[kept], times=own[kept[:-1]])

    def alpha_sigma(self, step: int | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """``sqrt(alpha_bar)`` and ``sqrt(1 - alpha_bar)`` at `step`."""
        return level(self.alpha_bar.sqrt(), step, like), level((1 - self.alpha_bar).sqrt(), step, like)

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        """What the network is told: 1 - step / K or one of `times`; [] or [batch]."""
        if self.times is not None:
            return torch.as_tensor(self.times.to(like.device)[step]).to(like)
        return torch.as_tensor(1 - torch.as_tensor(step) / self.num_steps).to(like)

    def transition(self, state: Tensor, prediction: Tensor, step: int | Tensor) -> Gaussian:
        alpha, sigma = self.alpha_sigma(step, state)
        denoised, noise = self.prediction.split(prediction, state, alpha, sigma)
        if self.clip is not None:
            denoised = denoised.clamp(-self.clip, self.clip)
        a, b = self.alpha_bar[:-1], self.alpha_bar[1:]
        variance = self.eta**2 * (1 - b) / (1 - a) * (1 - a / b)  # Eq. 16, squared
        keep = level(b.sqrt(), step, state)
        rest = level((1 - b - variance).clamp_min(0).sqrt(), step, state)
        return Gaussian(keep * denoised + rest * noise, level(variance.sqrt(), step, state))


def _slope(values: Tensor, times: Tensor) -> Tensor:
    """The derivative of each value by its own time, [num_steps + 1]; 0 where it is constant."""
    if not values.requires_grad:
        return torch.zeros_like(values)
    slope = torch.autograd.grad(values.sum(), times, allow_unused=True)[0]
    return torch.zeros_like(values) if slope is None else slope


class Path(Protocol):
    """Marginals ``alpha(t) x_0 + sigma(t) e`` and a noise rate, t from 1 (noise) to 0 (data)."""

    def alpha(self, time: Tensor) -> Tensor: ...
    def sigma(self, time: Tensor) -> Tensor: ...
    def diffusion(self, time: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class VariancePreserving:
    """The VP-SDE (Song et al. 2021, Eq. 11): ``dx = -beta/2 x dt + sqrt(beta) dw``, beta linear in time."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def alpha(self, time: Tensor) -> Tensor:
        return torch.exp(-0.25 * time**2 * (self.beta_max - self.beta_min) - 0.5 * time * self.beta_min)

    def sigma(self, time: Tensor) -> Tensor:
        return (1 - self.alpha(time) ** 2).clamp_min(0).sqrt()

    def diffusion(self, time: Tensor) -> Tensor:
        return (self.beta_min + time * (self.beta_max - self.beta_min)).sqrt()


@dataclass(frozen=True)
class VarianceExploding:
    """The VE-SDE (Song et al. 2021, Eq. 9): ``sigma(t) = sigma_min (sigma_max / sigma_min)^t``.

    The start is not independent of the end unless sigma_max is far above the data's spread: the base is then
    not memoryless, and a fine-tuned law is biased (``docs/chains.md``).
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def alpha(self, time: Tensor) -> Tensor:
        return torch.ones_like(time)

    def sigma(self, time: Tensor) -> Tensor:
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** time

    def diffusion(self, time: Tensor) -> Tensor:
        return self.sigma(time) * math.sqrt(2 * math.log(self.sigma_max / self.sigma_min))


@dataclass(frozen=True)
class RectifiedFlow:
    """The straight path ``(1 - t) x_0 + t e`` of flow models, run as an SDE with the same marginals.

    The memoryless noise rate is ``sqrt(2 t / (1 - t))``, capped near t = 1 where it has no limit; any rate
    keeps the marginals in continuous time.

    Args:
        max_rate: The cap of the noise rate.
        scale: Multiplier of the rate; 1 is memoryless.
    """

    max_rate: float = 4.0
    scale: float = 1.0

    def alpha(self, time: Tensor) -> Tensor:
        return 1 - time

    def sigma(self, time: Tensor) -> Tensor:
        return time

    def diffusion(self, time: Tensor) -> Tensor:
        return self.scale * (2 * time / (1 - time).clamp_min(1e-6)).sqrt().clamp_max(self.max_rate)


@dataclass(frozen=True, eq=False)
class EulerMaruyama(_GaussianTraining):
    """The reverse-time SDE of a path, discretised; its divergences are exact for the discretised chain.

    With v the probability-flow velocity ``alpha' x_0 + sigma' e`` and g the noise rate (Song et al. 2021,
    Eq. 6):

    ``s_{k+1} = s_k - h (v + g^2 / (2 sigma) e) + g sqrt(h) z``,  h = t_k - t_{k+1}.

    Args:
        path: `VariancePreserving`, `VarianceExploding` or `RectifiedFlow`.
        num_steps: Number of steps K, evenly spaced from t = 1.
        event_shape: Shape of one state.
        prediction: What the network's output stands for.
        end_time: Where the last step ends, in [0, 1).
    """

    path: Path
    num_steps: int
    event_shape: tuple[int, ...]
    prediction: Prediction = Epsilon()
    end_time: float = 1e-3

    def __post_init__(self) -> None:
        check_num_steps(self.num_steps)
        if not 0 <= self.end_time < 1:
            raise ParameterError(f"`end_time` must be in [0, 1); got {self.end_time!r}.")
        if not (self.path.diffusion(self._times[:-1]) > 0).all():
            raise DeterministicChainError(
                "The path's noise rate must be positive at every step; a step without noise has infinite KL.",
                hint="Give the path a positive rate.",
            )
        alpha, sigma = self.path.alpha(self._times[:-1]), self.path.sigma(self._times[:-1])
        pair = self.prediction.split(torch.ones_like(alpha), torch.ones_like(alpha), alpha, sigma)
        if not all(torch.isfinite(part).all() for part in pair):
            raise ParameterError(
                f"{type(self.prediction).__name__} cannot be brought to (denoised, noise) on {self.path}: "
                "it divides by a level that is 0 at the first step.",
                hint="Use FlowVelocity() or Denoised().",
            )

    @property
    def _times(self) -> Tensor:
        return torch.linspace(1, self.end_time, self.num_steps + 1, dtype=torch.float64)

    def _levels(self, step: int | Tensor, like: Tensor) -> dict[str, Tensor]:
        times = self._times.requires_grad_()
        with torch.enable_grad():
            alpha, sigma = self.path.alpha(times), self.path.sigma(times)
            slopes = [_slope(values, times) for values in (alpha, sigma)]
        names = {"alpha": alpha, "sigma": sigma, "alpha_slope": slopes[0], "sigma_slope": slopes[1]}
        return {name: level(value.detach(), step, like) for name, value in names.items()}

    def alpha_sigma(self, step: int | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        times = self._times
        return level(self.path.alpha(times), step, like), level(self.path.sigma(times), step, like)

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        return torch.as_tensor(self._times.to(like.device)[step]).to(like)

    def start_scale(self, like: Tensor) -> Tensor:
        return self.path.sigma(self._times[:1])[0].to(like)

    def transition(self, state: Tensor, prediction: Tensor, step: int | Tensor) -> Gaussian:
        now = self._levels(step, state)
        denoised, noise = self.prediction.split(prediction, state, now["alpha"], now["sigma"])
        velocity = now["alpha_slope"] * denoised + now["sigma_slope"] * noise
        h = level(-self._times.diff(), step, state)
        rate = level(self.path.diffusion(self._times), step, state)
        mean = state - h * (velocity + rate**2 / (2 * now["sigma"]) * noise)
        return Gaussian(mean, rate * h.sqrt())
