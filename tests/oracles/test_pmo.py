"""The 20 objectives against their definitions: by hand, and by other functions of RDKit."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from rdkit import Chem, RDLogger
from rdkit.Chem import Descriptors, Lipinski, rdMolDescriptors
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D

from seiko.errors import ParameterError
from seiko.oracles import pmo
from seiko.oracles.pmo import NAMES, OBJECTIVES, PMO
from seiko.oracles.similarity import FINGERPRINTS, Median, Similarity, tanimoto

MOLECULES = [
    "CC(C)(C)NCC(O)c1cccc(CO)c1",
    "CCOC(=O)C1=C(COCCN)NC(C)=C(C(=O)OC)C1c1ccccc1",
    "Cc1ccc(-c2cc(C)nn2-c2ccc(S(N)(=O)=O)cc2)cc1",
    "CCCOc1cc2ncnc(Nc3ccccc3)c2cc1C",
    "CC(C)C1CCC(C)CC1=O",
    "O=C1N(C)CC(=O)N2C1Cc1c([nH]c3ccccc13)C2c1ccccc1",
    "C#CC1(O)CCC2C3CCc4cc(O)ccc4C3CCC21C",
    "COc1cc(N(C)C)c(NC(=O)C=C)cc1Nc1nccc(n1)-c1c[nH]c2ccccc12",
    "NC(CC(=O)N1CCn2c(nnc2C(F)(F)F)C1)Cc1cc(F)ccc1F",
    "CN(C=O)Cc1ccc(-c2ccccc2)cc1",
    "CC(=O)N(C)c1cccc(-c2ccnc3ccnn23)c1",
    "CP(F)(=O)c1ccc(Cl)cc1N",
]


def counts(smiles, name):
    """Unfolded counts by RDKit's older functions, as {environment: count}."""
    RDLogger.DisableLog("rdApp.*")
    mol = Chem.MolFromSmiles(smiles)
    older = rdMolDescriptors
    made = {
        "ECFP4": lambda: older.GetMorganFingerprint(mol, 2),
        "ECFP6": lambda: older.GetMorganFingerprint(mol, 3),
        "FCFP4": lambda: older.GetMorganFingerprint(mol, 2, useFeatures=True),
        "AP": lambda: older.GetAtomPairFingerprint(mol, maxLength=10),
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name == "PHCO":
                return dict.fromkeys(Generate.Gen2DFingerprint(mol, Gobbi_Pharm2D.factory).GetOnBits(), 1)
            return made[name]().GetNonzeroElements()
    finally:
        RDLogger.EnableLog("rdApp.*")


def similarity(a, b, name):
    x, y = counts(a, name), counts(b, name)
    smaller = sum(min(x.get(k, 0), y.get(k, 0)) for k in x.keys() | y.keys())
    return smaller / (sum(x.values()) + sum(y.values()) - smaller)


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_similarities_by_counting_environments(name):
    pairs = list(zip(MOLECULES[:4], MOLECULES[4:8], strict=True))
    for a, b in pairs:
        assert tanimoto(a, b, name) == pytest.approx(similarity(a, b, name), abs=1e-12)


def bell(x, mu, sigma):
    return float(np.exp(-((x - mu) ** 2) / (2 * sigma**2)))


def formula_score(smiles, formula):
    """Geometric mean of bells over the elements of the formula and all atoms."""
    found = rdMolDescriptors.CalcMolFormula(Chem.MolFromSmiles(smiles))
    own = {}
    for element in sorted(formula, key=len, reverse=True):
        own[element] = 0
        rest = found
        while element in rest:
            rest = rest.partition(element)[2]
            if rest[:1].islower():
                continue
            digits = "".join(c for c in rest[: len(rest) - len(rest.lstrip("0123456789"))])
            own[element] = int(digits or 1)
    atoms = Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms()
    scores = [bell(own[e], n, 1) for e, n in formula.items()] + [bell(atoms, sum(formula.values()), 2)]
    return float(np.exp(np.mean(np.log(scores))))


def has(smiles, pattern):
    return float(Chem.MolFromSmiles(smiles).HasSubstructMatch(Chem.MolFromSmarts(pattern)))


def gmean(*scores):
    return 0.0 if min(scores) == 0 else float(np.exp(np.mean(np.log(scores))))


def reference(name, s):
    """Each objective written out once more, from its published table."""
    mol = Chem.MolFromSmiles(s)
    tpsa, logp = Descriptors.TPSA(mol), Descriptors.MolLogP(mol)
    drug = pmo.SITAGLIPTIN
    near_drug = [
        bell(logp, Descriptors.MolLogP(Chem.MolFromSmiles(drug)), 0.2),
        bell(tpsa, Descriptors.TPSA(Chem.MolFromSmiles(drug)), 5),
    ]
    hop = similarity(s, pmo.HOP_TARGET, "PHCO")
    c16 = {"C": 16, "H": 15, "F": 6, "N": 5, "O": 1}
    table = {
        "albuterol_similarity": lambda: min(similarity(s, pmo.ALBUTEROL, "FCFP4") / 0.75, 1),
        "amlodipine_mpo": lambda: gmean(
            similarity(s, pmo.AMLODIPINE, "ECFP4"), bell(Lipinski.RingCount(mol), 3, 0.5)
        ),
        "celecoxib_rediscovery": lambda: similarity(s, pmo.CELECOXIB, "ECFP4"),
        "deco_hop": lambda: np.mean(
            [
                min(hop / 0.85, 1),
                1 - has(s, pmo.HOP_SULFONE),
                1 - has(s, pmo.HOP_AMINE),
                has(s, pmo.HOP_SCAFFOLD),
            ]
        ),
        "fexofenadine_mpo": lambda: gmean(
            min(similarity(s, pmo.FEXOFENADINE, "AP") / 0.8, 1),
            bell(min(tpsa, 90), 90, 10),
            bell(max(logp, 4), 4, 1),
        ),
        "isomers_c7h8n2o2": lambda: formula_score(s, {"C": 7, "H": 8, "N": 2, "O": 2}),
        "isomers_c9h10n2o2pf2cl": lambda: formula_score(
            s, {"C": 9, "H": 10, "N": 2, "O": 2, "P": 1, "F": 2, "Cl": 1}
        ),
        "median1": lambda: gmean(*(similarity(s, t, "ECFP4") for t in (pmo.CAMPHOR, pmo.MENTHOL))),
        "median2": lambda: gmean(*(similarity(s, t, "ECFP6") for t in (pmo.TADALAFIL, pmo.SILDENAFIL))),
        "mestranol_similarity": lambda: min(similarity(s, pmo.MESTRANOL, "AP") / 0.75, 1),
        "osimertinib_mpo": lambda: gmean(
            min(similarity(s, pmo.OSIMERTINIB, "FCFP4") / 0.8, 1),
            bell(max(similarity(s, pmo.OSIMERTINIB, "ECFP6"), 0.85), 0.85, 0.1),
            bell(min(tpsa, 100), 100, 10),
            bell(max(logp, 1), 1, 1),
        ),
        "perindopril_mpo": lambda: gmean(
            similarity(s, pmo.PERINDOPRIL, "ECFP4"), bell(Lipinski.NumAromaticRings(mol), 2, 0.5)
        ),
        "qed": lambda: Descriptors.qed(mol),
        "ranolazine_mpo": lambda: gmean(
            min(similarity(s, pmo.RANOLAZINE, "AP") / 0.7, 1),
            bell(min(logp, 7), 7, 1),
            bell(min(tpsa, 95), 95, 20),
            bell(s.count("F"), 1, 1),
        ),
        "scaffold_hop": lambda: np.mean(
            [min(hop / 0.75, 1), has(s, pmo.HOP_DECORATION), 1 - has(s, pmo.HOP_SCAFFOLD)]
        ),
        "sitagliptin_mpo": lambda: gmean(
            bell(similarity(s, drug, "ECFP4"), 0, 0.1), *near_drug, formula_score(s, c16)
        ),
        "thiothixene_rediscovery": lambda: similarity(s, pmo.THIOTHIXENE, "ECFP4"),
        "troglitazone_rediscovery": lambda: similarity(s, pmo.TROGLITAZONE, "ECFP4"),
        "valsartan_smarts": lambda: gmean(
            has(s, pmo.VALSARTAN),
            *near_drug,
            bell(Descriptors.BertzCT(mol), Descriptors.BertzCT(Chem.MolFromSmiles(drug)), 30),
        ),
        "zaleplon_mpo": lambda: gmean(
            similarity(s, pmo.ZALEPLON, "ECFP4"), formula_score(s, {"C": 19, "H": 17, "N": 3, "O": 2})
        ),
    }
    return table[name]()


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_definition_written_out(name):
    values = [OBJECTIVES[name](smiles) for smiles in MOLECULES]
    assert values == pytest.approx([reference(name, s) for s in MOLECULES], rel=1e-9, abs=1e-15)
    assert all(0 <= value <= 1 for value in values)


BY_HAND = {
    ("albuterol_similarity", pmo.ALBUTEROL): 1,
    ("celecoxib_rediscovery", pmo.CELECOXIB): 1,
    ("thiothixene_rediscovery", pmo.THIOTHIXENE): 1,
    ("troglitazone_rediscovery", pmo.TROGLITAZONE): 1,
    ("mestranol_similarity", pmo.MESTRANOL): 1,
    ("amlodipine_mpo", pmo.AMLODIPINE): math.exp(-1),  # 2 rings instead of 3: e^-2, and the root of it
    ("perindopril_mpo", pmo.PERINDOPRIL): math.exp(-4),  # no aromatic ring instead of 2: e^-8
    ("sitagliptin_mpo", pmo.SITAGLIPTIN): math.exp(-50 / 4),  # all as wanted but for likeness to itself
    ("valsartan_smarts", pmo.SITAGLIPTIN): 0,  # all as wanted but for the pattern
    # C17H15N5O for C19H17N3O2: exponents 2, 2, 2 and 1/2 for the elements, (3/2)^2 / 2 for all atoms
    ("zaleplon_mpo", pmo.ZALEPLON): math.exp(-(2 + 2 + 2 + 0.5 + 1.125) / 5 / 2),
    ("deco_hop", pmo.HOP_TARGET): 2 / 4,  # likeness and scaffold; both decorations are still there
    ("scaffold_hop", pmo.HOP_TARGET): 2 / 3,  # likeness and decoration; the scaffold is still there
    ("isomers_c7h8n2o2", "COc1cc(N)cnc1C=O"): 1,
    ("isomers_c9h10n2o2pf2cl", "CCP(=O)(c1ccc(Cl)c(F)c1F)N1CC1"): None,
}


@pytest.mark.parametrize(("name", "smiles"), BY_HAND)
def test_by_hand(name, smiles):
    wanted = BY_HAND[name, smiles]
    if wanted is None:  # C10H11ClF2NOP: C and H one off, N and O one off, 27 of 27 atoms
        wanted = math.exp(-(4 * 0.5) / 8)
    assert PMO(name)(smiles) == pytest.approx(wanted, rel=1e-6)


def test_twenty_names_and_errors():
    assert len(NAMES) == len(set(NAMES)) == 20 and tuple(OBJECTIVES) == NAMES
    with pytest.raises(ParameterError, match="median1"):
        PMO("drd2")
    for smiles in ("C(", "", None):
        with pytest.raises(ParameterError, match="can read"):
            OBJECTIVES["median1"](smiles)
    for wrong in (lambda: Similarity("C("), lambda: Similarity("C", fingerprint="FP"), lambda: Median(())):
        with pytest.raises(ParameterError):
            wrong()


def test_spelling_does_not_matter():
    for name in NAMES:
        values = {round(PMO(name)(s), 12) for s in ("Cc1ccc(O)cc1", "Oc1ccc(C)cc1", "CC1=CC=C(O)C=C1")}
        assert len(values) == 1
