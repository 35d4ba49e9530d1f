"""Categorical chains: masked (absorbing) diffusion, and uniform diffusion, which can revise what stands."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seiko import draws
from seiko.chains.base import level
from seiko.distributions import Categorical, Reveal
from seiko.errors import ParameterError
from seiko.schedules import check_num_steps, checked_counts, even_counts


def _check_sizes(length: int, kinds: int) -> None:
    if length < 1 or kinds < 2:
        raise ParameterError(
            f"A categorical chain needs length >= 1 and kinds >= 2; got {length} and {kinds}."
        )


def _all_masked(batch_size: int, length: int, kinds: int, like: Tensor) -> Categorical:
    log_probs = like.new_full((batch_size, length, kinds + 1), -torch.inf)
    log_probs[..., -1] = 0
    return Categorical(log_probs)


def _cross_entropy(prediction: Tensor, data: Tensor) -> Tensor:
    """Minus log-probability of the clean kind, in nats, [batch, length]; of shares the sum, of any sign."""
    shares = data[..., : prediction.shape[-1]]
    return -torch.where(shares != 0, shares * prediction.log_softmax(-1), 0.0).sum(-1)


@dataclass(frozen=True, eq=False)
class Masked:
    """Masked diffusion that reveals a fixed number of positions a step, chosen at random.

    The network predicts logits over the clean kinds at every position; step k reveals ``counts[k]`` of the
    masked positions (`Reveal`). With one position a step the chain is the any-order autoregressive model
    (Uria et al. 2014; Austin et al. 2021, section 3), and the mean of its loss over steps is its negative
    evidence bound.

    Args:
        length: Number of positions.
        kinds: Number of clean kinds; the state has one more, the mask.
        num_steps: Number of steps, the positions spread evenly; `length` if None.
        counts: Positions revealed at each step, instead of an even spread.
    """

    length: int
    kinds: int
    num_steps: int = 0
    counts: Tensor | None = None

    def __post_init__(self) -> None:
        _check_sizes(self.length, self.kinds)
        if self.counts is None:
            steps = self.num_steps or self.length
            counts = even_counts(self.length, steps)
        else:
            counts = checked_counts(self.counts, self.length)
            if self.num_steps not in (0, len(counts)):
                raise ParameterError(
                    f"`counts` has {len(counts)} entries, so `num_steps` must be {len(counts)} or left out; "
                    f"got {self.num_steps!r}."
                )
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "num_steps", len(counts))

    @property
    def _done(self) -> Tensor:
        """Positions revealed before each step, [num_steps + 1]."""
        assert self.counts is not None
        return torch.cat([self.counts.new_zeros(1), self.counts.cumsum(0)])

    def _rows(self, values: Tensor, step: int | Tensor, like: Tensor) -> Tensor:
        return values.to(like.device)[step].expand(len(like))

    def initial(self, batch_size: int, like: Tensor) -> Categorical:
        """Everything masked."""
        return _all_masked(batch_size, self.length, self.kinds, like)

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        """The masked share."""
        return (1 - self._done.to(like.device)[step] / self.length).to(like)

    def transition(self, state: Tensor, prediction: Tensor, step: int | Tensor) -> Reveal:
        assert self.counts is not None
        return Reveal(prediction.log_softmax(-1), state, self._rows(self.counts, step, state))

    def corrupt(self, data: Tensor, step: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mask all but the number of positions revealed before `step`, chosen uniformly."""
        shape = (len(data), self.length)
        rank = draws.rand(shape, data.device, generator).argsort(1)
        masked = rank >= self._done.to(data.device)[step][:, None]
        return _mask(data, masked, self.kinds)

    def loss(self, prediction: Tensor, data: Tensor, state: Tensor, step: Tensor) -> Tensor:
        """``length / masked * sum over masked positions of -log p(kind)``, in nats, [batch].

        With one position a step its mean over steps is the negative evidence bound of the data. With other
        counts it is the bound of an even spread, so that every masked position teaches at every step; the
        minimiser is the same.
        """
        masked = state[..., -1] > 0.5
        missing = torch.where(masked, _cross_entropy(prediction, data), 0.0).sum(1)
        return self.length * missing / masked.sum(1).clamp_min(1)


def _mask(data: Tensor, masked: Tensor, kinds: int) -> Tensor:
    """Clean one-hot rows, with or without the mask kind, masked where `masked` [batch, length] says."""
    mask_row = torch.nn.functional.one_hot(torch.tensor(kinds), kinds + 1).to(data)
    rows = data if data.shape[-1] == kinds + 1 else torch.nn.functional.pad(data, (0, 1))
    return torch.where(masked[..., None], mask_row, rows)


@dataclass(frozen=True, eq=False)
class Absorbing:
    """Masked diffusion in which every masked position is revealed independently (Sahoo et al. 2024, Eq. 7).

    At step k a masked position stays masked with probability m_{k+1} / m_k, where m_k = 1 - k / K.

    Args:
        length: Number of positions.
        kinds: Number of clean kinds; the state has one more, the mask.
        num_steps: Number of steps K.
    """

    length: int
    kinds: int
    num_steps: int

    def __post_init__(self) -> None:
        _check_sizes(self.length, self.kinds)
        check_num_steps(self.num_steps)

    @property
    def _masked_share(self) -> Tensor:
        return torch.linspace(1, 0, self.num_steps + 1, dtype=torch.float64)

    def initial(self, batch_size: int, like: Tensor) -> Categorical:
        """Everything masked."""
        return _all_masked(batch_size, self.length, self.kinds, like)

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        return self._masked_share.to(like.device)[step].to(like)

    def transition(self, state: Tensor, prediction: Tensor, step: int | Tensor) -> Categorical:
        share = self._masked_share
        stay = level(share[1:] / share[:-1], step, state)
        revealed = prediction.log_softmax(-1) + torch.log1p(-stay)
        masked_row = torch.cat([revealed, stay.log().expand_as(revealed[..., :1])], -1)
        is_masked = state[..., -1:] > 0.5
        return Categorical(torch.where(is_masked, masked_row, torch.where(state > 0.5, 0.0, -torch.inf)))

    def corrupt(self, data: Tensor, step: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mask every position independently with probability m_k."""
        uniform = draws.rand(data.shape[:2], data.device, generator)
        masked = uniform < self._masked_share.to(data.device)[step][:, None]
        return _mask(data, masked, self.kinds)

    def loss(self, prediction: Tensor, data: Tensor, state: Tensor, step: Tensor) -> Tensor:
        """``1 / m_k * sum over masked positions of -log p(kind)``: unbiased for the bound, [batch]."""
        missing = torch.where(state[..., -1] > 0.5, _cross_entropy(prediction, data), 0.0).sum(1)
        return missing / self._masked_share.to(missing)[step]


@dataclass(frozen=True, eq=False)
class Uniform:
    """Uniform categorical diffusion (D3PM, Austin et al. 2021, section 3.1): positions can be revised.

    A position keeps its clean kind with probability a_k (linear in k, a_0 = 0, a_K = 1) and is otherwise
    uniform. The step is the forward posterior averaged over the predicted clean kind j,

    ``p(s | x) = sum_j p(j | x) q(x | s) q(s | j) / q(x | j)``,

    computed without the [kinds, kinds] table.

    Args:
        length: Number of positions.
        kinds: Number of kinds; there is no mask.
        num_steps: Number of steps K.
    """

    length: int
    kinds: int
    num_steps: int

    def __post_init__(self) -> None:
        _check_sizes(self.length, self.kinds)
        check_num_steps(self.num_steps)

    @property
    def _kept(self) -> Tensor:
        return torch.linspace(0, 1, self.num_steps + 1, dtype=torch.float64)

    def initial(self, batch_size: int, like: Tensor) -> Categorical:
        """Every kind equally likely."""
        return Categorical.from_logits(like.new_zeros((batch_size, self.length, self.kinds)))

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        return (1 - self._kept.to(like.device)[step]).to(like)

    def transition(self, state: Tensor, prediction: Tensor, step: int | Tensor) -> Categorical:
        return uniform_step(self, state, prediction, step)

    def corrupt(self, data: Tensor, step: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Replace each position by a uniform kind with probability 1 - a_k."""
        shape = data.shape[:2]
        keep = draws.rand(shape, data.device, generator) < self._kept.to(data)[step][:, None]
        other = draws.randint(0, self.kinds, shape, data.device, generator)
        return torch.where(keep[..., None], data, torch.nn.functional.one_hot(other, self.kinds).to(data))

    def loss(self, prediction: Tensor, data: Tensor, state: Tensor, step: Tensor) -> Tensor:
        """``K * KL(posterior given the data || step)``: unbiased for the evidence bound, in nats, [batch]."""
        exact = self.transition(state, data.log().clamp_min(-1e9), step)
        return self.num_steps * exact.kl(self.transition(state, prediction, step))


def uniform_step(
    process: Uniform, state: Tensor, prediction: Tensor, step: int | Tensor, allowed: Tensor | None = None
) -> Categorical:
    """A step of `Uniform`; with `allowed` [length, kinds] that of a process of these kinds only."""
    kept, kinds = process._kept, torch.tensor(process.kinds)
    if allowed is not None:
        kinds = allowed.sum(1, keepdim=True)
        prediction = prediction.masked_fill(~allowed.to(state.device), -1e9)  # finite, for its gradient
    kinds = kinds.to(state)
    now, then = level(kept[:-1], step, state), level(kept[1:], step, state)
    ratio = level(kept[:-1] / kept[1:], step, state)
    likelihood = now * state + (1 - now) / kinds  # q(x | j)
    weighted = prediction.log_softmax(-1) - likelihood.log()
    back = ratio * state + (1 - ratio) / kinds  # q(x | s)
    other = ((1 - then) / kinds).log() + weighted.logsumexp(-1, keepdim=True)
    # Logarithms throughout: a probability that underflowed would be a hole in the support.
    log_probs = back.log() + torch.logaddexp(then.log() + weighted, other)
    if allowed is not None:
        log_probs = log_probs.masked_fill(~allowed.to(state.device), -torch.inf)
    return Categorical(log_probs.log_softmax(-1))


def one_hot(kinds: Tensor, num_kinds: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Integer kinds [...] as one-hot rows [..., num_kinds], ready to be data of a categorical chain."""
    return torch.nn.functional.one_hot(kinds.long(), num_kinds).to(dtype)
