"""Which tokens may follow in a SMILES: syntax, rings and valences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seiko.domains.molecule_identity import rdkit_module
from seiko.domains.molecule_tokens import ATOM, RING
from seiko.errors import ParameterError

ORDERS: Mapping[str, int] = {"-": 1, "/": 1, "\\": 1, ":": 1, "=": 2, "#": 3}
"""Bond symbols; a bond without a symbol counts 1."""

UNLIMITED = 99


class SmilesGrammar:
    """Rows of SMILES tokens that close what they open and give each atom bonds that it can have.

    An automaton over what must be known of a beginning (`Written`): its states are numbered as they are met,
    and what may follow a state is worked out once. A row can end only where nothing is open, and no token is
    allowed after which it could never end. A ring's bond is single at both of its ends.

    Args:
        tokens: Of `SmilesTokens`; kind k is ``tokens[k - 1]``, kind 0 the end.
        valences: The bond orders that an atom symbol can have in all, hydrogens not counted (`bond_orders`).
            The largest is the most; in square brackets, where no hydrogens are implied, a single one must be
            reached. A symbol that is not named has no limit.

    Raises:
        ParameterError: If some rows could never end: no token is an atom that can have four bonds, or an
            atom must have several and no branch can be written.

    Example:
        >>> grammar = SmilesGrammar(("C", "F", "(", ")", "1", "="), {"C": [1, 2, 3, 4], "F": [1]})
        >>> before = grammar.before(torch.tensor([[1, 3, 2]]))[0]  # C(F
        >>> [[t for t, fits in zip(grammar.tokens, row[1:]) if fits] for row in grammar.allowed(before)]
        [['C', 'F'], ['C', 'F', '(', '1', '='], ['C', 'F', '='], [')']]
    """

    def __init__(self, tokens: Sequence[str], valences: Mapping[str, Sequence[int]] | None = None) -> None:
        self.tokens = tuple(tokens)
        self._symbols = [ATOM.findall(token) for token in self.tokens]
        self._valences = {
            symbol: -orders[0] if symbol.startswith("[") and len(orders) == 1 else max(orders)
            for symbol, orders in (valences or {}).items()
        }
        if not any(_is_atom(token) and self._valences.get(token, UNLIMITED) >= 4 for token in self.tokens):
            raise ParameterError(
                "A grammar needs a token that is an atom of four bonds, such as C; without, some rows could "
                f"never end. Given were {len(self.tokens)} tokens."
            )
        must = sorted(symbol for symbol, order in self._valences.items() if order < -1)
        if must and not {"(", ")"} <= set(self.tokens):
            raise ParameterError(
                f'{must[0]} must have several bonds, which needs the tokens "(" and ")".',
                hint="Add them, or leave such atoms out of `valences`.",
            )
        self._beginnings = _Trie()
        for kind, symbols in enumerate(self._symbols, 1):
            self._beginnings.add(symbols, kind)
        self._states: list[Written | None] = [None, Written()]
        self._numbers: dict[Written | None, int] = {state: k for k, state in enumerate(self._states)}
        self._next: list[dict[int, int]] = [{}, {}]
        self._fitting = torch.zeros(0, len(self.tokens) + 1, dtype=torch.bool)

    def __deepcopy__(self, memo: dict[int, Any]) -> SmilesGrammar:
        return self  # what was worked out holds for every chain that has this grammar

    def before(self, rows: Tensor) -> Tensor:
        """The state before each position and after the last, [batch, length + 1] integers.

        The end and the mask change nothing; 0 stands for a row that has broken the grammar.
        """
        numbers = []
        for row in rows.tolist():
            state = 1
            passed = [state]
            for kind in row:
                following = self._next[state].get(kind)
                state = self._after(state, kind) if following is None else following
                passed.append(state)
            numbers.append(passed)
        return torch.tensor(numbers, device=rows.device).reshape(len(rows), rows.shape[1] + 1)

    def allowed(self, before: Tensor) -> Tensor:
        """Which kinds fit after these states, [n, kinds] bool; after a broken row the end alone."""
        if len(self._fitting) < len(self._states):
            new = [self._fits(state) for state in self._states[len(self._fitting) :]]
            self._fitting = torch.cat([self._fitting, torch.tensor(new)])
        return self._fitting.to(before.device)[before]

    def _after(self, number: int, kind: int) -> int:
        state = self._states[number]
        if 0 < kind <= len(self.tokens):
            state = self._then(state, self._symbols[kind - 1])
        found = self._numbers.setdefault(state, len(self._states))
        if found == len(self._states):
            self._states.append(state)
            self._next.append({})
        self._next[number][kind] = found
        return found

    def _then(self, state: Written | None, symbols: Sequence[str]) -> Written | None:
        for symbol in symbols:
            if state is None:
                return None
            state = state.then(symbol, self._valences)
        return state

    def _fits(self, state: Written | None) -> list[bool]:
        fits = [state is None or state.may_end] + [False] * len(self.tokens)
        if state is not None:
            self._walk(state, self._beginnings, fits)
        return fits

    def _walk(self, state: Written, beginnings: _Trie, fits: list[bool]) -> None:
        """Mark the tokens that fit, each symbol that several of them begin with looked at once."""
        for symbol, longer in beginnings.longer.items():
            after = state.then(symbol, self._valences)
            if after is not None:
                if longer.kind:
                    fits[longer.kind] = after.leads_on
                self._walk(after, longer, fits)


@dataclass
class _Trie:
    """Tokens by their symbols."""

    kind: int = 0
    longer: dict[str, _Trie] = field(default_factory=dict)

    def add(self, symbols: Sequence[str], kind: int) -> None:
        place = self
        for symbol in symbols:
            place = place.longer.setdefault(symbol, _Trie())
        place.kind = kind


class Atom(NamedTuple):
    """An atom that is still written at.

    Attributes:
        left: Bond order left: above 0 as much may be used, below as much must be.
        own: Open ring symbols that it opened.
    """

    left: int
    own: frozenset[str] = frozenset()


class Written(NamedTuple):
    """What must be known of the beginning of a SMILES.

    Attributes:
        stack: The last atom, and under it those whose branch is open.
        opened: Whether a branch was opened and has no atom yet.
        pending: Order of a bond symbol that waits for its atom; 0 for none.
        rings: Ring symbols that are open.
    """

    stack: tuple[Atom, ...] = ()
    opened: bool = False
    pending: int = 0
    rings: frozenset[str] = frozenset()

    @property
    def may_end(self) -> bool:
        waits = self.opened or self.pending or self.rings
        return not waits and len(self.stack) == 1 and self.stack[0].left >= 0

    @property
    def leads_on(self) -> bool:
        """Whether it can be written to an end: open rings need an atom that can be bound."""
        return not self.rings or self.opened or self.pending > 0 or any(atom.left for atom in self.stack)

    def then(self, symbol: str, valences: Mapping[str, int]) -> Written | None:
        """With one symbol more; None where it does not fit."""
        if _is_atom(symbol):
            return self._atom(valences.get(symbol, UNLIMITED))
        if not self.stack or self.pending > 1 or symbol == ".":
            return None
        if symbol in ORDERS:
            after = None if self.pending else _left(self.stack[-1].left, ORDERS[symbol])
            possible = after is not None and (after >= 0 or self.opened)
            return self._replace(pending=ORDERS[symbol]) if possible else None
        if self.opened:
            return None
        return self._ring(symbol) if RING.fullmatch(symbol) else self._bracket(symbol)

    def _atom(self, valence: int) -> Written | None:
        if not self.stack:
            return Written((Atom(valence),))
        order, last = self.pending or 1, self.stack[-1]
        after, before = _left(valence, order), _left(last.left, order)
        if after is None or before is None or (before < 0 and not self.opened):
            return None
        kept = (*self.stack[:-1], last._replace(left=before)) if self.opened else self.stack[:-1]
        return Written((*kept, Atom(after)), rings=self.rings)

    def _ring(self, symbol: str) -> Written | None:
        last = self.stack[-1]
        after = _left(last.left, 1)
        if after is None or symbol in last.own:
            return None
        stack = (*self.stack[:-1], last._replace(left=after))
        one = frozenset({symbol})
        if symbol in self.rings:
            stack = tuple(atom._replace(own=atom.own - one) for atom in stack)
            return Written(stack, rings=self.rings - one)
        return Written((*stack[:-1], Atom(after, last.own | one)), rings=self.rings | one)

    def _bracket(self, symbol: str) -> Written | None:
        last = self.stack[-1]
        if self.pending:
            return None
        if symbol == "(":
            return self._replace(opened=True) if last.left else None
        return self._replace(stack=self.stack[:-1]) if len(self.stack) > 1 and last.left >= 0 else None


def bond_orders(smiles: Iterable[str]) -> dict[str, list[int]]:
    """The bond orders that each atom symbol has in all in these SMILES, hydrogens not counted.

    Aromatic atoms are left out: what bonds they have is not said there.

    Example:
        >>> bond_orders(["CC(=O)O", "C[NH3+]", "c1ccsc1C"])
        {'C': [1, 4], 'O': [1, 2], '[NH3+]': [1]}
    """
    chem = rdkit_module()
    reading = chem.SmilesParserParams()
    reading.sanitize = reading.removeHs = False
    found: dict[str, set[int]] = {}
    for text in smiles:
        atoms = chem.MolFromSmiles(text, reading).GetAtoms()
        for symbol, atom in zip(filter(_is_atom, ATOM.findall(text)), atoms, strict=True):
            if not atom.GetIsAromatic():
                order = sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds())
                found.setdefault(symbol, set()).add(int(order))
    return {symbol: sorted(orders) for symbol, orders in sorted(found.items())}


def _left(order: int, used: int) -> int | None:
    """The bond order left after a bond; None where there is not so much."""
    if order == UNLIMITED or used == 0:
        return order
    if abs(order) < used:
        return None
    return order - used if order > 0 else order + used


def _is_atom(symbol: str) -> bool:
    return symbol not in ORDERS and symbol not in ("(", ")", ".") and not RING.fullmatch(symbol)
