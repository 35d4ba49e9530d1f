"""Molecules as graphs: codec, design space, features, drawing."""

from __future__ import annotations

import gzip
import time

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from rdkit import Chem

from measured_data import needed
from seiko.domains import molecule, molecule_identity
from seiko.domains.molecule import (
    INVALID,
    MoleculeGraph,
    counts_and_properties,
    molecule_domain,
    molecule_features,
    morgan_counts,
    read_molecule,
    smiles_domain,
    tanimoto_diversity,
)
from seiko.domains.molecule_features import PROPERTY_UNITS
from seiko.errors import MissingDependencyError, ParameterError, ShapeError
from seiko.methods import default_surrogate

GRAPH = MoleculeGraph()

SMILES = [
    "C", "O", "CC", "C=O", "C#N", "CCO", "CC(C)(C)C", "FC(F)F", "c1ccccc1", "c1ccoc1", "c1cc[nH]c1",
    "c1c[nH]cn1", "Cc1ccccc1", "Oc1ccc(F)cc1", "C1CC1", "C1CCC2CC2C1", "C1CC2CCC1C2", "C12C3C4C1C5C2C3C45",
    "O=C1CC2CCC1C2", "NC(=O)c1ccn[nH]1", "CC(=O)NCCO", "N#CC#C", "C1C2CC3CC1C3C2", "O=c1cc[nH]cc1",
    "CN=C(N)N", "OC1CCCCCCC1",
]  # fmt: skip


def state_of(atoms: list[int], bonds: dict[tuple[int, int], int], graph: MoleculeGraph = GRAPH):
    """One row's state: kinds of the first atoms, kinds of some bonds, none elsewhere."""
    kinds = torch.zeros(1, graph.num_atoms, dtype=torch.long)
    kinds[0, : len(atoms)] = torch.tensor(atoms)
    pairs = [tuple(pair) for pair in torch.triu_indices(graph.num_atoms, graph.num_atoms, 1).T.tolist()]
    flat = torch.tensor([[bonds.get(pair, 0) for pair in pairs]])
    return graph.one_hot({"atoms": kinds, "bonds": flat})


def spellings(smiles: str, count: int = 5) -> list[str]:
    mol = Chem.MolFromSmiles(smiles)
    order = np.random.default_rng(0)
    shuffled = [Chem.RenumberAtoms(mol, order.permutation(mol.GetNumAtoms()).tolist()) for _ in range(count)]
    return [Chem.MolToSmiles(m, canonical=False) for m in shuffled]


# --- the codec


def test_encoding_of_ethanol_by_hand():
    kinds = GRAPH.encode(["OCC"])  # canonical CCO: slots 0, 1, 2 are C, C, O
    assert kinds["atoms"].dtype == kinds["bonds"].dtype == torch.uint8
    assert kinds["atoms"].tolist() == [[1, 1, 3, 0, 0, 0, 0, 0, 0]]
    assert kinds["bonds"].nonzero().tolist() == [[0, 0], [0, 8]]  # pairs (0, 1) and (1, 2): row 0 has 8 pairs
    assert kinds["bonds"].max() == 1


def test_pairs_are_those_of_triu_indices():
    for i, j in torch.triu_indices(9, 9, 1).T.tolist():
        atoms = [0] * 9
        atoms[i] = atoms[j] = 1
        state = state_of(atoms, {(i, j): 3})
        assert GRAPH.decode(state) == ["C#C"]


def test_benzene_is_kekulised():
    kinds = GRAPH.encode(["c1ccccc1"])
    assert sorted(kinds["bonds"][kinds["bonds"] > 0].tolist()) == [1, 1, 1, 2, 2, 2]


def test_round_trip_is_the_identity():
    canonical = [Chem.CanonSmiles(s) for s in SMILES]
    assert GRAPH.decode(GRAPH.one_hot(GRAPH.encode(SMILES))) == canonical
    assert [read_molecule(s, GRAPH) for s in canonical] == [(s, "") for s in canonical]


@pytest.mark.parametrize("smiles", SMILES)
def test_every_spelling_has_the_same_encoding(smiles):
    kinds = GRAPH.encode([smiles, Chem.MolToSmiles(Chem.MolFromSmiles(smiles), kekuleSmiles=True)])
    others = GRAPH.encode(spellings(smiles))
    for leaf in ("atoms", "bonds"):
        assert (others[leaf] == kinds[leaf][:1]).all()


def test_stereochemistry_is_dropped():
    kinds = GRAPH.encode(["C[C@H](F)O", "C[C@@H](F)O", "CC(O)F"])
    assert all(len(torch.unique(kinds[leaf], dim=0)) == 1 for leaf in kinds)
    kinds = GRAPH.encode(["F/C=C/F", "F/C=C\\F", "FC=CF"])
    assert all(len(torch.unique(kinds[leaf], dim=0)) == 1 for leaf in kinds)


def test_decoding_ignores_the_order_of_slots_and_gaps():
    state = state_of([0, 3, 0, 1, 1], {(1, 3): 1, (3, 4): 1})
    assert GRAPH.decode(state) == ["CCO"]


def test_decoding_takes_the_most_likely_kinds():
    state = GRAPH.one_hot(GRAPH.encode(["CCO"]))
    soft = {leaf: 0.6 * value + 0.4 / value.shape[-1] for leaf, value in state.items()}
    assert GRAPH.decode(soft) == ["CCO"]


@pytest.mark.parametrize(
    ("atoms", "bonds", "reason"),
    [
        ([], {}, "empty"),
        ([5], {}, "still masked"),
        ([1, 1], {(0, 1): 4}, "still masked"),
        ([1], {(0, 1): 1}, "bond to an empty slot"),
        ([1, 1], {}, "disconnected"),
        ([1, 1, 1, 1], {(0, 1): 1, (2, 3): 1}, "disconnected"),
        ([4, 1], {(0, 1): 2}, "valence of F"),
        ([3, 1, 1, 1], {(0, 1): 1, (0, 2): 1, (0, 3): 1}, "valence of O"),
        ([1, 2, 1], {(0, 1): 2, (1, 2): 2}, "valence of N"),
        ([1, 1, 1], {(0, 1): 3, (1, 2): 2}, "valence of C"),
    ],
)
def test_reasons_of_invalid_states(atoms, bonds, reason):
    assert GRAPH.decode(state_of(atoms, bonds)) == [INVALID + reason]
    domain = molecule_domain(GRAPH)
    assert not domain.is_valid(INVALID + reason)
    assert domain.why_invalid(INVALID + reason) == reason


def test_connectivity_agrees_with_rdkit_on_random_graphs():
    generator = torch.Generator().manual_seed(0)
    atoms = torch.randint(0, 4, (400, 9), generator=generator)
    bonds = (torch.rand(400, 36, generator=generator) < 0.15).long()
    pairs = torch.triu_indices(9, 9, 1)
    bonds = bonds * (atoms[:, pairs] > 0).all(1)
    for row, text in enumerate(GRAPH.decode(GRAPH.one_hot({"atoms": atoms, "bonds": bonds}))):
        mol = Chem.RWMol()
        slots = {s: mol.AddAtom(Chem.Atom("CNO"[k - 1])) for s, k in enumerate(atoms[row].tolist()) if k}
        for p, (i, j) in enumerate(pairs.T.tolist()):
            if bonds[row, p]:
                mol.AddBond(slots[i], slots[j], Chem.BondType.SINGLE)
        too_high = any(a.GetDegree() > {"C": 4, "N": 3, "O": 2}[a.GetSymbol()] for a in mol.GetAtoms())
        fits = mol.GetNumAtoms() > 0 and len(Chem.GetMolFrags(mol)) == 1 and not too_high
        assert fits != text.startswith(INVALID)
        if fits:
            Chem.SanitizeMol(mol)
            assert text == Chem.MolToSmiles(mol)


def test_chains_of_the_longest_path_are_connected():
    for size in (1, 2, 3, 5, 6, 9, 17):
        graph = MoleculeGraph(num_atoms=size)
        assert graph.decode(graph.one_hot(graph.encode(["C" * size]))) == ["C" * size]


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("CCCCCCCCCC", "10 heavy atoms, at most 9 fit"),
        ("CS", "element S is not among C, N, O, F"),
        ("[H][H]", "element H"),
        ("*C", "element *"),
        ("C[NH3+]", "charge on N"),
        ("CC(=O)[O-]", "charge on O"),
        ("[CH3]", "radical on C"),
        ("[13CH4]", "isotope on C"),
        ("C.C", "disconnected"),
        ("C$C", "not single, double or triple"),
        ("", "empty"),
        ("CC(", "cannot read"),
        ("C(C)(C)(C)(C)C", "cannot read"),
    ],
)
def test_what_does_not_fit(smiles, reason, capfd):
    with pytest.raises(ParameterError, match="Row 1") as error:
        GRAPH.encode(["C", smiles])
    assert reason in str(error.value) and repr(smiles) in str(error.value)
    kinds, kept = GRAPH.encode(["C", smiles, "N"], skip=True)
    assert kept.tolist() == [0, 2] and kinds["atoms"][:, 0].tolist() == [1, 2]
    domain = molecule_domain(GRAPH)
    assert not domain.is_valid(smiles) and reason in domain.why_invalid(smiles)
    assert capfd.readouterr().err == ""  # RDKit's own messages are silenced


def test_salts_are_several_fragments():
    assert read_molecule("[Na+].[Cl-]", MoleculeGraph(elements=("C", "Cl")))[1].startswith("element Na")
    assert read_molecule("CN.OC=O", GRAPH)[1] == "disconnected (2 fragments: a salt or a mixture)"


def test_other_elements_and_their_higher_valences():
    graph = MoleculeGraph(num_atoms=6, elements=("C", "O", "S", "P", "Cl", "Si"))
    smiles = ["CS(C)(=O)=O", "CSC", "CS(C)=O", "CP(C)(C)=O", "CCCl", "C[SiH3]"]
    assert graph.decode(graph.one_hot(graph.encode(smiles))) == [Chem.CanonSmiles(s) for s in smiles]
    assert read_molecule("C[SH2]C", graph)[1] == "its number of hydrogens is not the usual one"
    assert read_molecule("C[SH4]C", graph)[1] == "its number of hydrogens is not the usual one"


def test_nothing_to_encode_or_decode():
    kinds, kept = GRAPH.encode([], skip=True)
    assert kinds["atoms"].shape == (0, 9) and kinds["bonds"].shape == (0, 36) and kept.shape == (0,)
    assert GRAPH.decode(GRAPH.one_hot(kinds)) == []


def test_bad_arguments():
    with pytest.raises(ParameterError, match="num_atoms"):
        MoleculeGraph(num_atoms=0)
    for elements in (("C", "Xx"), (), ("C", "C")):
        with pytest.raises(ParameterError, match="elements"):
            MoleculeGraph(elements=elements)
    state = GRAPH.one_hot(GRAPH.encode(["C"]))
    for wrong in ({"atoms": state["atoms"]}, {**state, "bonds": state["bonds"][:, :-1]}, state["atoms"]):
        with pytest.raises(ShapeError, match="state"):
            GRAPH.decode(wrong)


def test_a_list_of_elements_is_as_good_as_a_tuple():
    assert MoleculeGraph(elements=["C", "N"]) == MoleculeGraph(elements=("C", "N"))


@pytest.mark.data
def test_all_of_qm9_comes_back():
    file = needed("qm9_smiles", "qm9_smiles.txt.gz")
    smiles = gzip.decompress(file.read_bytes()).decode().split()[::13]
    kinds = GRAPH.encode(smiles)
    start = time.perf_counter()
    decoded = GRAPH.decode(GRAPH.one_hot(kinds))
    rate = len(smiles) / (time.perf_counter() - start)
    assert decoded == [read_molecule(s, GRAPH)[0] for s in smiles]
    assert rate > 1000  # 12,000 a second on an idle core


# --- the domain


def test_keys_are_canonical_and_bytes_come_back():
    domain = molecule_domain(GRAPH)
    assert {domain.key(s) for s in ("OCC", "CCO", "C(O)C", "[CH3:1]CO")} == {"CCO"}
    assert domain.key("C[C@H](F)O") == "CC(O)F"
    assert domain.key(INVALID + "empty") == INVALID + "empty"
    assert domain.from_bytes(domain.to_bytes("C#N")) == "C#N"
    assert domain.media_type == "chemical/x-daylight-smiles"


def test_filters_narrow_the_space():
    domain = molecule_domain(GRAPH, filters={"no ring": lambda mol: mol.GetRingInfo().NumRings() == 0})
    assert domain.is_valid("CCO") and not domain.is_valid("C1CC1")
    assert domain.why_invalid("C1CC1") == "filter no ring" and domain.why_invalid("CCO") == ""


def test_features_of_cyclopropanol_by_hand():
    row = molecule_features(["OC1CC1"], elements=("C", "N", "O", "F"), size=64)[0]
    assert row.dtype == torch.float32
    assert row[:64].sum() == 8  # one environment an atom at radius 0, one at radius 1
    by_hand = {
        "elements": [3, 0, 1, 0],
        "double, triple, aromatic": [0, 0, 0],
        "rings of 3 ... 9": [1, 0, 0, 0, 0, 0, 0],
        "atoms in more than 0, 1, 2 rings": [3, 0, 0],
        "atoms of degree 3, 4": [1, 0],
        "atoms, rings, stereocentres": [4, 1, 0],
        "polar hydrogens": [1],
        "spiro, bridgehead, rotatable": [0, 0, 0],
    }
    assert row[64:].tolist() == [count for counts in by_hand.values() for count in counts]
    assert row.shape == (64 + 4 + molecule.NUM_WHOLE,)


def test_features_do_not_depend_on_spelling_or_neighbours():
    domain = molecule_domain(GRAPH)
    together = domain.features(SMILES)
    assert together.shape == (len(SMILES), 512 + 4 + molecule.NUM_WHOLE)
    for row, smiles in zip(together, SMILES, strict=True):
        assert (domain.features(spellings(smiles)) == row).all()
    assert len(torch.unique(together, dim=0)) == len(SMILES)
    assert domain.features([]).shape == (0, together.shape[1])
    with pytest.raises(ParameterError, match="cannot read"):
        domain.features([INVALID + "empty"])


def test_counts_and_properties_of_aspirin_by_hand():
    smiles = "CC(=O)Oc1ccccc1C(=O)O"
    rows = counts_and_properties([smiles, "CCO"])
    torch.testing.assert_close(rows[:, :2048], morgan_counts([smiles, "CCO"]))
    # logP, polar surface, weight, rings, aromatic ones, donors, acceptors, rotatable bonds, atoms, sp3 share
    expected = [1.31, 63.6, 180.16, 1, 1, 1, 3, 2, 13, 1 / 9]
    found = rows[0, 2048:] * torch.tensor(list(PROPERTY_UNITS.values()))
    torch.testing.assert_close(found, torch.tensor(expected), atol=0.01, rtol=1e-4)
    assert counts_and_properties([]).shape == (0, 2048 + len(PROPERTY_UNITS))


def test_large_molecules_have_properties_among_their_features():
    domain = smiles_domain(lambda state, condition: ["CCO"] * len(state))
    assert domain.feature_kind == "counts+properties"
    assert torch.equal(domain.features(["OCC"]), counts_and_properties(["CCO"]))
    assert default_surrogate(domain).num_properties == len(PROPERTY_UNITS)
    assert smiles_domain(domain.decode, features=morgan_counts).feature_kind == "counts"


def test_drawing_is_one_svg_element():
    svg = molecule_domain(GRAPH).render("c1ccccc1")
    assert svg.startswith("<svg") and svg.endswith("</svg>") and "<?xml" not in svg and "href" not in svg


def test_metrics():
    metrics = molecule_domain(GRAPH).metrics
    assert metrics["distinct"](["CCO", "OCC", "C", "invalid: empty"]) == 0.75
    assert metrics["distinct"]([]) == 0 and metrics["diversity"]([]) == 0 and metrics["diversity"](["C"]) == 0
    assert metrics["diversity"](["C", "O", "invalid: empty"]) == 1
    assert metrics["diversity"](["CCO", "OCC"]) == 0


def test_diversity_is_the_mean_distance_of_pairs():
    ab, ac, bc = (tanimoto_diversity(pair) for pair in (["CCO", "CCN"], ["CCO", "CC"], ["CCN", "CC"]))
    assert tanimoto_diversity(["CCO", "CCN", "CC"]) == pytest.approx((ab + ac + bc) / 3)
    assert tanimoto_diversity(["C"] * 50 + ["O"] * 50, most=2) == 1


def test_missing_rdkit_names_the_extra(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(molecule_identity, "import_module", absent)
    with pytest.raises(MissingDependencyError, match=r"seiko\[molecules\]"):
        molecule.rdkit_module()
