"""A laboratory's campaign through the command line, as docs/wet_lab.md tells it."""

from __future__ import annotations

import itertools

from command_line import begun, data, done, read_csv, write_csv
from command_line_world import score


def half_back(rows):
    """The first half of a plate: 5 wells failed, 3 designs are infeasible, the others were measured."""
    filled = []
    for number, row in enumerate(rows):
        if number < 48:
            status = "failed" if number < 5 else "infeasible" if number < 8 else ""
            value = "" if status else str(score(row["design"]))
            row = {**row, "status": status, "value": value, "note": f"well {number}"}
        filled.append(row)
    return filled


def test_the_walk(tmp_path):
    lab = begun(tmp_path / "lab", budget=480, num_queries=96)
    words = ["".join(letters) for letters in itertools.product("TGCA", repeat=6)][:96]
    old = write_csv(tmp_path / "old.csv", [{"design": w, "value": score(w), "noise_std": 0.1} for w in words])
    assert "Would attach 96 designs" in done("attach", lab, old, "--dry-run").stdout
    assert "Attached 96 designs" in done("attach", lab, old).stdout
    assert data("status", lab)["queries_left"] == 480

    plate = tmp_path / "plate1.csv"
    done("ask", lab, "--out", plate)
    rows = read_csv(plate)
    assert len(rows) == 96
    assert {row["design"] for row in rows}.isdisjoint(words)
    assert all(row["value"] == row["status"] == "" and row["predicted_mean"] for row in rows)

    filled = write_csv(tmp_path / "filled.csv", half_back(rows))
    before = data("status", lab)
    assert data("tell", lab, filled, "--dry-run")["readings"] == {
        "failed": 5,
        "infeasible": 3,
        "complete": 40,
    }
    assert data("status", lab) == before
    told = data("tell", lab, filled)
    assert (len(told["changed"]), told["unmeasured"]) == (48, 48)
    assert data("tell", lab, filled)["changed"] == []
    status = data("status", lab)
    counts = {
        name: status[f"num_{name}"] for name in ("complete", "failed", "infeasible", "pending", "attached")
    }
    assert counts == {"complete": 136, "failed": 5, "infeasible": 3, "pending": 48, "attached": 96}

    second = tmp_path / "plate2.xlsx"
    done("ask", lab, "--out", second)
    assert data("status", lab)["queries_left"] == 480 - 2 * 96
    assert data("status", lab)["num_pending"] == 48 + 96
    assert len(done("retry", lab).stdout.split(":")[1].split()) == 5

    rest = [{**row, "value": score(row["design"])} for row in rows[48:]]
    assert len(data("tell", lab, write_csv(tmp_path / "rest.csv", rest))["changed"]) == 48
    awaited = tmp_path / "awaited.csv"
    done("export", lab, "--pending", "--out", awaited)
    assert len(read_csv(awaited)) == 5 + 96

    done("report", lab, "--out", tmp_path / "page" / "report.html")
    page = (tmp_path / "page" / "report.html").read_text()
    assert "Campaign lab" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert data("doctor", lab)["sound"]
    everything = tmp_path / "all.jsonl"
    done("export", lab, "--out", everything)
    assert len(everything.read_text().splitlines()) == 96 * 3
