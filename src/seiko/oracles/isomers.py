"""Nearness to a molecular formula, as a reward."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from seiko.domains.molecule_identity import rdkit_module
from seiko.errors import ParameterError
from seiko.oracles.modifiers import Gaussian, arithmetic_mean, geometric_mean
from seiko.oracles.similarity import molecule_of

_PART = re.compile(r"([A-Z][a-z]?)(\d*)")


def parse_formula(formula: str) -> dict[str, int]:
    """Atoms of each element.

    Raises:
        ParameterError: If the formula is not elements with counts, or names one twice or not at all.

    Example:
        >>> parse_formula("C9H10N2O2PF2Cl")
        {'C': 9, 'H': 10, 'N': 2, 'O': 2, 'P': 1, 'F': 2, 'Cl': 1}
    """
    parts = _PART.findall(formula)
    counts = {element: int(count or 1) for element, count in parts}
    if (
        not parts
        or "".join(map("".join, parts)) != formula
        or len(counts) < len(parts)
        or 0 in counts.values()
    ):
        raise ParameterError(f"A molecular formula is like 'C7H8N2O2'; got {formula!r}.")
    return counts


def atom_counts(smiles: str) -> Counter[str]:
    """Atoms of each element of a molecule, hydrogens included.

    Example:
        >>> sorted(atom_counts("CCO").items())
        [('C', 2), ('H', 6), ('O', 1)]
    """
    mol = rdkit_module().AddHs(molecule_of(smiles))
    return Counter(atom.GetSymbol() for atom in mol.GetAtoms())


@dataclass(frozen=True)
class Isomer:
    """How near a molecule is to a molecular formula, 1 for its isomers (Brown et al., GuacaMol, 2019).

    The mean of a Gaussian of width 1 for the atoms of each element of the formula and one of width 2 for the
    number of all atoms, hydrogens included.

    Args:
        formula: The formula.
        mean: "geometric", as in the benchmark of PMO, or "arithmetic".

    Raises:
        ParameterError: If the formula is none, or the mean is unknown.

    Example:
        >>> Isomer("C2H6O")("COC"), round(Isomer("C2H6O")("CO"), 4)
        (1.0, 0.404)
    """

    formula: str
    mean: Literal["geometric", "arithmetic"] = field(default="geometric", kw_only=True)

    def __post_init__(self) -> None:
        parse_formula(self.formula)
        if self.mean not in ("geometric", "arithmetic"):
            raise ParameterError(f"`mean` must be 'geometric' or 'arithmetic'; got {self.mean!r}.")

    def __call__(self, smiles: str) -> float:
        wanted, found = parse_formula(self.formula), atom_counts(smiles)
        scores = [Gaussian(count, 1.0)(found[element]) for element, count in wanted.items()]
        scores.append(Gaussian(sum(wanted.values()), 2.0)(found.total()))
        return geometric_mean(scores) if self.mean == "geometric" else arithmetic_mean(scores)
