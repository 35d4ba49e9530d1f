"""The 20 objectives of the PMO benchmark that RDKit alone can compute, all in [0, 1], larger is better.

Gao, Fu, Sun and Coley, "Sample Efficiency Matters", NeurIPS 2022 (PMO); 19 of them were defined by Brown et
al., GuacaMol, J. Chem. Inf. Model. 59:1096 (2019). Written from those definitions. One known difference from
the scores of software of PMO: where an isomer score enters, it counts all atoms of the molecule, as defined,
while releases of that software read the number of atoms off the letters of the SMILES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

from seiko.domains.molecule_filters import smarts
from seiko.domains.molecule_identity import rdkit_module
from seiko.domains.molecule_properties import molecule_property
from seiko.errors import ParameterError
from seiko.oracles.isomers import Isomer
from seiko.oracles.modifiers import (
    Gaussian,
    MaxGaussian,
    MinGaussian,
    Modifier,
    Threshold,
    arithmetic_mean,
    geometric_mean,
)
from seiko.oracles.rdkit_properties import qed
from seiko.oracles.similarity import Median, Similarity, molecule_of

Score = Callable[[str], float]


@dataclass(frozen=True)
class Property:
    """A property of a molecule, shaped by a modifier."""

    name: str
    modifier: Modifier

    def __call__(self, smiles: str) -> float:
        return self.modifier(molecule_property(self.name)(molecule_of(smiles)))


@dataclass(frozen=True)
class NearTo:
    """A Gaussian of a property about its value for another molecule, the target."""

    name: str
    target: str
    sigma: float

    def __call__(self, smiles: str) -> float:
        return Gaussian(_value(self.name, self.target), self.sigma)(_value(self.name, smiles))


def _value(name: str, smiles: str) -> float:
    mol = molecule_of(smiles)
    if name == "bertz":
        return float(rdkit_module("rdkit.Chem.GraphDescriptors").BertzCT(mol))
    return molecule_property(name)(mol)


@dataclass(frozen=True)
class Pattern:
    """1 where a SMARTS pattern is present, else 0; the other way round with `absent`."""

    pattern: str
    absent: bool = field(default=False, kw_only=True)

    def __call__(self, smiles: str) -> float:
        return float(molecule_of(smiles).HasSubstructMatch(smarts(self.pattern)) != self.absent)


def _fluorines(smiles: str) -> float:
    return Gaussian(1, 1)(sum(atom.GetSymbol() == "F" for atom in molecule_of(smiles).GetAtoms()))


@dataclass(frozen=True)
class Mean:
    """The mean of several scores of one molecule."""

    scores: Sequence[Score]
    mean: Callable[[Sequence[float]], float] = geometric_mean

    def __call__(self, smiles: str) -> float:
        return self.mean([score(smiles) for score in self.scores])


ALBUTEROL = "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"
AMLODIPINE = "Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\\C(=O)OC"
CAMPHOR = "CC1(C)C2CCC1(C)C(=O)C2"
CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4"
MENTHOL = "CC(C)C1CCC(C)CC1O"
MESTRANOL = "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1"
OSIMERTINIB = "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34"
PERINDOPRIL = "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC"
RANOLAZINE = "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2"
SILDENAFIL = "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C"
SITAGLIPTIN = "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F"
TADALAFIL = "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C"
THIOTHIXENE = "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1"
TROGLITAZONE = "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O"
ZALEPLON = "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1"

HOP_TARGET = "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C"
HOP_SCAFFOLD = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
HOP_DECORATION = "[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1"
HOP_SULFONE = "CS([#6])(=O)=O"
HOP_AMINE = "[#7]-c1ccc2ncsc2c1"
VALSARTAN = "CN(C=O)Cc1ccc(c2ccccc2)cc1"


def _alike(target: str, name: str, modifier: Modifier | None = None) -> Similarity:
    return Similarity(target, fingerprint=name, modifier=modifier)


@cache
def _scores() -> Mapping[str, Score]:
    return {
        "albuterol_similarity": _alike(ALBUTEROL, "FCFP4", Threshold(0.75)),
        "amlodipine_mpo": Mean([_alike(AMLODIPINE, "ECFP4"), Property("rings", Gaussian(3, 0.5))]),
        "celecoxib_rediscovery": _alike(CELECOXIB, "ECFP4"),
        "deco_hop": Mean(
            [
                _alike(HOP_TARGET, "PHCO", Threshold(0.85)),
                Pattern(HOP_SULFONE, absent=True),
                Pattern(HOP_AMINE, absent=True),
                Pattern(HOP_SCAFFOLD),
            ],
            arithmetic_mean,
        ),
        "fexofenadine_mpo": Mean(
            [
                _alike(FEXOFENADINE, "AP", Threshold(0.8)),
                Property("tpsa", MaxGaussian(90, 10)),
                Property("logp", MinGaussian(4, 1)),
            ]
        ),
        "isomers_c7h8n2o2": Isomer("C7H8N2O2"),
        "isomers_c9h10n2o2pf2cl": Isomer("C9H10N2O2PF2Cl"),
        "median1": Median((CAMPHOR, MENTHOL)),
        "median2": Median((TADALAFIL, SILDENAFIL), fingerprint="ECFP6"),
        "mestranol_similarity": _alike(MESTRANOL, "AP", Threshold(0.75)),
        "osimertinib_mpo": Mean(
            [
                _alike(OSIMERTINIB, "FCFP4", Threshold(0.8)),
                _alike(OSIMERTINIB, "ECFP6", MinGaussian(0.85, 0.1)),
                Property("tpsa", MaxGaussian(100, 10)),
                Property("logp", MinGaussian(1, 1)),
            ]
        ),
        "perindopril_mpo": Mean([_alike(PERINDOPRIL, "ECFP4"), Property("aromatic_rings", Gaussian(2, 0.5))]),
        "qed": qed,
        "ranolazine_mpo": Mean(
            [
                _alike(RANOLAZINE, "AP", Threshold(0.7)),
                Property("logp", MaxGaussian(7, 1)),
                Property("tpsa", MaxGaussian(95, 20)),
                _fluorines,
            ]
        ),
        "scaffold_hop": Mean(
            [
                _alike(HOP_TARGET, "PHCO", Threshold(0.75)),
                Pattern(HOP_DECORATION),
                Pattern(HOP_SCAFFOLD, absent=True),
            ],
            arithmetic_mean,
        ),
        "sitagliptin_mpo": Mean(
            [
                _alike(SITAGLIPTIN, "ECFP4", Gaussian(0, 0.1)),
                NearTo("logp", SITAGLIPTIN, 0.2),
                NearTo("tpsa", SITAGLIPTIN, 5),
                Isomer("C16H15F6N5O"),
            ]
        ),
        "thiothixene_rediscovery": _alike(THIOTHIXENE, "ECFP4"),
        "troglitazone_rediscovery": _alike(TROGLITAZONE, "ECFP4"),
        "valsartan_smarts": Mean(
            [
                Pattern(VALSARTAN),
                NearTo("logp", SITAGLIPTIN, 0.2),
                NearTo("tpsa", SITAGLIPTIN, 5),
                NearTo("bertz", SITAGLIPTIN, 30),
            ]
        ),
        "zaleplon_mpo": Mean([_alike(ZALEPLON, "ECFP4"), Isomer("C19H17N3O2")]),
    }


NAMES = (
    "albuterol_similarity", "amlodipine_mpo", "celecoxib_rediscovery", "deco_hop", "fexofenadine_mpo",
    "isomers_c7h8n2o2", "isomers_c9h10n2o2pf2cl", "median1", "median2", "mestranol_similarity",
    "osimertinib_mpo", "perindopril_mpo", "qed", "ranolazine_mpo", "scaffold_hop", "sitagliptin_mpo",
    "thiothixene_rediscovery", "troglitazone_rediscovery", "valsartan_smarts", "zaleplon_mpo",
)  # fmt: skip
"""Names of the objectives, as in PMO."""


@dataclass(frozen=True)
class PMO:
    """One objective by its name; a function of a SMILES string.

    Raises:
        ParameterError: If there is no such objective; when called, if RDKit cannot read the SMILES.

    Example:
        >>> PMO("celecoxib_rediscovery")(CELECOXIB), round(PMO("median1")("CC1CCCCC1"), 4)
        (1.0, 0.1772)
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ParameterError(
                f"There is no objective {self.name!r}.", hint=f"There are {', '.join(NAMES)}."
            )

    def __call__(self, smiles: str) -> float:
        return float(_scores()[self.name](smiles))


OBJECTIVES: Mapping[str, PMO] = MappingProxyType({name: PMO(name) for name in NAMES})
"""The objectives by name. Their targets are read when one is first called."""
