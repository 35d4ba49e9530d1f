"""Likeness to given molecules, as rewards: similarity, rediscovery, medians of two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from seiko.domains.molecule_identity import parsed, rdkit_module
from seiko.errors import ParameterError
from seiko.oracles.modifiers import Modifier, geometric_mean


def molecule_of(smiles: str) -> Any:
    """The RDKit molecule of a SMILES string.

    Raises:
        ParameterError: If RDKit cannot read it, or it has no atom.
    """
    mol = parsed(smiles) if isinstance(smiles, str) else None
    if mol is None or not mol.GetNumAtoms():
        raise ParameterError(
            f"A reward needs a SMILES string that RDKit can read, with at least one atom; got {smiles!r}.",
            hint="Ask only for designs that `domain.is_valid` accepts, or tell them as infeasible.",
        )
    return mol


@cache
def _generators() -> Any:
    return rdkit_module("rdkit.Chem.rdFingerprintGenerator")


@cache
def _morgan(radius: int, roles: bool) -> Any:
    kinds = {"atomInvariantsGenerator": _generators().GetMorganFeatureAtomInvGen()} if roles else {}
    return _generators().GetMorganGenerator(radius=radius, **kinds)


@cache
def _pairs() -> Any:
    return _generators().GetAtomPairGenerator(maxDistance=10)


def _pharmacophore(mol: Any) -> Any:
    factory = rdkit_module("rdkit.Chem.Pharm2D.Gobbi_Pharm2D").factory
    return rdkit_module("rdkit.Chem.Pharm2D.Generate").Gen2DFingerprint(mol, factory)


FINGERPRINTS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "ECFP4": lambda mol: _morgan(2, False).GetSparseCountFingerprint(mol),
        "ECFP6": lambda mol: _morgan(3, False).GetSparseCountFingerprint(mol),
        "FCFP4": lambda mol: _morgan(2, True).GetSparseCountFingerprint(mol),
        "AP": lambda mol: _pairs().GetSparseCountFingerprint(mol),
        "PHCO": _pharmacophore,
    }
)
"""Fingerprints by the names of GuacaMol. ECFP and FCFP are unfolded counts of Morgan environments of radius
2 or 3 (Rogers and Hahn, 2010), by atoms or by pharmacophoric roles; AP counts pairs of atoms up to 10 bonds
apart (Carhart et al., 1985); PHCO are bits of pharmacophoric pairs and triples (Gobbi, Poppinger, 1998)."""


@lru_cache(maxsize=4096)
def fingerprint(smiles: str, name: str) -> Any:
    """One of `FINGERPRINTS` of a SMILES.

    Raises:
        ParameterError: If there is no such fingerprint, or RDKit cannot read the SMILES.
    """
    if name not in FINGERPRINTS:
        raise ParameterError(
            f"There is no fingerprint {name!r}.", hint=f"There are {', '.join(FINGERPRINTS)}."
        )
    return FINGERPRINTS[name](molecule_of(smiles))


def tanimoto(first: str, second: str, name: str = "ECFP4") -> float:
    """``sum min(x, y) / sum max(x, y)`` of two molecules' fingerprints, in [0, 1].

    Example:
        >>> tanimoto("CCO", "OCC"), round(tanimoto("CCO", "CCN"), 4)
        (1.0, 0.3333)
    """
    similarity = rdkit_module("rdkit.DataStructs").TanimotoSimilarity
    return float(similarity(fingerprint(first, name), fingerprint(second, name)))


@dataclass(frozen=True)
class Similarity:
    """Tanimoto similarity to one molecule; without a modifier 1 only for what has the same fingerprint.

    Args:
        target: SMILES of the molecule.
        fingerprint: One of `FINGERPRINTS`.
        modifier: Applied to the similarity; ``Threshold(0.75)`` makes .75 enough.

    Raises:
        ParameterError: If the target cannot be read or there is no such fingerprint.

    Example:
        >>> Similarity("CCO")("OCC")
        1.0
    """

    target: str
    fingerprint: str = field(default="ECFP4", kw_only=True)
    modifier: Modifier | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        fingerprint(self.target, self.fingerprint)

    def __call__(self, smiles: str) -> float:
        value = tanimoto(smiles, self.target, self.fingerprint)
        return self.modifier(value) if self.modifier else value


@dataclass(frozen=True)
class Median:
    """Geometric mean of the similarities to several molecules: something between them.

    Raises:
        ParameterError: If there is no target, one cannot be read, or there is no such fingerprint.
    """

    targets: tuple[str, ...]
    fingerprint: str = field(default="ECFP4", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if not self.targets:
            raise ParameterError("A median needs at least one target.")
        for target in self.targets:
            fingerprint(target, self.fingerprint)

    def __call__(self, smiles: str) -> float:
        return geometric_mean([tanimoto(smiles, target, self.fingerprint) for target in self.targets])
