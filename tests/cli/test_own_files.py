"""Files of the domains' own kinds through the command line: each design must be the one that was asked."""

from __future__ import annotations

import json

import pytest

from command_line import data, done


def fasta(path, name, design):
    path.write_text(f">{name} value=0.5\n{design}\n")


def smiles(path, name, design):
    path.write_text(f"{design}\t{name}\t0.5\n")


def sdf(path, name, design):
    from seiko.domains.molecule_files import write_sdf
    from seiko.tables.designs import DesignEntry

    write_sdf(path, [DesignEntry(1, design, name)])
    path.write_text(path.read_text().replace("M  END\n", "M  END\n>  <value>\n0.5\n\n"))


@pytest.mark.parametrize(
    ("write", "chain", "asked", "spelling", "other"),
    [
        (fasta, "tfbind8-low", "ATCATAGG", "atcatagg", "AAAAAAAA"),
        (smiles, "qm9-graph", "CCO", "OCC", "CCN"),
        (sdf, "qm9-graph", "CCO", "OCC", "CCN"),
    ],
)
def test_an_edited_design_is_refused_and_another_spelling_is_not(
    tmp_path, write, chain, asked, spelling, other
):
    if chain == "qm9-graph":
        pytest.importorskip("rdkit")
    lab, told = tmp_path / "lab", tmp_path / f"told.{write.__name__}"
    done("init", lab, "--chain", chain, "--method", "random", "--budget", 10)
    write(told, "mine", asked)
    done("attach", lab, told)
    write(told, "trial-0", other)
    for verb in (["tell", "--dry-run"], ["tell"], ["amend", "--reason", "x"]):
        result = done(verb[0], lab, told, *verb[1:], "--json", code=2)
        [problem] = json.loads(result.stderr.strip().splitlines()[-1])["error"]["problems"]
        assert problem["row"] == 1
        assert f"The design of trial 0 is {asked!r}, but the row says {other!r}" in problem["what"]
    write(told, "trial-0", spelling)
    assert data("tell", lab, told)["changed"] == []


def test_data_fields_of_an_sd_file_are_told_ignored_or_refused_where_misspelt(tmp_path):
    pytest.importorskip("rdkit")
    lab, file = tmp_path / "lab", tmp_path / "told.sdf"
    done("init", lab, "--chain", "qm9-graph", "--method", "random", "--budget", 10)
    sdf(file, "trial-0", "CCO")
    text = file.read_text()
    designs = tmp_path / "designs.smi"
    designs.write_text("CCO mine\n")
    done("attach", lab, designs, "--pending")
    file.write_text(text.replace("<value>", "<valeu>"))
    problems = json.loads(done("tell", lab, file, "--json", code=2).stderr)["error"]["problems"]
    assert any("did you mean `value`" in problem["what"] for problem in problems)
    file.write_text(text.replace("<value>\n0.5", "<value>\n0.5\n\n>  <plate>\n3\n\n>  <sem>\n0.1"))
    told = data("tell", lab, file)
    assert (told["changed"], told["ignored_columns"]) == ([0], ["plate"])
    [trial] = json.loads(done("export", lab, "--state", "complete", "--json").stdout)
    assert (trial["value"], trial["noise_std"]) == (0.5, 0.1)


def test_readings_in_headers_are_told_whole_or_not_at_all(tmp_path):
    lab, file = tmp_path / "lab", tmp_path / "told.fasta"
    done("init", lab, "--chain", "tfbind8-low", "--method", "random", "--budget", 10)
    file.write_text(">one\nATCATAGG\n>two\nAAAAAAAA\n")
    done("attach", lab, file, "--pending")
    for words in ("value=0.41 value=0.99", "valeu=0.41", "value=0,41", "value=1 000", "note=B7 value=0.41"):
        file.write_text(f">trial-0 Value=0.7 note=well B7, flat\nATCATAGG\n>trial-1 {words}\nAAAAAAAA\n")
        [problem] = json.loads(done("tell", lab, file, "--json", code=2).stderr)["error"]["problems"]
        assert problem["row"] == 3
    file.write_text(">trial-0 Value=0.7 note=well B7, flat\nATCATAGG\n>trial-1 plate 3\nAAAAAAAA\n")
    told = data("tell", lab, file)
    assert (told["changed"], told["unmeasured"]) == ([0], 1)
    [trial] = json.loads(done("export", lab, "--state", "complete", "--json").stdout)
    assert (trial["value"], trial["note"]) == (0.7, "well B7, flat")
