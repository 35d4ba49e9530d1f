"""SMILES as a sequence of fragments: the codec between rows of kinds and molecules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from seiko.domains.molecule_identity import INVALID, UNREADABLE, parsed, rdkit_module, readable
from seiko.errors import ParameterError, ShapeError
from seiko.typing import Condition, State

ATOM = re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|.")
"""One symbol of a SMILES: an atom, a bond, a branch, a ring digit."""

RING = re.compile(r"\d|%\d\d")
"""A symbol that opens a ring, or closes it."""


@dataclass(frozen=True)
class SmilesTokens:
    """Codec between SMILES and rows of kinds [length]: kind 0 ends a row, kind k is ``tokens[k - 1]``.

    A token is one or several neighbouring symbols of a SMILES. A SMILES is read from left to right, always
    the longest token that fits; a row is decoded by joining its tokens.

    Args:
        tokens: All tokens, each symbol of them among them.
        length: Positions, the end included.
        kekule: Write alternating single and double bonds in place of aromatic atoms (`kekulized`): then a
            molecule is what its bonds say, and no ring can be written that has no such bonds.

    Raises:
        ParameterError: If the tokens are empty, repeated, or lack a symbol that one of them holds.

    Example:
        >>> codec = SmilesTokens(("C", "O", "(", ")", "=", "CC", "C(=O)"), length=4)
        >>> codec.encode(["CCC(=O)O"]).tolist()
        [[6, 7, 2, 0]]
        >>> codec.decode(torch.tensor([[6, 7, 2, 0], [3, 0, 0, 0], [6, 6, 6, 6]]))
        ['CCC(=O)O', 'invalid: RDKit cannot read it', 'invalid: it does not end within 4 tokens']
    """

    tokens: tuple[str, ...]
    length: int
    kekule: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(self.tokens))
        if not self.tokens or len(set(self.tokens)) < len(self.tokens) or self.length < 2:
            raise ParameterError(
                f"`tokens` must be different strings and `length` at least 2; got {len(self.tokens)} tokens, "
                f"{len(set(self.tokens))} of them different, and length {self.length}."
            )
        symbols = {symbol for token in self.tokens for symbol in ATOM.findall(token)}
        if missing := sorted(symbols - set(self.tokens)):
            raise ParameterError(f"The symbols {missing} stand in tokens but are no tokens themselves.")

    @property
    def kinds(self) -> int:
        """Kinds of a position: the end and the tokens."""
        return len(self.tokens) + 1

    @cached_property
    def _kind_of(self) -> dict[str, int]:
        return {token: kind for kind, token in enumerate(self.tokens, 1)}

    @cached_property
    def _symbols(self) -> dict[str, list[str]]:
        return {token: ATOM.findall(token) for token in self.tokens}

    @cached_property
    def _longest(self) -> re.Pattern[str]:
        return re.compile("|".join(map(_whole, sorted(self.tokens, key=len, reverse=True))))

    def split(self, smiles: str) -> list[str]:
        """The tokens of a SMILES, or an empty list where some part of it is no token.

        Example:
            >>> SmilesTokens(("C", "Cl", "CC"), length=4).split("CCCl")
            ['CC', 'Cl']
        """
        found = self._longest.findall(smiles)
        return found if "".join(found) == smiles else []

    def encode(self, smiles: Sequence[str], *, skip: bool = False) -> Tensor:
        """Rows of kinds, int64 [n, length], of SMILES in the spelling given, `kekulized` if wanted.

        Args:
            smiles: n molecules.
            skip: Leave out what has unknown symbols or too many tokens.

        Raises:
            ParameterError: If a molecule cannot be written so and `skip` is off; names row and SMILES.
        """
        rows = []
        for number, text in enumerate(smiles):
            found = self.split(kekulized(text) if self.kekule else text)
            if 0 < len(found) < self.length:
                rows.append([self._kind_of[token] for token in found] + [0] * (self.length - len(found)))
            elif not skip:
                reason = f"{len(found)} tokens, at most {self.length - 1} fit" if found else "unknown symbols"
                raise ParameterError(
                    f"Row {number}, {text!r}, cannot be written with these tokens: {reason}.",
                    hint="Leave it out, or pass skip=True.",
                )
        return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), self.length)

    def text(self, row: Sequence[int]) -> str | None:
        """The tokens of a row joined up to its end, None where it has no end."""
        kinds = list(row)
        if 0 not in kinds:
            return None
        return "".join(self.tokens[kind - 1] for kind in kinds[: kinds.index(0)])

    def decode(self, state: State, condition: Condition = None) -> list[str]:
        """Canonical SMILES of each row, or ``"invalid: "`` and the reason.

        The molecule is what RDKit reads: a stereo mark where there is no stereocentre says nothing.

        Raises:
            ShapeError: If the state is not rows of kinds of this length, or fewer.
        """
        if not isinstance(state, Tensor) or state.ndim != 2:
            raise ShapeError(f"A state must be rows of kinds [batch, {self.length}]; got {type(state)}.")
        return [self._molecule(row) for row in state.tolist()]

    def _molecule(self, row: Sequence[int]) -> str:
        if any(kind > len(self.tokens) for kind in row):
            return f"{INVALID}it is not written to its end"
        text = self.text(row)
        if text is None:
            return f"{INVALID}it does not end within {len(row)} tokens"
        mol = parsed(text)
        if mol is None or not mol.GetNumAtoms():
            return f"{INVALID}{'empty' if not text else UNREADABLE}"
        return str(rdkit_module().MolToSmiles(mol))

    def beginning(self, smiles: str) -> Tensor:
        """The condition under which a row's SMILES begins with `smiles`: [1, length, kinds] bool.

        The last token of the beginning may be a longer one that starts with it, as it would be in the SMILES
        of a whole molecule.

        Raises:
            ParameterError: If it has unknown symbols or leaves no room.
        """
        found = self.split(smiles)
        if not 0 < len(found) < self.length - 1:
            raise ParameterError(
                f"{smiles!r} cannot begin a row of {self.length} tokens: it has {len(found)} known ones."
            )
        allowed = torch.ones(1, self.length, self.kinds, dtype=torch.bool)
        for position, token in enumerate(found):
            symbols = ATOM.findall(token)
            longer = position == len(found) - 1
            fits = [
                t == token or (longer and self._symbols[t][: len(symbols)] == symbols) for t in self.tokens
            ]
            allowed[0, position] = torch.tensor([False, *fits])
        return allowed


def kekulized(smiles: str) -> str:
    """A SMILES of the same molecule, from the same first atom on, without aromatic atoms.

    Example:
        >>> kekulized("Oc1ccccc1")
        'OC1=CC=CC=C1'
    """
    mol = readable(smiles)
    rdkit_module().Kekulize(mol, clearAromaticFlags=True)
    return str(rdkit_module().MolToSmiles(mol, kekuleSmiles=True, rootedAtAtom=0))


def respelled(smiles: str, rng: np.random.Generator) -> str:
    """A SMILES of the same molecule that starts at a random atom: another part of it stands at the end.

    Example:
        >>> respelled("CCO", np.random.default_rng(0))
        'OCC'
    """
    mol = readable(smiles)
    return str(rdkit_module().MolToSmiles(mol, rootedAtAtom=int(rng.integers(mol.GetNumAtoms()))))


def _whole(token: str) -> str:
    """A pattern of the token that does not cut a chlorine or a bromine in two."""
    follows = {"C": "(?!l)", "B": "(?!r)"}.get(token[-1], "")
    return re.escape(token) + follows


def learn_tokens(smiles: Sequence[str], size: int, *, least: int = 20) -> tuple[str, ...]:
    """Tokens by byte-pair encoding of symbols (Sennrich et al. 2016; for SMILES Li & Fourches 2021).

    All symbols that are frequent enough, then again and again the pair of neighbours that is most frequent.

    Args:
        smiles: The molecules.
        size: Number of tokens.
        least: How often a symbol must occur.

    Example:
        >>> learn_tokens(["CCO", "CCC", "CCN"], 4, least=1)
        ('C', 'N', 'O', 'CC')
    """
    rows = [ATOM.findall(text) for text in smiles]
    counts = Counter(symbol for row in rows for symbol in row)
    tokens = sorted(symbol for symbol, count in counts.items() if count >= least)
    known = set(tokens)
    rows = [row for row in rows if known.issuperset(row)]
    pairs = Counter(pair for row in rows for pair in pairwise(row))
    while len(tokens) < size and pairs:
        (first, second), _ = pairs.most_common(1)[0]
        if first + second not in known:
            tokens.append(first + second)
            known.add(first + second)
        for number, row in enumerate(rows):
            if (first, second) in pairwise(row):
                pairs.subtract(pairwise(row))
                rows[number] = _merged(row, first, second)
                pairs.update(pairwise(rows[number]))
        del pairs[first, second]
    return tuple(tokens)


def _merged(row: list[str], first: str, second: str) -> list[str]:
    """A row with each neighbouring pair joined, from left to right."""
    joined: list[str] = []
    open_first = False
    for token in row:
        if open_first and token == second:
            joined[-1] = first + second
            open_first = False
        else:
            joined.append(token)
            open_first = token == first
    return joined
