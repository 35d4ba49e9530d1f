"""Filters a chemist sets: checks of an RDKit molecule that answer "" or the reason of a refusal.

They make a design infeasible before it is asked for, so they cost no query.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from seiko.domains.molecule_identity import rdkit_module
from seiko.domains.molecule_properties import molecule_property
from seiko.errors import ParameterError

Check = Callable[[Any], str | bool]
"""Of an RDKit molecule: "" or True where it passes, the reason or False where it does not."""


@lru_cache(maxsize=4096)
def smarts(pattern: str) -> Any:
    """The RDKit query of a SMARTS pattern.

    Raises:
        ParameterError: If RDKit cannot read it.
    """
    with rdkit_module("rdkit.rdBase").BlockLogs():
        query = rdkit_module().MolFromSmarts(pattern) if isinstance(pattern, str) else None
    if query is None or not query.GetNumAtoms():
        raise ParameterError(f"RDKit cannot read the SMARTS pattern {pattern!r}.")
    return query


@dataclass(frozen=True)
class Alerts:
    """Refuses molecules that match any of some SMARTS patterns.

    Args:
        patterns: SMARTS by name.

    Raises:
        ParameterError: If RDKit cannot read a pattern.

    Example:
        >>> from seiko.domains.molecule_identity import readable
        >>> alerts = Alerts({"nitro": "[N+](=O)[O-]", "aldehyde": "[CX3H1](=O)[#6]"})
        >>> alerts(readable("CCO")), alerts(readable("CC=O"))
        ('', 'aldehyde')
    """

    patterns: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "patterns", dict(self.patterns))
        for pattern in self.patterns.values():
            smarts(pattern)

    def __call__(self, mol: Any) -> str:
        return next((name for name, text in self.patterns.items() if mol.HasSubstructMatch(smarts(text))), "")


CATALOGS = ("PAINS", "PAINS_A", "PAINS_B", "PAINS_C", "BRENK", "NIH", "ZINC")


@lru_cache(maxsize=len(CATALOGS))
def _catalog(name: str) -> Any:
    module = rdkit_module("rdkit.Chem.FilterCatalog")
    kinds = module.FilterCatalogParams.FilterCatalogs
    return module.FilterCatalog(module.FilterCatalogParams(getattr(kinds, name)))


@dataclass(frozen=True)
class Catalog:
    """Refuses molecules that match a published list of alerts, as RDKit holds it.

    Args:
        name: One of `CATALOGS`. PAINS: Baell and Holloway, J. Med. Chem. 53:2719 (2010). BRENK: Brenk et al.,
            ChemMedChem 3:435 (2008). NIH: Jadhav et al., J. Med. Chem. 53:37 (2010). ZINC: the filters of the
            ZINC database.

    Raises:
        ParameterError: If there is no such list.

    Example:
        >>> from seiko.domains.molecule_identity import readable
        >>> Catalog()(readable("O=C1C=CC(=O)C=C1"))
        'quinone_A(370)'
    """

    name: str = "PAINS"

    def __post_init__(self) -> None:
        if self.name not in CATALOGS:
            raise ParameterError(f"There is no list {self.name!r}; there are {', '.join(CATALOGS)}.")

    def __call__(self, mol: Any) -> str:
        match = _catalog(self.name).GetFirstMatch(mol)
        return match.GetDescription() if match else ""


@dataclass(frozen=True)
class PropertyRange:
    """Refuses molecules with a property outside ``[low, high]``; both ends belong to the range.

    Args:
        name: One of `seiko.domains.molecule_properties.PROPERTIES`.
        low, high: Ends of the range; None for an open end.

    Raises:
        ParameterError: If there is no such property, no end is given, or they are in the wrong order.

    Example:
        >>> from seiko.domains.molecule_identity import readable
        >>> PropertyRange("weight", high=40)(readable("CCO"))
        'weight 46.069 is above 40'
    """

    name: str
    low: float | None = field(default=None, kw_only=True)
    high: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        molecule_property(self.name)
        if self.low is None and self.high is None:
            raise ParameterError(f"A range of {self.name} needs `low`, `high` or both.")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ParameterError(
                f"A range of {self.name} needs low <= high; got {self.low!r} and {self.high!r}."
            )

    def __call__(self, mol: Any) -> str:
        value = molecule_property(self.name)(mol)
        if self.low is not None and value < self.low:
            return f"{self.name} {value:.5g} is below {self.low:g}"
        return (
            f"{self.name} {value:.5g} is above {self.high:g}"
            if self.high is not None and value > self.high
            else ""
        )


@dataclass(frozen=True)
class RingSizes:
    """Refuses molecules with a ring of another size than those allowed.

    Rings are RDKit's symmetrised smallest ones, so a fused system counts by its smallest rings.

    Raises:
        ParameterError: If a size is below 3.

    Example:
        >>> from seiko.domains.molecule_identity import readable
        >>> RingSizes((5, 6))(readable("C1CC1")), RingSizes((5, 6))(readable("c1ccc2[nH]ccc2c1"))
        ('a ring of 3 atoms', '')
    """

    sizes: Collection[int] = (5, 6)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", frozenset(self.sizes))
        if any(size < 3 for size in self.sizes):
            raise ParameterError(f"Ring sizes must be at least 3; got {sorted(self.sizes)}.")

    def __call__(self, mol: Any) -> str:
        wrong = [len(ring) for ring in mol.GetRingInfo().AtomRings() if len(ring) not in self.sizes]
        return f"a ring of {wrong[0]} atoms" if wrong else ""


@dataclass(frozen=True)
class Contains:
    """Refuses molecules that lack a substructure, given as SMARTS: a scaffold that must be kept.

    Raises:
        ParameterError: If RDKit cannot read the pattern.

    Example:
        >>> from seiko.domains.molecule_identity import readable
        >>> Contains("c1ccccc1")(readable("CCO"))
        'c1ccccc1 is absent'
    """

    pattern: str

    def __post_init__(self) -> None:
        smarts(self.pattern)

    def __call__(self, mol: Any) -> str:
        return "" if mol.HasSubstructMatch(smarts(self.pattern)) else f"{self.pattern} is absent"


RULE_OF_FIVE: Mapping[str, Check] = {
    "weight": PropertyRange("weight", high=500),
    "logP": PropertyRange("logp", high=5),
    "donors": PropertyRange("donors", high=5),
    "acceptors": PropertyRange("acceptors", high=10),
}
"""Lipinski et al., Adv. Drug Deliv. Rev. 23:3 (1997), with none of the four violated."""


def first_refusal(mol: Any, filters: Mapping[str, Check]) -> str:
    """``"filter NAME"`` of the first refusal, with the check's reason; "" if there is none."""
    for name, check in filters.items():
        answer = check(mol)
        if isinstance(answer, str):
            if answer:
                return f"filter {name}: {answer}"
        elif not answer:
            return f"filter {name}"
    return ""
