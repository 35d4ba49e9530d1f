"""Heavy work cut into shares, one after the other or spread over the processes of an `accelerate` run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from seiko.errors import ParameterError

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """How batches are cut, and who works on which part.

    Every process runs the same program on the same numbers; only where a batch is cut into shares does each
    one work on its own: share i on process i modulo their number. What a share gave is passed to all. A share
    has random numbers of its own, drawn from the common ones, so the outcome depends on the number of shares
    and not on the number of processes: one process that works on all shares gets the same, in less memory
    than the whole batch takes.

    Attributes:
        shares: Into how many parts a batch is cut.
        accelerator: An ``accelerate.Accelerator``; None is this process alone, in full precision.
    """

    shares: int = 1
    accelerator: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.shares, bool) or not isinstance(self.shares, int) or self.shares < 1:
            raise ParameterError(f"`shares` must be an integer >= 1; got {self.shares!r}.")
        precision = getattr(self.accelerator, "mixed_precision", "no")
        if precision not in ("no", "bf16"):
            raise ParameterError(
                f'The mixed precision must be "no" or "bf16"; the accelerator has {precision!r}.',
                hint="Launch with --mixed_precision bf16: half precision needs its gradients scaled.",
            )

    @property
    def num_processes(self) -> int:
        return 1 if self.accelerator is None else int(self.accelerator.num_processes)

    @property
    def rank(self) -> int:
        """The number of this process, 0 for the main one."""
        return 0 if self.accelerator is None else int(self.accelerator.process_index)

    def autocast(self) -> AbstractContextManager[Any]:
        """The accelerator's mixed precision, for calls of networks."""
        return nullcontext() if self.accelerator is None else self.accelerator.autocast()

    def sizes(self, total: int) -> list[int]:
        """Rows of each share: as equal as can be, none empty.

        Example:
            >>> Team(shares=3).sizes(8)
            [3, 3, 2]
        """
        count = min(self.shares, total)
        return [total // count + (share < total % count) for share in range(count)]

    def own(self, items: Iterable[T]) -> Iterator[tuple[int, T]]:
        """Number and item of those that are this process's."""
        return ((i, item) for i, item in enumerate(items) if i % self.num_processes == self.rank)

    def each(
        self, total: int, generator: torch.Generator, work: Callable[[int, torch.Generator], T]
    ) -> list[T]:
        """What ``work(rows, generator)`` gives for each share, in order, the same on every process.

        With a single share it is called with `generator` itself.
        """
        if self.shares == 1 and self.num_processes == 1:
            return [work(total, generator)]
        jobs = self.jobs(total, generator)
        return self.gathered({i: work(*job) for i, job in self.own(jobs)}, len(jobs))

    def jobs(self, total: int, generator: torch.Generator) -> list[tuple[int, torch.Generator]]:
        """Rows and random numbers of each share; `generator` itself if there is only one."""
        if self.shares == 1:
            return [(total, generator)]
        sizes = self.sizes(total)
        seeds = torch.randint(2**62, (len(sizes),), generator=generator, device=generator.device).tolist()
        return [
            (size, torch.Generator(generator.device).manual_seed(seed))
            for size, seed in zip(sizes, seeds, strict=True)
        ]

    def gathered(self, found: dict[int, T], count: int) -> list[T]:
        """The results 0 to `count` - 1 of all processes, on every process."""
        if self.num_processes > 1:
            parts: list[Any] = [None] * self.num_processes
            torch.distributed.all_gather_object(parts, {i: _packed(part) for i, part in found.items()})
            device = self.accelerator.device
            found = {i: _unpacked(part, device) for held in parts for i, part in held.items()}
        return [found[i] for i in range(count)]

    def rows(self, items: Sequence[Any], work: Callable[[Sequence[Any]], Tensor]) -> Tensor:
        """``work(items)``, [n, ...], of which each process does a part."""
        if self.num_processes == 1 or not items:
            return work(items)
        cuts = Team(self.num_processes).sizes(len(items))
        parts = [items[sum(cuts[:i]) : sum(cuts[: i + 1])] for i in range(len(cuts))]
        return torch.cat(self.gathered({i: work(part) for i, part in self.own(parts)}, len(parts)))

    def total(self, number: float) -> float:
        """The sum of a number over processes."""
        if self.num_processes == 1:
            return number
        held: list[Any] = [None] * self.num_processes
        torch.distributed.all_gather_object(held, number)
        return sum(held)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes, in place."""
        if self.num_processes == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)


@dataclass(frozen=True)
class _Parcel:
    """A tensor on its way from a process's own device to another's."""

    tensor: Tensor


def _packed(value: Any) -> Any:
    """The same, with tensors that are on a device in parcels."""
    if isinstance(value, Tensor):
        tensor = value.detach()
        return tensor if tensor.device.type == "cpu" else _Parcel(tensor.cpu())
    return _inside(_packed, value)


def _unpacked(value: Any, device: Any) -> Any:
    if isinstance(value, _Parcel):
        return value.tensor.to(device)
    return _inside(lambda part: _unpacked(part, device), value)


def _inside(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: function(part) for name, part in value.items()}
    return type(value)(map(function, value)) if type(value) in (tuple, list) else value


ALONE = Team()
_CURRENT: ContextVar[Team] = ContextVar("team", default=ALONE)


def current() -> Team:
    """The team that works now; a process alone unless `working` says otherwise."""
    return _CURRENT.get()


@contextmanager
def working(team: Team) -> Iterator[Team]:
    """Let a team do the sampling and the updates of a block.

    Example:
        >>> with working(Team(shares=2)):
        ...     current().shares
        2
    """
    token = _CURRENT.set(team)
    try:
        yield team
    finally:
        _CURRENT.reset(token)
