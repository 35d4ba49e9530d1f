"""Categorical chains some of whose positions may hold only some kinds, or one: what is given stays."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from seiko import draws
from seiko.chains.base import DiffusionChain
from seiko.chains.masked import Absorbing, Masked, Uniform, uniform_step
from seiko.distributions import Categorical, Reveal
from seiko.errors import ParameterError, ShapeError


@dataclass(frozen=True, eq=False)
class Clamped:
    """A masked, absorbing or uniform process over the allowed kinds only, with the same network.

    The network's prediction is conditioned on the allowed kinds, ``p(j) 1[j allowed] / sum``. A position with
    one kind holds it from the start to the end: in masked processes it is revealed in s_0, and the others
    are spread over the steps. So the laws of steps stay exact, what is given has no divergence, and no
    sample breaks it. With one position a step and a network of exact conditionals, samples given single
    kinds have the conditional law. Where several are allowed, what was revealed before does not know of it.

    Args:
        process: `Masked`, `Absorbing` or `Uniform`.
        allowed: [length, kinds] bool; which clean kinds each position may hold.

    Raises:
        ParameterError: If a position is allowed nothing, or all have one kind, or the process is another.
        ShapeError: If `allowed` has another shape.

    Example:
        >>> allowed = torch.ones(3, 4, dtype=torch.bool)
        >>> allowed[1] = torch.tensor([True, False, False, False])
        >>> Clamped(Masked(3, 4), allowed).initial(1, torch.empty(())).sample()[0, :, -1].tolist()
        [1.0, 0.0, 1.0]
    """

    process: Masked | Absorbing | Uniform
    allowed: Tensor
    counts: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.process, Masked | Absorbing | Uniform):
            raise ParameterError(
                f"`process` must be Masked, Absorbing or Uniform; got {type(self.process).__name__}.",
                hint="Clamp the leaves of a joint process.",
            )
        shape, allowed = (self.process.length, self.process.kinds), self.allowed.bool()
        if allowed.shape != shape:
            raise ShapeError(f"`allowed` must have shape {list(shape)}; got {list(allowed.shape)}.")
        if not allowed.any(1).all():
            place = int((~allowed.any(1)).nonzero()[0, 0])
            raise ParameterError(f"`allowed` leaves no kind for position {place} (from 0).")
        if (allowed.sum(1) == 1).all():
            raise ParameterError("`allowed` leaves one kind for every position: there is nothing to sample.")
        object.__setattr__(self, "allowed", allowed)
        if isinstance(self.process, Masked):
            assert self.process.counts is not None
            done = self.process.counts.cumsum(0) * self.num_free // self.length
            object.__setattr__(self, "counts", done.diff(prepend=done.new_zeros(1)))

    @property
    def num_steps(self) -> int:
        return self.process.num_steps

    @property
    def length(self) -> int:
        return self.process.length

    @property
    def kinds(self) -> int:
        return self.process.kinds

    @property
    def given(self) -> Tensor:
        """Which positions have one kind, [length] bool."""
        return self.allowed.sum(1) == 1

    @property
    def num_free(self) -> int:
        return int((~self.given).sum())

    @property
    def _done(self) -> Tensor:
        """Free positions revealed before each step, [num_steps + 1]."""
        return torch.cat([self.counts.new_zeros(1), self.counts.cumsum(0)])

    def conditioned(self, prediction: Tensor) -> Tensor:
        """The prediction of the allowed kinds alone."""
        return prediction.masked_fill(~self.allowed.to(prediction.device), -torch.inf)

    def initial(self, batch_size: int, like: Tensor) -> Categorical:
        """Masked but for what is given; in a uniform process every allowed kind is equally likely."""
        allowed, start = self.allowed.to(like.device), self.process.initial(batch_size, like)
        if isinstance(self.process, Uniform):
            return Categorical.from_logits(start.log_probs.masked_fill(~allowed, -torch.inf))
        kinds = torch.nn.functional.pad(allowed, (0, 1))
        known = torch.where(kinds, 0.0, -torch.inf).to(start.log_probs)
        return Categorical(torch.where(self.given.to(like.device)[:, None], known, start.log_probs))

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        """Of the process; for `Masked` the masked share of all positions, which it was trained on."""
        if not isinstance(self.process, Masked):
            return self.process.time(step, like)
        return ((self.num_free - self._done.to(like.device)[step]) / self.length).to(like)

    def transition(self, state: Tensor, prediction: Tensor, step: int | Tensor) -> Reveal | Categorical:
        if isinstance(self.process, Uniform):
            return uniform_step(self.process, state, prediction, step, self.allowed)
        prediction = self.conditioned(prediction)
        if isinstance(self.process, Absorbing):
            return self.process.transition(state, prediction, step)
        count = self.counts.to(state.device)[step].expand(len(state))
        return Reveal(prediction.log_softmax(-1), state, count)

    def corrupt(self, data: Tensor, step: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As the process does, but what is given stays, and noise is of allowed kinds.

        Kinds of the data that are not allowed are replaced by the first that is.
        """
        given, data = self.given.to(data.device), self._admitted(data)
        if isinstance(self.process, Masked):
            return self._mask_free(data, step, generator)
        if isinstance(self.process, Absorbing):
            noisy = self.process.corrupt(data, step, generator)
            clean = torch.nn.functional.pad(data, (0, noisy.shape[-1] - data.shape[-1]))
            return torch.where(given[:, None], clean, noisy)
        noise = self.initial(len(data), data).sample(generator)
        changed = draws.rand(data.shape[:2], data.device, generator)
        changed = changed < self.process.time(step, data)[:, None]
        return torch.where(changed[..., None], noise, data)

    def _admitted(self, data: Tensor) -> Tensor:
        allowed = self.allowed.to(data.device)
        wrong = ~(data[..., : self.kinds].bool() & allowed).any(-1, keepdim=True)
        first = torch.nn.functional.one_hot(allowed.int().argmax(1), data.shape[-1]).to(data)
        return torch.where(wrong, first, data)

    def _mask_free(self, data: Tensor, step: Tensor, generator: torch.Generator | None) -> Tensor:
        order = draws.rand((len(data), self.length), data.device, generator)
        rank = order.masked_fill(self.given.to(data.device), 2.0).argsort(1).argsort(1)
        hidden = (rank >= self._done.to(data.device)[step][:, None]) & (rank < self.num_free)
        rows = torch.nn.functional.pad(data, (0, self.kinds + 1 - data.shape[-1]))
        mask = torch.nn.functional.one_hot(torch.tensor(self.kinds), self.kinds + 1).to(data)
        return torch.where(hidden[..., None], mask, rows)

    def loss(self, prediction: Tensor, data: Tensor, state: Tensor, step: Tensor) -> Tensor:
        """The process's loss over allowed kinds, in nats, [batch]; infinite for data that are not allowed."""
        if isinstance(self.process, Uniform):
            clean = data.log().clamp_min(-1e9)
            exact = self.transition(state, clean, step)
            return self.num_steps * exact.kl(self.transition(state, prediction, step))  # type: ignore[arg-type]
        share = self.num_free / self.length if isinstance(self.process, Masked) else 1.0
        return share * self.process.loss(self.conditioned(prediction), data, state, step)


def clamped(chain: DiffusionChain, allowed: Tensor) -> DiffusionChain:
    """The same network, shared, with only the `allowed` kinds at each position; see `Clamped`."""
    return chain.with_process(Clamped(chain.process, allowed))  # type: ignore[arg-type]
