"""Docking: what is told of each molecule, time limits and crashes, and AutoDock Vina itself."""

from __future__ import annotations

import gzip
import math
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rdkit", reason="docking needs the extra `docking`")

from measured_data import data_path, needed
from seiko.errors import DataError, MissingDependencyError, ParameterError
from seiko.oracles import docking_process, docking_worker
from seiko.oracles.docking import Docking, Fidelity
from seiko.oracles.ligands import UndockableError, embed, pose_molecule, prepare_ligand
from seiko.oracles.receptors import PUBLISHED, Receptor, load_receptor, read_pdbqt
from seiko.records import TrialState

FOLDER = data_path("docking")


def pocket(extra: str = "") -> str:
    """Carbon and oxygen atoms on a sphere of radius 6 Angstrom, as PDBQT: a receptor one can dock into."""
    lines, count = [], 60
    for i in range(count):
        z = 1 - 2 * (i + 0.5) / count
        angle, r = i * math.pi * (3 - math.sqrt(5)), 6 * math.sqrt(1 - z * z)
        x, y, kind = r * math.cos(angle), r * math.sin(angle), "OA" if i % 5 == 0 else "C "
        lines.append(
            f"ATOM  {i + 1:5d}  C   ALA A{i + 1:4d}    {x:8.3f}{y:8.3f}{6 * z:8.3f}"
            f"  1.00  0.00     0.000 {kind}"
        )
    return "\n".join(lines) + "\n" + extra


POCKET = Receptor("pocket", pocket(), (0, 0, 0), (14, 14, 14))


# --- receptors and boxes


@pytest.mark.parametrize(
    ("pdbqt", "center", "size", "reason"),
    [
        (pocket(), (50, 0, 0), (14, 14, 14), "misses it: 0 of 60 atoms"),
        (pocket(), (0, 0, 0), (2, 2, 2), "misses it"),
        (pocket(), (0, 0), (14, 14, 14), "`center` must be three"),
        (pocket(), (0, 0, math.nan), (14, 14, 14), "`center` must be three"),
        (pocket(), (0, 0, 0), "large", "`size` must be three"),
        (pocket(), (0, 0, 0), (14, 0, 14), "above 0"),
        (pocket(), (0, 0, 0), (14, 99, 14), "at most 60"),
        ("REMARK nothing\n", (0, 0, 0), (14, 14, 14), "holds no atoms"),
        (pocket("ATOM     61  C   ALA A  61       1.0\n"), (0, 0, 0), (14, 14, 14), "Line 61 of receptor x"),
        (pocket().replace(" OA", ""), (0, 0, 0), (14, 14, 14), "Line 1 of receptor x"),
    ],
)
def test_receptors_that_are_none(pdbqt, center, size, reason):
    with pytest.raises(ParameterError, match=reason):
        Receptor("x", pdbqt, center, size)


def test_receptors_are_read_packed_or_not(tmp_path):
    path, packed = tmp_path / "x.pdbqt.gz", gzip.compress(pocket().encode())
    for content in (packed, pocket().encode()):
        path.write_bytes(content)
        assert read_pdbqt(path) == pocket()
    for damaged in (packed[:10] + b"\xff" * 20, packed[:-6]):
        path.write_bytes(damaged)
        with pytest.raises(ParameterError, match="is not a whole PDBQT file"):
            read_pdbqt(path)


def test_published_receptors_are_checked(tmp_path, monkeypatch):
    with pytest.raises(ParameterError, match="parp1, fa7"):
        load_receptor("drd2", tmp_path)
    with pytest.raises(DataError, match="no file"):
        load_receptor("parp1", tmp_path)
    (tmp_path / "parp1.pdbqt.gz").write_bytes(b"half of it")
    with pytest.raises(DataError, match="sha256"):
        load_receptor("parp1", tmp_path)
    monkeypatch.delenv("SEIKO_DATA", raising=False)
    monkeypatch.setenv("SEIKO_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="SEIKO_DATA"):
        load_receptor("parp1")


# --- what is told, with a stand-in for Vina


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(docking_process, "WORKER", "docking_stand_in")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def test_the_mean_of_the_seeds_is_told(stand_in):
    with Docking(POCKET, seeds=(1, 2, 3), processes=2) as feedback:
        first, second, docked = *feedback.evaluate(["CCO", "half"]), feedback.dock(["CCO"])[0]
    assert first.value == pytest.approx(3.2) and first.noise_std == pytest.approx(0.1 / math.sqrt(3))
    assert first.note == "seed 1: -3.100 seed 2: -3.200 seed 3: -3.300"
    assert (
        second.value == pytest.approx(4.2) and "1 runs without result: RuntimeError: no pose" in second.note
    )
    assert docked.energies == {1: -3.1, 2: -3.2, 3: -3.3} and docked.best_pose == "CCO 3"
    assert docked.seconds == 1.5


def test_noise_is_not_told_below_its_least_nor_from_one_seed(stand_in):
    with Docking(POCKET) as one:
        assert one.evaluate(["CCO"])[0].noise_std is None
    with Docking(POCKET, seeds=(1, 2)) as two:
        assert two.evaluate(["CCO"])[0].noise_std == pytest.approx(0.05)


def test_slow_and_crashing_ligands_are_failed_and_nothing_else_is_lost(stand_in):
    designs = ["CC", "slow", "CCC", "crash", "CCCC", "salt", "large"]
    with Docking(POCKET, processes=2, timeout=0.7) as feedback:
        found = feedback.evaluate(designs)
        again = feedback.evaluate(["CCCCC"])[0]
    assert [o.value for o in found] == [2.1, None, 3.1, None, 4.1, None, None]
    assert found[1].state is TrialState.FAILED and found[1].note == "no result within 0.7 s"
    assert found[3].state is TrialState.FAILED and "exit code 7" in found[3].note
    assert found[5].state is TrialState.INFEASIBLE and found[5].note == "disconnected"
    assert found[6].state is TrialState.INFEASIBLE and "5.0 kcal/mol" in found[6].note
    assert again.value == 5.1
    assert (feedback.outcomes["complete"], feedback.outcomes["failed"]) == (4, 2)
    assert feedback.outcomes["infeasible: disconnected"] == 1


def test_a_receptor_that_vina_refuses_is_an_error(stand_in):
    broken = Receptor("x", pocket("REMARK BROKEN\n"), (0, 0, 0), (14, 14, 14))
    with Docking(broken) as feedback, pytest.raises(ParameterError, match="bad map"):
        feedback.evaluate(["CCO"])


def test_a_seed_without_a_pose_does_not_spoil_the_others(stand_in):
    with Docking(POCKET, seeds=(1, 2)) as feedback:
        (found,) = feedback.evaluate(["tight"])
    assert found.value == pytest.approx(5.1) and "does not fit into the box: best pose 5.0" in found.note


@pytest.mark.parametrize(
    ("design", "state", "note"),
    [
        ("crash first", TrialState.COMPLETE, "1 runs without result: the docking process ended"),
        ("crash first, large", TrialState.FAILED, "the docking process ended"),
        ("crash first, flat", TrialState.FAILED, "the docking process ended"),
        ("crash first, salt", TrialState.INFEASIBLE, "disconnected"),
        ("large", TrialState.INFEASIBLE, "it does not fit into the box"),
    ],
)
def test_a_molecule_is_infeasible_where_no_seed_could_have_docked_it(stand_in, design, state, note):
    """A crash of one seed says nothing of the molecule, unless its structure is refused anyway."""
    with Docking(POCKET, seeds=(1, 2, 3)) as feedback:
        (found,) = feedback.evaluate([design])
    assert found.state is state and note in found.note
    assert state is TrialState.COMPLETE or found.note.startswith(note)


def test_a_single_string_is_no_list_of_designs(stand_in):
    with Docking(POCKET) as feedback:
        for verb in (feedback.evaluate, feedback.dock):
            with pytest.raises(ParameterError, match=r"got one string, 'CCO'\. Write \[design\]"):
                verb("CCO")


def test_nothing_to_dock(stand_in):
    assert Docking(POCKET).evaluate([]) == []


def test_bad_settings():
    for wrong in (
        {"seeds": ()}, {"seeds": (1, 1)}, {"seeds": (0,)}, {"processes": 0}, {"timeout": 0},
        {"timeout": math.inf},
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            Docking(POCKET, **wrong)
    for wrong in ({"exhaustiveness": 0}, {"max_evals": -1}, {"exhaustiveness": 1.5}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            Fidelity(**wrong)


def test_a_missing_package_names_the_extra(stand_in, monkeypatch):
    process = docking_process.DockingProcess({})
    with pytest.raises(MissingDependencyError, match="extra"):
        process._check_ready({"error": "MissingDependencyError: Docking needs vina. Install the extra."})


# --- ligands


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C(", "cannot read"),
        ("", "empty"),
        ("CN.OC=O", "a salt or a mixture"),
        ("CC(=O)[O-].[Na+]", "element Na"),
        ("C[Pt]C", "element Pt"),
        ("C" * 81, "81 heavy atoms"),
        ("C" * 400, "400 characters"),
        ("C" * 40, "rotatable bonds, at most 24"),
        ("C[C@H](C)O", "no stereocentre"),
    ],
)
def test_what_cannot_be_docked(smiles, reason):
    pytest.importorskip("meeko", reason="docking needs the extra `docking`")
    with pytest.raises(UndockableError, match=reason):
        prepare_ligand(smiles)


def test_limits_are_told_apart_from_what_another_seed_may_change():
    pytest.importorskip("meeko", reason="docking needs the extra `docking`")
    engine, limits = SimpleNamespace(set_ligand_from_string=None), docking_worker.LigandLimits()
    strained = "C[C@]12C[C@@]1(C)C2"
    answers = [docking_worker.dock(engine, s, 1, {}, limits) for s in ("CN.OC=O", "C" * 40, strained)]
    assert [answer.get("refused") for answer in answers] == [True, True, False], answers


def test_an_impossible_form_has_no_structure():
    """A trans double bond in a ring of six."""
    with pytest.raises(UndockableError, match=r"3-D|stereo"):
        embed("C1CC/C=C/C1", seed=1)


def test_structures_are_repeatable_and_differ_by_seed():
    first, again, other = (embed("CC(F)CCO", seed=s).GetConformer().GetPositions() for s in (1, 1, 2))
    assert (first == again).all() and abs(first - other).max() > 0.01


def test_charged_ligands_are_docked_as_they_are():
    pytest.importorskip("meeko", reason="docking needs the extra `docking`")
    assert prepare_ligand("CC[NH3+]").count("HD") == 3 and prepare_ligand("CC(=O)[O-]").count("OA") == 2


# --- Vina itself


def needs_vina():
    for name in ("vina", "meeko"):
        pytest.importorskip(name, reason="docking needs the extra `docking`")


def test_vina_docks_the_same_in_any_order():
    needs_vina()
    settings = {"center": (0, 0, 0), "size": (14, 14, 14), "seeds": (1, 2)}
    made = docking_worker.engines(pocket(), **settings)
    limits, fidelity = docking_worker.LigandLimits(), {"exhaustiveness": 1, "max_evals": 10_000}
    found = [docking_worker.dock(made[1], s, 1, fidelity, limits) for s in ("CCO", "c1ccccc1", "CCO")]
    assert found[0]["energy"] == found[2]["energy"] != found[1]["energy"] and found[0]["energy"] < 0
    assert docking_worker.dock(made[2], "CCO", 2, fidelity, limits)["pose"] != found[0]["pose"]
    mol = pose_molecule(found[1]["pose"])
    assert mol.GetNumHeavyAtoms() == 6 and abs(mol.GetConformer().GetPositions()).max() < 7
    assert docking_worker.dock(made[1], "C(", 1, fidelity, limits)["infeasible"] == "RDKit cannot read it"


def test_vina_in_its_own_process():
    needs_vina()
    with Docking(POCKET, fidelity=Fidelity(1, 10_000), timeout=120) as feedback:
        good, salt = feedback.evaluate(["CCO", "CN.OC=O"])
    assert good.value > 0 and salt.state is TrialState.INFEASIBLE


def test_vina_says_which_atom_it_cannot_use():
    needs_vina()
    strange = "ATOM     61  C   ALA A  61       1.000   1.000   6.000  1.00  0.00     0.000 Xx\n"
    receptor = Receptor("x", pocket(strange), (0, 0, 0), (14, 14, 14))
    refusal = pytest.raises(ParameterError, match="Atom type Xx is not a valid")
    with Docking(receptor) as feedback, refusal as error:
        feedback.evaluate(["CCO"])
    assert "\n" not in str(error.value) and "overloaded" not in str(error.value)


@pytest.mark.data
@pytest.mark.parametrize("name", ["parp1"])
def test_a_published_receptor(name):
    needs_vina()
    needed("docking")
    with Docking(load_receptor(name, FOLDER), fidelity=Fidelity(1, 2000), timeout=300) as feedback:
        (found,) = feedback.evaluate(["Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F"])
    assert 6 < found.value < 10  # celecoxib; 9.2 with a whole search


@pytest.mark.data
@pytest.mark.slow
def test_the_five_published_receptors_against_the_readings_of_their_readme():
    """Vina 1.2.7, exhaustiveness 1, 20,000 evaluations: celecoxib."""
    needs_vina()
    needed("docking")
    wanted = {"parp1": 9.2, "fa7": 6.7, "5ht1b": 9.1, "braf": 10.6, "jak2": 9.4}
    assert set(wanted) == set(PUBLISHED)
    for name, energy in wanted.items():
        receptor = load_receptor(name, FOLDER)
        with Docking(receptor, fidelity=Fidelity(1, 20_000), seeds=(1, 2), processes=2, timeout=300) as f:
            start = time.perf_counter()
            (found,) = f.evaluate(["Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F"])
        # Two short searches against one: their readings scatter by up to .7 kcal/mol each.
        assert found.value == pytest.approx(energy, abs=1.5), (name, time.perf_counter() - start)
