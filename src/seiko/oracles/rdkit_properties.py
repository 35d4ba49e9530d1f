"""Rewards of molecules that RDKit computes: plain functions of one SMILES string."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from seiko.domains.molecule import rdkit_module
from seiko.domains.molecule_properties import sascorer
from seiko.oracles.similarity import molecule_of

MEDIAN_TARGETS = ("O=C1CC2CCC1C2", "CC1CCC(O)CC1")
"""Norcamphor and 4-methylcyclohexanol, the two targets of `median_norcamphor`."""

ZINC_MEAN_STD = {
    "logp": (2.4570953396190123, 1.434324401111988),
    "minus_sa": (-3.0525811293166134, 0.8335207024513095),
    "minus_cycle": (-0.0485696876403053, 0.2860212110245455),
}
"""Mean and standard deviation over ZINC250k of the three parts of `penalized_logp`, as used with
J. You et al., Graph Convolutional Policy Network (NeurIPS 2018); there the ring is of a cycle basis."""


def qed(smiles: str) -> float:
    """Quantitative estimate of drug-likeness, in [0, 1] (Bickerton et al., Nature Chemistry 4:90, 2012).

    Raises:
        ParameterError: If RDKit cannot read the SMILES.

    Example:
        >>> round(qed("c1ccccc1"), 4)
        0.4426
    """
    mol = molecule_of(smiles)
    return float(rdkit_module("rdkit.Chem.QED").qed(mol))


def logp(smiles: str) -> float:
    """Octanol-water partition coefficient, log10, by atomic contributions (Wildman and Crippen, 1999).

    J. Chem. Inf. Comput. Sci. 39:868.

    Raises:
        ParameterError: If RDKit cannot read the SMILES.

    Example:
        >>> round(logp("c1ccccc1"), 4)
        1.6866
    """
    mol = molecule_of(smiles)
    descriptors = rdkit_module("rdkit.Chem.rdMolDescriptors")
    return float(descriptors.CalcCrippenDescriptors(mol)[0])


def sa_score(smiles: str) -> float:
    """Synthetic accessibility, from 1 (easy) to 10 (hard): smaller is better, so not itself a reward.

    Fragment contributions and a complexity penalty (Ertl and Schuffenhauer, J. Cheminform. 1:8, 2009).

    Raises:
        ParameterError: If RDKit cannot read the SMILES.
        MissingDependencyError: If RDKit was installed without its contributed modules.

    Example:
        >>> round(sa_score("c1ccccc1"), 4)
        1.0
    """
    return float(sascorer().calculateScore(molecule_of(smiles)))


def largest_ring(smiles: str) -> int:
    """Number of atoms of the largest ring among RDKit's symmetrised smallest rings; 0 without a ring."""
    mol = molecule_of(smiles)  # must outlive its ring information
    return max((len(ring) for ring in mol.GetRingInfo().AtomRings()), default=0)


def penalized_logp(smiles: str, *, normalized: bool = False) -> float:
    """``logP - SA - max(0, largest ring - 6)``: lipophilic, easy to make, without large rings.

    Defined by Gomez-Bombarelli et al., ACS Central Science 4:268 (2018). The largest ring is that of
    `largest_ring`; works that take a cycle basis instead may differ on cages.

    Args:
        smiles: The molecule.
        normalized: Bring each of the three parts to mean 0 and standard deviation 1 over ZINC250k first, by
            `ZINC_MEAN_STD`; the default is the plain sum.

    Raises:
        ParameterError: If RDKit cannot read the SMILES.

    Example:
        >>> round(penalized_logp("c1ccccc1"), 4), round(penalized_logp("c1ccccc1", normalized=True), 4)
        (0.6866, 2.0952)
    """
    parts = {
        "logp": logp(smiles),
        "minus_sa": -sa_score(smiles),
        "minus_cycle": -float(max(0, largest_ring(smiles) - 6)),
    }
    if not normalized:
        return sum(parts.values())
    return sum((parts[k] - mean) / std for k, (mean, std) in ZINC_MEAN_STD.items())


def gaussian(value: float, *, mean: float, width: float) -> float:
    """``exp(-((value - mean) / width)^2 / 2)``, 1 at the mean (Brown et al., GuacaMol, 2019)."""
    return math.exp(-0.5 * ((value - mean) / width) ** 2)


def polar_ring(smiles: str) -> float:
    """A small ring system that is lipophilic and polar at once, in [0, 1].

    Geometric mean of three scores, after GuacaMol (Brown et al., J. Chem. Inf. Model. 59:1096, 2019):

    - logP: 1 from 2.0 upward, below it a Gaussian of width 0.5;
    - topological polar surface area in square Angstrom: 1 from 50 upward, below it a Gaussian of width 10;
    - number of rings: a Gaussian with mean 2 and width 0.5.

    Few atoms make the first two exclude one another, which leaves head-room for molecules of at most 9 heavy
    atoms.

    Raises:
        ParameterError: If RDKit cannot read the SMILES.
    """
    mol = molecule_of(smiles)
    descriptors = rdkit_module("rdkit.Chem.rdMolDescriptors")
    scores = (
        gaussian(min(logp(smiles), 2.0), mean=2.0, width=0.5),
        gaussian(min(descriptors.CalcTPSA(mol), 50.0), mean=50.0, width=10.0),
        gaussian(mol.GetRingInfo().NumRings(), mean=2.0, width=0.5),
    )
    return math.prod(scores) ** (1 / 3)


def _fingerprint(mol: Any) -> Any:
    return (
        rdkit_module("rdkit.Chem.rdFingerprintGenerator")
        .GetMorganGenerator(radius=2)
        .GetSparseCountFingerprint(mol)
    )


def median_norcamphor(smiles: str) -> float:
    """Alike to two molecules at once: norcamphor and 4-methylcyclohexanol, in [0, 1].

    Geometric mean of the two Tanimoto similarities of unfolded Morgan counts of radius 2, in the manner of
    GuacaMol's median molecules (Brown et al., J. Chem. Inf. Model. 59:1096, 2019) but with targets of 8 heavy
    atoms.

    Raises:
        ParameterError: If RDKit cannot read the SMILES.
    """
    own = _fingerprint(molecule_of(smiles))
    similarity = rdkit_module("rdkit.DataStructs").TanimotoSimilarity
    alike = [similarity(own, _fingerprint(molecule_of(target))) for target in MEDIAN_TARGETS]
    return math.sqrt(math.prod(alike))


REWARDS: Mapping[str, Callable[[str], float]] = MappingProxyType(
    {
        "qed": qed,
        "logp": logp,
        "penalized_logp": penalized_logp,
        "polar_ring": polar_ring,
        "median_norcamphor": median_norcamphor,
    }
)
"""Rewards by name; larger is better."""
