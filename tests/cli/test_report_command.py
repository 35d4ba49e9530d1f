"""``seiko report``: the page, its files, trackers."""

from __future__ import annotations

import json

import pytest

from campaign_pages import whole
from command_line import data, done, seiko
from seiko import Campaign, methods, zoo


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


def test_figures_of_many_designs_need_the_domain(tmp_path):
    chain, domain = zoo.load("tfbind8-low")
    campaign = Campaign.create(
        tmp_path / "dna", domain=domain, proposer=methods.random(chain, domain), budget=12,
        num_queries=12, config={"campaign.chain": "tfbind8-low"},
    )  # fmt: skip
    campaign.tell({t.id: t.design.count("A") for t in campaign.ask()})
    files = tmp_path / "dna" / "report" / "report_files"
    done("report", campaign.path, "--no-figures")
    assert not (files / "sequence-logo-best.svg").exists()
    done("report", campaign.path)
    assert (files / "sequence-logo-best.svg").exists()
    assert "The 10 highest of 12 readings" in (files.parent / "report.html").read_text()


def test_a_domain_that_cannot_be_had_is_an_error_only_if_it_is_wanted(tmp_path):
    whole(tmp_path / "lab", rounds=1, config={"campaign.chain": "gone"})
    done("report", tmp_path / "lab")
    assert "the zoo has" in done("report", tmp_path / "lab", "--figures", code=2).stderr
