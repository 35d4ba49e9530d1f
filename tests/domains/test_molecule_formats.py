"""Files of molecules: round trips, and errors that name line and record."""

from __future__ import annotations

import gzip

import pytest

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from rdkit import Chem
from rdkit.Chem import AllChem

from seiko.domains.molecule_drawing import draw_molecule, draw_molecules
from seiko.domains.molecule_formats import MoleculeRecord, read_molecules, write_molecules
from seiko.domains.molecule_identity import MoleculeRules
from seiko.errors import ParameterError

SMILES = ["CCO", "C[C@H](F)O", "F/C=C/F", "c1ccc2[nH]ccc2c1", "C[N+](C)(C)CC(=O)[O-]"]
RECORDS = [MoleculeRecord(Chem.CanonSmiles(s), f"molecule {i}") for i, s in enumerate(SMILES)]


@pytest.mark.parametrize("name", ["a.smi", "a.smi.gz", "a.sdf", "a.sdf.gz"])
def test_round_trip(tmp_path, name):
    write_molecules(tmp_path / name, RECORDS)
    records, problems = read_molecules(tmp_path / name)
    assert [(r.smiles, r.name) for r in records] == [(r.smiles, r.name) for r in RECORDS] and not problems


def test_data_fields_of_sd_files_come_back(tmp_path):
    write_molecules(tmp_path / "a.sdf", [MoleculeRecord("CCO", "ethanol", {"score": "1.5", "plate": "A 3"})])
    (record,), _ = read_molecules(tmp_path / "a.sdf")
    assert record.name == "ethanol" and dict(record.properties) == {"score": "1.5", "plate": "A 3"}


def test_data_fields_come_back_as_they_were_written(tmp_path):
    fields = {
        "ID": "00123",
        "batch": "1e5",
        "lot": "1.10",
        "empty": "",
        "lines": " a\n>  <b>\n  c",
        "ü>": "µ ",
    }
    write_molecules(tmp_path / "a.sdf", [MoleculeRecord("CCO", "ethanol", fields)])
    (record,), _ = read_molecules(tmp_path / "a.sdf")
    assert record.properties == fields
    write_molecules(tmp_path / "b.sdf", [record])
    assert (tmp_path / "b.sdf").read_text() == (tmp_path / "a.sdf").read_text()


@pytest.mark.parametrize("value", ["a\n\nb", "\na", "a\n", "\n", "a\r\nb", "a\n$$$$", "$$$$"])
def test_what_an_sd_file_cannot_hold(tmp_path, value, capfd):
    mol = Chem.MolFromSmiles("C")
    mol.SetProp("note", value)
    for molecule in (MoleculeRecord("C", "one", {"note": value}), mol):
        with pytest.raises(ParameterError, match=r"cannot hold the data field 'note'.*Take out"):
            write_molecules(tmp_path / "a.sdf", ["CC", molecule])
    with pytest.raises(ParameterError, match="cannot hold the name"):
        write_molecules(tmp_path / "a.sdf", [MoleculeRecord("C", value)])
    for key in ("", "_private", f"a\n{value}"):
        with pytest.raises(ParameterError, match="data field of the name"):
            write_molecules(tmp_path / "a.sdf", [MoleculeRecord("C", "one", {key: "1"})])
    assert not (tmp_path / "a.sdf").exists() and capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a.smi", "a.sdf"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, name):
    write_molecules(tmp_path / name, RECORDS[:2])
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())
    records, _ = read_molecules(tmp_path / name)
    assert [(r.smiles, r.name) for r in records] == [(r.smiles, r.name) for r in RECORDS[:2]]


def test_the_first_of_several_conformers_is_written(tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMultipleConfs(mol, 2, randomSeed=1)
    write_molecules(tmp_path / "a.sdf", [mol])
    (again,) = Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False)
    assert again.GetConformer().GetPositions() == pytest.approx(mol.GetConformer(0).GetPositions(), abs=1e-3)


def test_coordinates_in_space_are_kept_and_give_the_stereochemistry(tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](F)O"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    write_molecules(tmp_path / "a.sdf", [mol])
    again = next(Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False))
    assert again.GetConformer().Is3D()
    assert again.GetConformer().GetPositions() == pytest.approx(mol.GetConformer().GetPositions(), abs=1e-3)
    (record,), _ = read_molecules(tmp_path / "a.sdf")
    assert record.smiles == Chem.CanonSmiles("C[C@H](F)O")
    write_molecules(tmp_path / "a.smi", [mol])
    assert (tmp_path / "a.smi").read_text() == Chem.CanonSmiles("C[C@H](F)O") + "\n"


def test_lines_of_a_list(tmp_path):
    (tmp_path / "a.smi").write_text("# comment\nOCC ethanol, 96 %\n\n\tC\t\nCC(\n")
    with pytest.raises(ParameterError, match=r"a\.smi, line 5 \(record 3, 'CC\('\): RDKit cannot read it"):
        read_molecules(tmp_path / "a.smi")
    records, problems = read_molecules(tmp_path / "a.smi", skip=True)
    assert [(r.smiles, r.name, r.line) for r in records] == [("CCO", "ethanol, 96 %", 2), ("C", "", 4)]
    assert [(p.number, p.line) for p in problems] == [(3, 5)]


def test_rules_of_a_file(tmp_path):
    (tmp_path / "a.smi").write_text("CCO\nCC(=O)[O-].[Na+]\n")
    _, problems = read_molecules(tmp_path / "a.smi", rules=MoleculeRules(max_atoms=2), skip=True)
    assert [p.reason[:9] for p in problems] == ["3 heavy a", "5 heavy a"]


def test_broken_records_of_sd_files(tmp_path):
    path = tmp_path / "a.sdf"
    write_molecules(path, RECORDS[:3])
    first, second, third, _ = path.read_text().split("$$$$\n")
    start = first.count("\n") + 2
    broken = second.replace(" C ", " Qq", 1)
    path.write_text(f"{first}$$$$\n{broken}$$$$\n{third[: len(third) // 2]}")
    with pytest.raises(ParameterError, match=rf"line {start} \(record 2, 'molecule 1'\): RDKit cannot read"):
        read_molecules(path)
    records, problems = read_molecules(path, skip=True)
    assert [r.name for r in records] == ["molecule 0"] and [p.number for p in problems] == [2, 3]
    assert "cut off" in problems[1].reason


def test_files_that_are_none(tmp_path):
    (tmp_path / "a.smi").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "a.smi.gz").write_bytes(gzip.compress(b"CCO\n")[:-6])
    (tmp_path / "b.smi.gz").write_bytes(gzip.compress(b"CCO\n")[:10] + b"\xff" * 20)
    for name in ("a.smi", "a.smi.gz", "b.smi.gz", "absent.sdf"):
        with pytest.raises(ParameterError, match="cannot be read as text"):
            read_molecules(tmp_path / name)
    for name in ("a.mol2", "a"):
        with pytest.raises(ParameterError, match="ends in"):
            read_molecules(tmp_path / name)
        with pytest.raises(ParameterError, match="ends in"):
            write_molecules(tmp_path / name, ["C"])
    with pytest.raises(ParameterError, match="cannot read"):
        write_molecules(tmp_path / "b.smi", ["C", "C("])
    assert not (tmp_path / "b.smi").exists()


def test_drawings():
    plain, marked = draw_molecule("CCc1ccccc1"), draw_molecule("CCc1ccccc1", highlight="c1ccccc1")
    assert plain != marked and draw_molecule("CCc1ccccc1", highlight="F") == plain
    sheet = draw_molecules(SMILES, [f"no. {i}" for i in range(5)], columns=2, size=100)
    assert sheet.startswith("<svg") and sheet.endswith("</svg>")
    assert "width='200px' height='240px'" in sheet
    for wrong in (([], None), (SMILES, ["one"])):
        with pytest.raises(ParameterError, match="one legend"):
            draw_molecules(*wrong)
