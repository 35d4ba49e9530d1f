"""``seiko report``: the page, its files, trackers."""

from __future__ import annotations

import json

import pytest

from campaign_pages import whole
from command_line import data, done, seiko


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab") / "campaign"
    whole(folder, rounds=2)
    return folder


def test_the_page_lies_in_the_campaign(lab):
    assert done("report", lab).stdout == f"The report is {lab}/report/report.html\n"
    assert (lab / "report" / "report_files" / "progress.svg").exists()
    assert (lab / "report" / "report_files" / "trials.csv").exists()


def test_json_title_and_place(lab, tmp_path):
    found = data("report", lab, "--out", tmp_path / "page.html", "--title", "Enzymes <2030>")
    assert found == {"page": str(tmp_path / "page.html"), "readings": 28, "best": 9.25, "tracked": {}}
    assert "<h1>Enzymes &lt;2030&gt;</h1>" in (tmp_path / "page.html").read_text()
    assert (tmp_path / "page_files" / "rounds.jsonl").exists()


def test_trackers(lab, tmp_path):
    pytest.importorskip("tensorboard")
    sink = f"tensorboard:{tmp_path / 'logs'}"
    out = ["--out", tmp_path / "page.html", "--track", sink]
    sent = data("report", lab, *out)["tracked"][sink]
    assert sent > 28 and data("report", lab, *out)["tracked"] == {sink: 0}
    wrong = seiko("report", lab, "--track", "paper:x", "--json", "--out", tmp_path / "other.html")
    assert wrong.exit_code == 2 and "names no tracker" in json.loads(wrong.stderr)["error"]["message"]
    assert not (tmp_path / "other.html").exists()


def test_what_cannot_be_written(lab, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in done("report", lab, "--out", tmp_path / "file" / "a.html", code=2).stderr
