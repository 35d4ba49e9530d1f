"""Measures of a set of molecules: how varied, how new, how near to a reference set."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import wasserstein_distance

from seiko.domains.molecule_features import morgan
from seiko.domains.molecule_identity import MoleculeRules, rdkit_module, readable
from seiko.domains.molecule_properties import molecule_property
from seiko.errors import ParameterError

DESCRIPTORS = ("logp", "qed", "sa", "weight", "tpsa", "rings", "rotatable")
"""Properties that `descriptor_distances` compares."""


def fingerprints(designs: Sequence[str]) -> list[Any]:
    """Morgan fingerprints of radius 2 and 2,048 bits, as the measures here compare them."""
    generator = morgan(radius=2, fpSize=2048)
    return [generator.GetFingerprint(readable(design)) for design in designs]


def _alike_to() -> Any:
    return rdkit_module("rdkit.DataStructs").BulkTanimotoSimilarity


def spread(designs: Sequence[str], most: int) -> list[str]:
    """At most `most` of the designs, evenly spaced."""
    count = min(len(designs), most)
    return [designs[k * len(designs) // count] for k in range(count)]


def tanimoto_diversity(designs: Sequence[str], *, most: int = 500) -> float:
    """Mean Tanimoto distance over pairs of designs, by Morgan fingerprints of radius 2 and 2,048 bits.

    In [0, 1]; 0 for fewer than two designs. Of more than `most` designs, evenly spaced ones are taken.

    Example:
        >>> tanimoto_diversity(["CCO", "CCO"]), tanimoto_diversity(["C", "O"])
        (0.0, 1.0)
    """
    bits = fingerprints(spread(designs, most))
    if len(bits) < 2:
        return 0.0
    alike = sum(sum(_alike_to()(bits[k], bits[:k])) for k in range(1, len(bits)))
    return 1.0 - alike / (len(bits) * (len(bits) - 1) / 2)


def internal_diversity(designs: Sequence[str], *, power: float = 1.0, most: int = 1000) -> float:
    """``1 - mean(similarity^p)^(1/p)`` over all ordered pairs, each design with itself too.

    Polykovskiy et al. (MOSES), Front. Pharmacol. 11:565644 (2020), their IntDiv_p. With p = 1 it is
    `tanimoto_diversity` times (n - 1) / n.

    Raises:
        ParameterError: If `power` is not positive.
    """
    if not power > 0:
        raise ParameterError(f"`power` must be positive; got {power!r}.")
    bits = fingerprints(spread(designs, most))
    if not bits:
        return 0.0
    total = sum(sum(value**power for value in _alike_to()(own, bits)) for own in bits)
    return float(1.0 - (total / len(bits) ** 2) ** (1 / power))


def nearest_similarity(designs: Sequence[str], reference: Sequence[str]) -> list[float]:
    """Tanimoto similarity of each design to the nearest of the reference set.

    Raises:
        ParameterError: If the reference set is empty.
    """
    if not reference:
        raise ParameterError("Similarity to the nearest needs a reference set that is not empty.")
    known = fingerprints(reference)
    return [max(_alike_to()(own, known)) for own in fingerprints(designs)]


def novelty(keys: Sequence[str], reference: Collection[str]) -> float:
    """Share of distinct canonical identities that the reference set does not hold; 0 where there are none.

    Example:
        >>> novelty(["CCO", "CCN", "CCN"], {"CCO"})
        0.5
    """
    distinct = set(keys)
    return sum(key not in reference for key in distinct) / max(len(distinct), 1)


@lru_cache(maxsize=1 << 16)
def scaffold(design: str, *, generic: bool = False) -> str:
    """The Bemis-Murcko scaffold: ring systems and the chains between them; "" without a ring.

    Bemis and Murcko, J. Med. Chem. 39:2887 (1996); as in RDKit, atoms doubly bonded to it belong to it.

    Args:
        design: A SMILES.
        generic: Make all atoms carbon and all bonds single.

    Example:
        >>> scaffold("CCc1ccccc1O"), scaffold("Cc1ccncc1", generic=True), scaffold("CCO")
        ('c1ccccc1', 'C1CCCCC1', '')
    """
    murcko = rdkit_module("rdkit.Chem.Scaffolds.MurckoScaffold")
    mol = readable(design)
    rdkit_module().RemoveStereochemistry(mol)
    core = murcko.GetScaffoldForMol(mol)
    if generic and core.GetNumAtoms():
        core = murcko.GetScaffoldForMol(murcko.MakeScaffoldGeneric(core))
    return str(rdkit_module().MolToSmiles(core))


def scaffold_diversity(designs: Sequence[str]) -> float:
    """Distinct scaffolds over designs; designs without a ring share one, the empty scaffold.

    Example:
        >>> scaffold_diversity(["Cc1ccccc1", "CCc1ccccc1", "C1CC1", "CCO"])
        0.75
    """
    return len({scaffold(design) for design in designs}) / max(len(designs), 1)


def descriptors(designs: Sequence[str], names: Sequence[str] = DESCRIPTORS) -> dict[str, np.ndarray]:
    """Properties of designs by name, each float64 [n]."""
    molecules = [readable(design) for design in designs]
    return {name: np.array([molecule_property(name)(mol) for mol in molecules], float) for name in names}


@dataclass(frozen=True)
class DescriptorDistance:
    """How the distribution of one property differs between a set of designs and a reference set.

    Attributes:
        mean, reference_mean: Of the two sets.
        wasserstein: Earth mover's distance, in the property's units.
        relative: The same in standard deviations of the reference set.
    """

    mean: float
    reference_mean: float
    wasserstein: float
    relative: float


def descriptor_distances(
    values: dict[str, np.ndarray], reference: dict[str, np.ndarray]
) -> dict[str, DescriptorDistance]:
    """Distance of each property of two sets, both as from `descriptors`.

    Raises:
        ParameterError: If a property is absent from one, or has no value.

    Example:
        >>> gap = descriptor_distances({"logp": np.array([1.0, 2.0])}, {"logp": np.array([2.0, 3.0])})
        >>> gap["logp"].wasserstein, gap["logp"].relative
        (1.0, 2.0)
    """
    if values.keys() != reference.keys() or not all(len(v) for v in [*values.values(), *reference.values()]):
        raise ParameterError("Both sets need the same properties, with at least one value each.")
    found = {}
    for name, known in reference.items():
        distance = float(wasserstein_distance(values[name], known))
        relative = distance / float(known.std()) if known.std() else float("inf") if distance else 0.0
        found[name] = DescriptorDistance(
            float(values[name].mean()), float(known.mean()), distance, float(relative)
        )
    return found


@dataclass(frozen=True)
class MoleculeReference:
    """A reference set, such as the training data of a chain, ready for comparisons.

    Attributes:
        keys: Canonical identities.
        descriptors: Properties of at most `most` of them.
    """

    keys: frozenset[str]
    descriptors: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, smiles: Sequence[str], rules: MoleculeRules | None = None, *, most: int = 10_000
    ) -> MoleculeReference:
        """Of SMILES; those that break the rules are left out.

        Raises:
            ParameterError: If none is left.
        """
        kept = [key for key, reason in map((rules or MoleculeRules()).read, smiles) if not reason]
        if not kept:
            raise ParameterError(f"None of {len(smiles)} reference molecules keeps the rules.")
        return cls(frozenset(kept), descriptors(spread(kept, most)))

    def distances(
        self, designs: Sequence[str], names: Sequence[str] | None = None
    ) -> dict[str, DescriptorDistance]:
        """Of the properties of designs from those of the reference set; all of its properties if None.

        Raises:
            ParameterError: If there is no design.
        """
        known = {name: self.descriptors[name] for name in (names or self.descriptors)}
        return descriptor_distances(descriptors(designs, tuple(known)), known)
