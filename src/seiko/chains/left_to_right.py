"""Masked chains with a fixed order of reveal: step k writes position k, given all positions before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seiko import draws
from seiko.chain import rollout
from seiko.distributions import categorical_kl, gumbel
from seiko.errors import ParameterError, ShapeError
from seiko.typing import Condition

END = 0
"""The kind that ends a sequence; after it nothing else can stand."""


@dataclass(frozen=True)
class Fixed:
    """The law that always gives `state`, for states of integers."""

    state: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return self.state

    rsample = sample

    def log_prob(self, state: Tensor) -> Tensor:
        """0 for the state, -inf for any other, [batch]."""
        return _zero_if((state == self.state).flatten(1).all(1), -math.inf)

    def kl(self, other: Fixed) -> Tensor:
        """0, or inf between different states, [batch]."""
        return _zero_if((self.state == other.state).flatten(1).all(1), math.inf)


def _zero_if(true: Tensor, otherwise: float) -> Tensor:
    return torch.where(true, 0.0, otherwise)


@dataclass(frozen=True)
class NextKind:
    """One position of each row is written, by a categorical draw; the rest of the row stays.

    States are integers, through which no gradient can flow, so `rsample` is `sample`.

    Attributes:
        log_probs: Of each kind at the position, in nats, [batch, kinds]; -inf outside the support.
        state: The state before, [batch, length] integers.
        position: Which position is written, [batch].

    Example:
        >>> law = NextKind(torch.zeros(1, 4).log_softmax(-1), torch.tensor([[2, 4]]), torch.tensor([1]))
        >>> law.log_prob(torch.tensor([[2, 3]])), law.log_prob(torch.tensor([[1, 3]]))
        (tensor([-1.3863]), tensor([-inf]))
    """

    log_probs: Tensor
    state: Tensor
    position: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        drawn = gumbel(self.log_probs.detach(), generator).argmax(-1, keepdim=True)
        return self.state.scatter(1, self.position[:, None], drawn)

    rsample = sample

    def log_prob(self, state: Tensor) -> Tensor:
        """Log-probability of the next state in nats, [batch]; -inf where another position differs."""
        if state.shape != self.state.shape:
            raise ShapeError(f"`state` must have shape {list(self.state.shape)}; got {list(state.shape)}.")
        place = self.position[:, None]
        written = state.gather(1, place)
        same = (self.state.scatter(1, place, written) == state).all(1)
        possible = same & (written[:, 0] >= 0) & (written[:, 0] < self.log_probs.shape[1])
        found = self.log_probs.gather(1, written.clamp(0, self.log_probs.shape[1] - 1))[:, 0]
        return torch.where(possible, found, -math.inf)

    def kl(self, other: NextKind) -> Tensor:
        """Exact KL(self || other) in nats, [batch]; infinite where state or position differ."""
        same = (self.state == other.state).all(1) & (self.position == other.position)
        return torch.where(same, categorical_kl(self.log_probs, other.log_probs), math.inf)


class Reader(Protocol):
    """A network that reads from left to right, such as `seiko.networks.RecurrentSequence`."""

    kinds: int

    @property
    def head(self) -> nn.Module: ...
    def forward(self, previous: Tensor, lengths: Tensor) -> Tensor: ...
    def start(self, rows: int) -> Tensor: ...
    def read(self, state: Tensor, previous: Tensor) -> Tensor: ...


class Grammar(Protocol):
    """Which kinds can be written next, from what is written; it has no weights.

    ``before(rows)`` is whatever must be known of the kinds before each position, [batch, length + 1, ...];
    ``allowed`` says of such facts, [n, ...], which kinds fit, [n, kinds] bool, at least one in each row.
    """

    def before(self, rows: Tensor) -> Tensor: ...
    def allowed(self, before: Tensor) -> Tensor: ...


@dataclass
class _Memory:
    """What a network knew when `transition` was last asked, so that the next step reads one kind only.

    It changes no law: asked about anything else, the chain reads again from the start, the same way.
    """

    weights: tuple[Any, ...] = ()
    prefix: Tensor | None = None
    state: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> _Memory:
        return _Memory()

    def fits(self, weights: tuple[Any, ...], prefix: Tensor) -> bool:
        """Whether it is of these weights and of a beginning of these rows."""
        known = self.prefix
        return (
            known is not None
            and self.weights == weights
            and len(known) == len(prefix)
            and known.shape[1] <= prefix.shape[1]
            and torch.equal(known, prefix[:, : known.shape[1]])
        )


def _conditioned(condition: Any, row: Tensor, position: Tensor, fitting: Tensor | None) -> Tensor:
    """What may stand at (row, position): the end where it may stand from there on or nothing else can."""
    possible: Tensor = condition[row, position]
    if fitting is not None:
        possible = possible & fitting
    from_here = condition[..., END].flip(1).cumprod(1).flip(1).bool()[row, position]
    going_on = possible.clone()
    going_on[:, END] &= from_here
    return torch.where(going_on.any(1, keepdim=True), going_on, possible)


class LeftToRight(nn.Module):
    """An autoregressive model as a chain: masked diffusion whose order of reveal is fixed.

    A state is one integer a position: a kind, or `kinds` while it is masked. Step k draws the kind at
    position k; kind 0 ends a row and the rest of it is 0 as well. Step laws, path divergences and
    ``log p(row)`` are exact, and one pass over whole rows trains every position (`loss`).

    A rollout costs one read a step and row that has not ended: the chain remembers what the network knew at
    the last step. This is a memory only, bit for bit without effect on any law. Steps with gradients, and
    pairs of steps and rows, are read anew, all rows at once.

    Args:
        network: Reads the row; see `Reader`.
        length: Positions, and steps.
        grammar: Restricts the law of every step, as a condition does.

    Shape:
        state: [batch, length] integers.
        condition: Which kinds may stand where, [batch, length, kinds] bool, None for all; laws are
            restricted to them and normalised. A given position allows one kind. A given beginning is exact;
            what is given further on is kept unless grammar and condition leave nothing but to end before it.

    Raises:
        ParameterError: If the length is below 1.

    Example:
        >>> from seiko.chain import sample
        >>> from seiko.networks import RecurrentSequence
        >>> chain = LeftToRight(RecurrentSequence(5, width=8, embedding=4), length=6)
        >>> sample(chain, 2, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2, 6])
    """

    def __init__(self, network: Reader, length: int, grammar: Grammar | None = None) -> None:
        super().__init__()
        if length < 1:
            raise ParameterError(f"`length` must be at least 1; got {length}.")
        self.network: Any = network
        self.num_steps = length
        self.grammar = grammar
        self._memory = _Memory()

    def initial(self, batch_size: int, condition: Condition = None) -> Fixed:
        """Everything masked."""
        shape = (batch_size, self.num_steps)
        device = self.network.head.weight.device
        return Fixed(torch.full(shape, self.network.kinds, dtype=torch.int64, device=device))

    def transition(self, state: Any, step: int | Tensor, condition: Condition = None) -> NextKind:
        """The law of the next state: of one position."""
        position = torch.as_tensor(step, device=state.device).expand(len(state))
        ended = self._ended(state, position)
        going = (~ended).nonzero()[:, 0]
        logits = self.network.head(self._known(state, step, position, ended)[going])
        over = logits.new_full((len(state), self.network.kinds), -torch.inf)
        over[:, END] = 0
        if len(going) == 0:
            return NextKind(over, state, position)
        place = position[going]
        fitting = self._fitting(state[going], torch.arange(len(going), device=state.device), place)
        log_probs = self._restricted(logits, fitting, going, place, condition).log_softmax(-1)
        return NextKind(over.index_copy(0, going, log_probs), state, position)

    @staticmethod
    def _ended(state: Tensor, position: Tensor) -> Tensor:
        """Whether the kind before the position is the end, [batch]."""
        before = state.gather(1, (position - 1).clamp_min(0)[:, None])[:, 0]
        return (before == END) & (position > 0)

    def _known(self, state: Tensor, step: int | Tensor, position: Tensor, ended: Tensor) -> Tensor:
        """What the network knows at the position, [batch, width]; anything where the row has ended."""
        graph = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        if isinstance(step, int) and not graph:
            return self._remembered(state, step)
        lengths = torch.where(ended, 1, position + 1)
        known = self.network(self._previous(state)[:, : int(lengths.max())], lengths)
        return known[torch.arange(len(state), device=state.device), lengths - 1]

    @torch.no_grad()
    def _remembered(self, state: Tensor, step: int) -> Tensor:
        memory, prefix = self._memory, state[:, :step]
        weights = tuple((p.data_ptr(), p._version) for p in self.parameters())
        # A rollout starts anew, whatever has become of the weights meanwhile.
        if step == 0 or memory.state is None or not memory.fits(weights, prefix):
            first = torch.full((len(state),), self.network.kinds, device=state.device)
            memory = _Memory(weights, prefix[:, :0], self.network.read(self.network.start(len(state)), first))
        assert memory.prefix is not None and memory.state is not None
        known = memory.state
        for position in range(memory.prefix.shape[1], step):
            going = (prefix[:, position] != END).nonzero()[:, 0]
            if len(going):
                read = self.network.read(known[:, going].contiguous(), prefix[going, position])
                known = known.index_copy(1, going, read)
        self._memory = _Memory(weights, prefix.clone(), known)
        return known[-1]

    def _previous(self, rows: Tensor) -> Tensor:
        """The kind before each position, [batch, length]."""
        return torch.cat([torch.full_like(rows[:, :1], self.network.kinds), rows[:, :-1]], 1)

    @torch.no_grad()
    def variations(
        self, clean: Any, condition: Condition = None, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Any, Condition]]:
        """Rows whose last half, quarter, ... or last kind is written anew, as often the one as the other.

        More is where condition or grammar forbid what would be kept, or the row is longer than the chain's.
        """
        clean = clean[:, : self.num_steps]
        lengths = self._lengths(clean)
        halvings = lengths.double().log2().long().clamp_min(1)
        share = draws.rand(lengths.shape, clean.device, generator)
        level = (share * halvings).long() + 1
        kept = lengths - (lengths >> level).clamp_min(1)
        same = nn.functional.one_hot(clean.clamp_max(self.network.kinds - 1), self.network.kinds).bool()
        possible: Any = torch.ones_like(same) if condition is None else condition
        keeps = torch.arange(self.num_steps, device=clean.device) < kept[:, None]
        fits = same & possible
        if self.grammar is not None:
            fits &= self.grammar.allowed(self.grammar.before(clean)[:, :-1].flatten(0, 1)).view_as(same)
        keeps &= fits.any(-1).cumprod(1).bool()
        given = torch.where(keeps[..., None], same, possible)
        for step in rollout(self, len(clean), condition=given, generator=generator):
            state = step.next_state
        yield state, condition

    def _lengths(self, rows: Tensor) -> Tensor:
        """Positions up to the end, it included, [batch]."""
        return 1 + (rows != END).cumprod(1).sum(1).clamp_max(rows.shape[1] - 1)

    def loss(
        self, data: Any, condition: Condition = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """``-log p(row)``, exact, in nats, [batch]; nothing is drawn.

        Args:
            data: Whole rows, [batch, length] integers, 0 from the end on.
            condition: As everywhere.
            generator: Not used.
        """
        log_probs, written, row = self.log_probs(data, condition)
        lost = nn.functional.nll_loss(log_probs, written, reduction="none")
        return lost.new_zeros(len(data)).index_add(0, row, lost)

    def log_probs(self, data: Any, condition: Condition = None) -> tuple[Tensor, Tensor, Tensor]:
        """Of every kind at each place up to the rows' ends, [n, kinds]; the kind there, and the row, [n]."""
        lengths = self._lengths(data)
        longest = int(lengths.max())
        rows = data[:, :longest]
        known = self.network(self._previous(rows), lengths)
        wanted = torch.arange(longest, device=data.device) < lengths[:, None]
        row, position = wanted.nonzero(as_tuple=True)
        fitting = self._fitting(rows, row, position)
        logits = self._restricted(self.network.head(known[wanted]), fitting, row, position, condition)
        return logits.log_softmax(-1), rows[wanted], row

    def _fitting(self, rows: Tensor, row: Tensor, position: Tensor) -> Tensor | None:
        """Which kinds the grammar allows at (row, position) pairs, [n, kinds] bool; None without one."""
        if self.grammar is None:
            return None
        before = self.grammar.before(rows[:, : int(position.max())])
        return self.grammar.allowed(before[row, position])

    @staticmethod
    def _restricted(
        logits: Tensor, fitting: Tensor | None, row: Tensor, position: Tensor, condition: Condition
    ) -> Tensor:
        """Logits [n, kinds] of (row, position) pairs, -inf where grammar or condition forbids a kind."""
        allowed = fitting if condition is None else _conditioned(condition, row, position, fitting)
        if allowed is None:
            return logits
        if not allowed.any(1).all():
            place = int((~allowed.any(1)).nonzero()[0, 0])
            raise ParameterError(
                f"The condition of row {int(row[place])} allows no kind at position {int(position[place])}.",
                hint="Allow at least one kind at every position that fits to those before it.",
            )
        return logits.masked_fill(~allowed, -torch.inf)
