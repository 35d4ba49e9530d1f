"""The verbs of a campaign: what they do, how they fail, with which exit code, and that nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import command_line_world
from command_line import begun, data, done, read_csv, seiko, write_csv
from command_line_world import score
from seiko.cli import main as cli


@pytest.fixture
def lab(tmp_path):
    return begun(tmp_path / "lab")


@pytest.fixture
def asked(lab):
    done("ask", lab, "--out", lab / "batch.csv")
    return lab


def batch(lab):
    return read_csv(lab / "batch.csv")


def refused(*args, code=2):
    result = done(*args, "--json", code=code)
    return json.loads(result.stderr.strip().splitlines()[-1])["error"]


def test_init_writes_a_file_that_is_read_again(tmp_path):
    from seiko.config import load

    folder = tmp_path / "first"
    done(
        "init",
        folder,
        "--chain",
        "qm9-graph",
        "--method",
        "greedy",
        "--budget",
        300,
        "--num-queries",
        30,
        "--seed",
        7,
    )
    config = load(folder)
    assert (config.chain, config.method, config.budget, config.num_queries, config.seed) == (
        "qm9-graph", "greedy", 300, 30, 7
    )  # fmt: skip
    assert refused("init", folder)["message"].endswith("is there already.")
    done("init", tmp_path / "second", "--yaml", "--budget", 5)
    assert load(tmp_path / "second").num_queries == 5
    assert "did you mean" in refused("init", tmp_path / "third", "oracle.retry=1")["message"]
    assert not (tmp_path / "third").exists()
    assert "is a file" in refused("init", tmp_path / "first" / "campaign.toml")["message"]


@pytest.mark.parametrize("total", ["nan", "inf", "-inf", "1e300"])
@pytest.mark.parametrize("size", [(), ("--num-queries", 3)])
def test_a_budget_that_is_no_number_of_designs_is_refused(tmp_path, total, size):
    error = refused("init", tmp_path / "first", f"--budget={total}", *size)
    assert error["kind"] == "ConfigError"
    assert "`budget.total` must be a number from" in error["message"]
    assert not (tmp_path / "first").exists()


def test_asking_writes_a_batch_and_charges_once(lab):
    first = data("ask", lab)
    assert [trial["trial_id"] for trial in first["trials"]] == list(range(8))
    assert (first["budget_left"], first["unit"], first["round"]) == (32, "queries", 0)
    out = lab / "next.tsv"
    done("ask", lab, "-n", 3, "--out", out)
    assert len(out.read_text().splitlines()) == 4
    assert "may hold readings" in refused("ask", lab, "--out", out)["message"]
    assert "have the format of" in refused("ask", lab, "--out", lab / "x", "--format", "parquet")["message"]
    assert data("status", lab)["queries_left"] == 29
    done("ask", lab, "-n", 29)
    assert refused("ask", lab, code=3)["kind"] == "BudgetExhausted"


def test_a_file_that_cannot_be_written_is_said_before_the_budget_is_charged(lab):
    assert refused("ask", lab, "--out", lab / "nowhere" / "a.csv")["kind"] == "TableError"
    assert refused("ask", lab, "--out", lab / "a.unknown")["kind"] == "ParameterError"
    assert not (lab / "campaign.sqlite").exists() or data("status", lab)["queries_left"] == 40


def test_telling_single_readings(asked):
    assert data("tell", asked, "0=0.5", "1=failed", "2=infeasible", "3=abandoned")["changed"] == [0, 1, 2, 3]
    status = data("status", asked)
    assert [status[f"num_{name}"] for name in ("complete", "failed", "infeasible", "abandoned")] == [
        1,
        1,
        1,
        1,
    ]
    assert "abandoned" in done("status", asked).stdout
    for wrong in (["0=0.6"], ["99=1"], ["4=x"], ["4=nan"], ["4=1", "x.csv"], ["nowhere.csv"]):
        refused("tell", asked, *wrong)
    assert data("status", asked)["num_complete"] == 1


def test_every_wrong_row_is_named_and_nothing_is_told(asked):
    done("tell", asked, "0=0.5", "1=1")
    rows = [{**row, "value": "1.25"} for row in batch(asked)]
    rows[2]["value"] = "high"
    rows[3]["design"] = "AAAAAA"
    rows[4]["trial_id"] = "77"
    rows[5]["value"] = "=A1"
    problems = refused("tell", asked, write_csv(asked / "f.csv", rows))["problems"]
    assert [problem["row"] for problem in problems] == [4, 5, 6, 7]
    for row, original in zip(rows, batch(asked), strict=True):
        row.update(design=original["design"], trial_id=original["trial_id"], value="1.25")
    problems = refused("tell", asked, write_csv(asked / "f.csv", rows))["problems"]
    assert [problem["row"] for problem in problems] == [2, 3]
    assert data("status", asked)["num_complete"] == 2


@pytest.mark.parametrize("written", ["3", "3.00", "+3", "3e0", " 3 ", "03"])
def test_a_trial_is_found_however_its_number_is_written(asked, written):
    path = write_csv(asked / "f.csv", [{**batch(asked)[3], "trial_id": written, "value": 1.25}])
    assert data("tell", asked, path)["changed"] == [3]


@pytest.mark.parametrize("written", ["8", "8.00", "1e15", "3.5", "-3", "x", "1e400"])
def test_what_is_no_trial_is_refused_however_it_is_written(asked, written):
    path = write_csv(asked / "f.csv", [{**batch(asked)[3], "trial_id": written, "value": 1.25}])
    [problem] = refused("tell", asked, path)["problems"]
    assert "There is no trial" in problem["what"] or "whole number" in problem["what"]


def test_replicates_and_their_noise(asked):
    first = batch(asked)[0]
    rows = [{**first, "value": value, "replicate": n} for n, value in enumerate([1.0, 3.0], start=1)]
    assert data("tell", asked, write_csv(asked / "f.csv", rows))["readings"] == {"complete": 2}
    exported = json.loads(done("export", asked, "--json", "--state", "complete").stdout)
    assert (exported[0]["value"], exported[0]["num_readings"]) == (2.0, 2)
    readings = json.loads(done("export", asked, "--readings", "--json").stdout)
    assert [reading["value"] for reading in readings] == [1.0, 3.0]


def test_an_unfilled_batch_is_nothing_to_do(asked):
    assert refused("tell", asked, asked / "batch.csv", code=4)["kind"] == "NothingToDo"
    assert refused("retry", asked, code=4)["kind"] == "NothingToDo"


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "xlsx"])
def test_a_batch_goes_out_and_comes_back_in_every_format(lab, ending):
    from seiko.tables import read_table, write_table

    out = lab / f"batch.{ending}"
    done("ask", lab, "--out", out)
    rows = [dict(row.cells) for row in read_table(out)]
    filled = [{**row, "value": score(row["design"])} for row in rows]
    write_table(out, list(rows[0]), filled, replace=True)
    assert len(data("tell", lab, out)["changed"]) == 8


def test_retry_abandon_and_amend(asked):
    done("tell", asked, "0=failed", "1=1.5")
    assert data("retry", asked)["changed"] == [0]
    assert refused("retry", asked, 1)["kind"] == "TrialError"
    assert data("abandon", asked, 0, "--reason", "cannot be made")["changed"] == [0]
    assert refused("abandon", asked, 0, "--reason", "x", code=4)["kind"] == "NothingToDo"
    assert refused("abandon", asked, 1, "--reason", "x")["kind"] == "TrialError"
    assert data("amend", asked, "1=2.5", "--reason", "digits swapped")["changed"] == [1]
    assert data("status", asked)["best_value"] == 2.5
    rows = [{"trial_id": 1, "value": 3.5}, {"trial_id": 5, "value": 1}]
    wrong = refused("amend", asked, write_csv(asked / "c.csv", rows), "--reason", "x")
    assert wrong["problems"][0]["row"] == 3
    assert data("status", asked)["best_value"] == 2.5
    assert seiko("amend", asked, "1=2").exit_code == 2


def test_attaching_is_checked_row_by_row(lab):
    rows = [{"design": "ACGTAC", "value": 1}, {"design": "ACG", "value": 1}, {"design": "XXXXXX", "value": 1},
            {"design": "CCCCCC", "value": "?"}, {"design": "ACGTAC", "value": 2}]  # fmt: skip
    problems = refused("attach", lab, write_csv(lab / "old.csv", rows))["problems"]
    assert [problem["row"] for problem in problems] == [3, 4, 5, 6]
    assert "6 letters" in problems[0]["what"]
    assert not (lab / "campaign.sqlite").exists()
    good = write_csv(lab / "old.csv", [rows[0], {"design": "CCCCCC", "value": ""}])
    assert data("attach", lab, good)["trials"] == [0]
    assert data("attach", lab, good)["trials"] == [0]
    other = write_csv(lab / "other.csv", [{"design": "GGGGGG", "value": 1}, {"design": "ACGTAC", "value": 5}])
    assert refused("attach", lab, other)["problems"][0]["row"] == 3
    assert data("status", lab)["num_trials"] == 1
    assert refused("attach", lab, lab / "none.csv")["kind"] == "TableError"


def test_designs_are_attached_to_be_measured(lab):
    path = write_csv(lab / "ideas.csv", [{"design": "ACGTAC"}, {"design": "CCCCCC"}])
    assert data("attach", lab, path, "--pending", "--charge")["trials"] == [0, 1]
    status = data("status", lab)
    assert (status["num_pending"], status["budget_left"]) == (2, 38)
    told = write_csv(lab / "told.csv", [{"design": "ACGTAC", "value": 1}])
    assert refused("attach", lab, told, "--pending")["problems"][0]["row"] == 2


def test_a_domains_own_files(lab):
    out = lab / "batch.words"
    done("ask", lab, "--out", out)
    first = out.read_text().splitlines()[0]
    assert first.startswith("trial-0:")
    out.write_text(f"{first}=2.5\n")
    assert data("tell", lab, out)["changed"] == [0]
    assert data("status", lab)["best_value"] == 2.5
    folder = lab / "pictures"
    done("ask", lab, "--out", folder, "--format", "folder")
    assert len(list(folder.iterdir())) == 8
    old = lab / "old.words"
    old.write_text("mine:CGCGCG=1.5\nhers:ACG=2\n")
    assert refused("attach", lab, old)["problems"][0]["row"] == 2
    old.write_text("mine:CGCGCG=1.5\n")
    assert len(data("attach", lab, old)["trials"]) == 1


def test_a_domains_own_file_may_spell_a_design_anew_but_not_change_it(lab):
    out = lab / "batch.words"
    done("ask", lab, "--out", out)
    lines = out.read_text().lower().splitlines()
    name, first = lines[0].split(":")
    out.write_text(f"{name}:{first}=1.5\n{lines[1]}\n")
    assert data("tell", lab, out, "--dry-run")["changed"] == [0]
    out.write_text(f"trial-1:{first}=1.5\n{lines[2]}\ntrial-3:{first}\n")
    problems = refused("tell", lab, out)["problems"]
    assert [problem["row"] for problem in problems] == [1, 3]
    assert f"but the row says '{first}'; designs may not be edited" in problems[0]["what"]
    assert data("status", lab)["num_complete"] == 0


def test_a_design_that_its_domain_cannot_read_is_named(lab):
    from seiko.cli.batches import rows_of_designs
    from seiko.errors import TableError
    from seiko.tables.designs import DesignEntry

    _, domain = command_line_world.load()
    with pytest.raises(TableError, match=r"row 7: The design None cannot be read: TypeError"):
        list(rows_of_designs(domain, [DesignEntry(7, None, "trial-0")], "a.words"))


def test_what_may_change_in_the_file_and_what_may_not(asked):
    file = asked / "campaign.toml"
    text = file.read_text()
    file.write_text(text.replace("workers = 2", "workers = 4").replace("num_queries = 8", "num_queries = 3"))
    assert len(data("ask", asked)["trials"]) == 3
    file.write_text(text.replace("seed = 0", "seed = 1"))
    assert "`campaign.seed` was 0 and is 1" in refused("ask", asked)["message"]
    assert not data_of_doctor(asked)["sound"]
    file.unlink()
    assert len(data("ask", asked)["trials"]) == 8
    file.write_text(text)
    assert "`method.arguments` was" in refused("ask", asked, "method.arguments.shift=2")["message"]


def data_of_doctor(lab, *args, code=2):
    return json.loads(done("doctor", lab, *args, "--json", code=code).stdout)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("campaign.chain=word:load", "no module 'word'"),
        ("campaign.chain=words:lod", "Did you mean 'load'?"),
        ("campaign.chain=qm9", "the zoo has"),
        ("method.name=seiko_ucp", "Did you mean 'seiko_ucb'?"),
        ("method.arguments.shfit=1", "does not take the arguments"),
    ],
)
def test_parts_that_cannot_be_found(tmp_path, setting, words):
    lab = begun(tmp_path / "lab", setting)
    error = refused("ask", lab)
    assert words in f"{error['message']} {error['hint']}"
    assert not (lab / "campaign.sqlite").exists()


def test_run_spends_the_budget_and_learns(lab):
    found = data("run", lab, "executor.kind=serial")
    assert found["num_complete"] == 40
    assert found["best_value"] == max(
        trial["value"] for trial in json.loads(done("export", lab, "--json").stdout)
    )
    assert refused("run", lab, code=4)["kind"] == "NothingToDo"


def test_run_without_an_oracle_and_with_a_broken_one(lab):
    file = lab / "campaign.toml"
    text = file.read_text()
    file.write_text(text.replace('python = "words:score"', ""))
    assert "no oracle" in refused("run", lab)["message"]
    file.write_text(text.replace("words:score", "words:fails"))
    error = refused("run", lab, "executor.kind=serial")
    assert error["kind"] == "ObservationError"
    assert "the assay broke" in error["message"]


def test_run_with_a_program(lab):
    program = lab / "score.py"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nfor line in sys.stdin:\n    asked = json.loads(line)\n"
        "    value = asked['design'].count('A')\n"
        "    print(json.dumps({'v': 1, 'trial_id': asked['trial_id'], 'value': value}), flush=True)\n"
    )
    file = lab / "campaign.toml"
    file.write_text(file.read_text().replace('python = "words:score"', 'command = ["score.py"]'))
    assert "chmod +x" in refused("run", lab)["hint"]
    assert "oracle" in [c["subject"] for c in data_of_doctor(lab)["checks"] if c["state"] == "error"]
    program.chmod(0o755)
    assert data("run", lab)["num_complete"] == 40


def test_ctrl_c_stops_with_130_and_the_run_goes_on(lab):
    (lab / "slow.py").write_text(
        "import time\ndef score(word):\n    time.sleep(0.2)\n    return float(word.count('A'))\n"
    )
    command = [
        sys.executable,
        "-m",
        "seiko.cli.main",
        "run",
        str(lab),
        "oracle.python=slow:score",
        "executor.kind=serial",
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    database, begin = lab / "campaign.sqlite", time.monotonic()
    while time.monotonic() - begin < 120 and (
        not database.exists() or data("status", lab)["num_complete"] < 2
    ):
        time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped" in stderr
    assert "Traceback" not in stderr
    assert 2 <= data("status", lab)["num_complete"] < 40
    assert data("run", lab, "executor.kind=serial")["num_complete"] == 40


@pytest.mark.parametrize("state", [2, "complete", 999])
def test_doctor_finds_and_mends(asked, state):
    assert data("doctor", asked)["sound"]
    old = asked / ".batch.csv.1.part"
    old.write_text("")
    os.utime(old, (0, 0))
    assert [c["state"] for c in data("doctor", asked)["checks"] if c["subject"] == "leftovers"] == ["warning"]
    done("doctor", asked, "--mend")
    assert not old.exists()
    import sqlite3

    with sqlite3.connect(asked / "campaign.sqlite") as connection:
        connection.execute("update trials set state = ?, value = 7 where id = 0", (state,))
    found = data_of_doctor(asked)
    assert any("journal" in check["what"] or "damaged" in check["what"] for check in found["checks"])
    mended = data("doctor", asked, "--mend")
    assert "mended" in [check["state"] for check in mended["checks"]]
    assert data("doctor", asked)["sound"]
    assert data("status", asked)["num_complete"] == 0


def test_doctor_of_what_is_no_campaign(tmp_path, lab):
    assert not data_of_doctor(tmp_path / "nowhere")["sound"]
    (lab / "campaign.sqlite").write_bytes(b"SQLite format 3\0" + bytes(5000))
    assert "database" in [c["subject"] for c in data_of_doctor(lab)["checks"] if c["state"] == "error"]
    (lab / "campaign.toml").write_text("[campaign]\nsed = 1\n")
    assert "campaign.seed" in data_of_doctor(lab)["checks"][0]["what"]


def test_a_campaign_that_was_not_begun(lab, tmp_path):
    for verb in (["tell", lab, "0=1"], ["retry", lab], ["export", lab], ["report", lab], ["status", lab]):
        assert "was not begun" in refused(*verb)["message"]
    assert "seiko init" in str(refused("ask", tmp_path / "empty"))


def test_every_command_has_examples_and_json():
    for name in cli.COMMANDS:
        if name == "bench":
            continue
        text = seiko(name, "--help").output
        assert f"seiko {name}" in text.partition("Example")[2], name
        assert "--json" in text, name
