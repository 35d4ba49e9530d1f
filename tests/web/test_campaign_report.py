"""The page of one campaign: at every stage, right, escaped, without network, torch or the domain."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import warnings
from datetime import UTC, datetime

import pytest
from PIL import Image

from campaign_pages import EVIL, SVG, Words, attach, begun, domain, score, tell, whole
from seiko.campaign import Journal
from seiko.domains.image_format import draw_image
from seiko.errors import CampaignError
from seiko.records import Observation
from seiko.web.campaign_parts import cut
from seiko.web.campaign_report import write_campaign_report
from seiko.web.report import picture_of, unsmoothed

NOW = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
ENDINGS = ("png", "svg")


def written(campaign, folder, **more):
    more = {"plots": False, "now": NOW} | more
    return write_campaign_report(campaign.journal, folder / "out" / "report.html", **more)


def words_of(page):
    """The page as a reader sees it, without its figures."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page.read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def safe(text):
    """Whether nothing in a page can run or load."""
    outside = re.sub(r"url\(#", "", text)
    assert not re.search(
        r"<script|<link|<iframe|<object|@import|url\(|https?:|//[a-z]", outside, re.IGNORECASE
    )
    assert not re.search(r"<[^>]*\son\w+=", outside)
    assert all(source.startswith("data:image/") for source in re.findall(r"src=\"([^\"]*)", outside))
    return True


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return whole(tmp_path_factory.mktemp("whole") / "campaign", config={"method.name": "seiko_ucb"})


@pytest.fixture(scope="module")
def page(campaign, tmp_path_factory):
    return written(campaign, tmp_path_factory.mktemp("page"), plots=True)


def test_it_says_what_was_asked_and_told(page, campaign):
    text = words_of(page)
    best = campaign.best(1)[0]
    for words in (
        "Campaign first",
        "60 designs asked by SEIKO-UCB in 3 rounds and 8 designs attached",
        "As it stood on 2030-01-02 at 03:04 UTC",
        f"The best of 43 readings is 9.25 (trial {best.id}, ",
        "Budget: 120 of 1000 EUR",
        "9.25 ± 0.1",
        "mean of 3 readings",
        "2 of 20 results failed. They may be tried again.",
        "3 of 20 results had no reward (infeasible).",
        "20 designs asked, 10 still awaited. 5 readings",
        "The model that proposed them was 3 nats from the pre-trained one and 0.5 from the one before.",
        "clogged × 6",
        "no reason given × 9",
        "Corrected readings 1 in all",
        "digits swapped",
        "plate of 2019",
        "All 68 trials",
    ):
        assert words in text, words


def test_it_needs_nothing_else(page):
    assert safe(page.read_text())
    assert page.stat().st_size < 1_500_000


def test_figures_and_numbers_lie_beside_it(page, campaign):
    beside = page.parent / "report_files"
    figures = {"progress", "batches", "feasible", "kl", "calibration"}
    tables = {"trials.csv", "readings.csv", "rounds.csv", "rounds.jsonl"}
    assert {p.name for p in beside.iterdir()} == {f"{n}.{e}" for n in figures for e in ENDINGS} | tables
    assert (beside / "kl.png").read_bytes().startswith(b"\x89PNG")
    with open(beside / "rounds.csv", newline="") as file:
        rounds = list(csv.DictReader(file))
    assert [row["round"] for row in rounds] == ["-1", "0", "1", "2"]
    first = [t for t in campaign.trials if t.round == 0]
    values = [t.value for t in first if t.value is not None]
    assert float(rounds[1]["mean"]) == pytest.approx(sum(values) / len(values))
    assert float(rounds[1]["feasible_fraction"]) == pytest.approx(15 / 18)
    assert (rounds[3]["readings"], rounds[3]["awaited"]) == ("5", "10")
    with open(beside / "readings.csv", newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == len(list(campaign.journal.readings()))
    lines = [json.loads(line) for line in (beside / "rounds.jsonl").read_text().splitlines()]
    assert [line["report"].get("kl/pretrained_nats") for line in lines] == [0.0, 1.5, 3.0]


def test_the_page_is_the_same_again(page, campaign, tmp_path):
    assert written(campaign, tmp_path, plots=True).read_bytes() == page.read_bytes()


def test_a_new_page_replaces_the_old_one_and_touches_nothing_else(campaign, tmp_path):
    out = tmp_path / "out"
    for folder in ("plots", "data"):
        (out / folder).mkdir(parents=True)
        (out / folder / "trials.csv").write_text("mine")
    (out / "report.html").write_text("old")
    written(campaign, tmp_path, plots=True)
    assert "Campaign first" in (out / "report.html").read_text()
    assert {p.name for p in out.iterdir()} == {"plots", "data", "report.html", "report_files"}
    assert (out / "data" / "trials.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("new", "Nothing has been asked or attached yet."),
        ("asked", "No reading has been told yet; 20 designs are awaited."),
        ("attached", "The best of 8 readings is"),
        ("one", "The best of 1 reading is"),
        ("failed", "20 of 20 results failed. Look at the assay before you ask again."),
        ("infeasible", "20 of 20 results had no reward (infeasible); the next round learns from them."),
        ("abandoned", "No reading has been told, and none is awaited."),
    ],
)
def test_every_stage_has_a_page(tmp_path, stage, expected):
    campaign = begun(tmp_path / "campaign")
    if stage == "attached":
        attach(campaign)
    elif stage != "new":
        trials = campaign.ask()
        numbers = {"failed": {"failed": 20}, "infeasible": {"infeasible": 20}}
        if stage in numbers:
            tell(campaign, trials, **numbers[stage])
        if stage == "one":
            campaign.tell({trials[0].id: 0.25})
        if stage == "abandoned":
            campaign.abandon([t.id for t in trials], reason="moved house")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = written(campaign, tmp_path, plots=stage == "asked")
    assert expected in words_of(page) and safe(page.read_text())


def test_malicious_names_notes_and_designs_are_escaped(tmp_path):
    drawings = iter([EVIL, f"<svg>{EVIL}</svg>", f'<img src="data:image/png;base64,AA==" {EVIL}>'] * 40)
    campaign = whole(
        tmp_path / "campaign", note=EVIL, name=EVIL, render=lambda word: next(drawings),
        config={"method.name": EVIL, "method.arguments": {"kl_target": EVIL}}, rounds=2,
    )  # fmt: skip
    campaign.attach([EVIL], [Observation(99.0, note=EVIL)])
    page = written(campaign, tmp_path, title=EVIL, plots=True)
    text = page.read_text()
    assert safe(text) and "alert(1)&lt;/script&gt;" in text and "49" not in text.split("<h1>")[1][:300]
    with open(page.parent / "report_files" / "trials.csv", newline="") as file:
        assert list(csv.DictReader(file))[-1]["note"] == EVIL


def test_formulas_do_not_reach_a_spreadsheet(tmp_path):
    campaign = begun(tmp_path / "campaign")
    trials = campaign.ask()
    campaign.tell({trials[0].id: Observation(1.0, note="=HYPERLINK(1)")})
    page = written(campaign, tmp_path, plots=True)
    with open(page.parent / "report_files" / "trials.csv", newline="") as file:
        assert next(csv.DictReader(file))["note"] == "'=HYPERLINK(1)"


def test_huge_and_equal_numbers(tmp_path):
    campaign = begun(tmp_path / "campaign", num_queries=4)
    for values in ([1e308, -1e308, 1e308, 5e-324], [0.0, 0.0, 0.0, 0.0]):
        campaign.tell(
            {t.id: Observation(v, noise_std=1e300) for t, v in zip(campaign.ask(), values, strict=True)}
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "1×10^308" in words_of(written(campaign, tmp_path))


def test_images_are_drawn_from_the_designs_themselves(tmp_path):
    png = b"\x89PNG\r\n\x1a\n"
    campaign = begun(
        tmp_path / "campaign", num_queries=2, media_type="image/png", render=lambda word: "<b>image</b>",
        to_bytes=lambda word: png + word.encode(), from_bytes=lambda data: data[len(png) :].decode(),
    )  # fmt: skip
    campaign.tell({t.id: score(t.design) for t in campaign.ask()})
    text = written(campaign, tmp_path).read_text()
    assert text.count('src="data:image/png;base64,iVBORw0KGg') == 2 and "Diversity</dt>" not in text


def test_drawings():
    assert picture_of(SVG.format("x")).startswith("data:image/svg+xml;base64,")
    image = "data:image/png;base64,iVBORw0KGgo="
    assert picture_of(f'<img src="{image}" alt="x">') == image
    for other in ("", "<b>x</b>", "<img src='x'>", '<img src="https://a/b.png">', f'<img src="{image}"><b>'):
        assert picture_of(other) == "" and not unsmoothed(other)
    small, large = draw_image(Image.new("RGB", (32, 32))), draw_image(Image.new("RGB", (512, 512)))
    assert picture_of(small).startswith("data:image/png") and picture_of(large).startswith("data:image/png")
    assert unsmoothed(small) and not unsmoothed(large)
    assert cut("a\x00b\u202ec", 9) == "a b c"


def test_many_rounds_and_readings_stay_small(tmp_path):
    campaign = begun(tmp_path / "campaign", num_queries=10, proposer=Unpredicted())
    for _ in range(42):
        campaign.tell({t.id: Observation(score(t.design), noise_std=0.1) for t in campaign.ask()})
    words = [f"{k:04d}{'ACGT'[k % 4]}" for k in range(2500)]
    campaign.attach(words, [Observation(k / 1000, noise_std=0.1) for k in range(2500)])
    page = written(campaign, tmp_path)
    assert page.stat().st_size < 2_000_000
    text = words_of(page)
    assert "1,500 of 2,920 readings are drawn" in text and "The last 300 of 2,920 trials" in text


class Unpredicted(Words):
    def propose(self, history, num_queries, *, resume, generator):
        from seiko.proposers.base import Proposal

        first = 10_000 + len(history.trials)
        return Proposal([f"{k:08d}".replace("1", "A") for k in range(first, first + num_queries)])


def test_it_starts_without_torch_and_reads_only_the_journal(campaign, tmp_path):
    location = campaign.journal.location
    code = (
        "import sys\nfrom seiko.campaign import Journal\n"
        "from seiko.web.campaign_report import write_campaign_report\n"
        f"write_campaign_report(Journal.open({location!r}), {str(tmp_path / 'a.html')!r}, plots=False)\n"
        "assert not {'torch', 'seiko.domains', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "Campaign first" in (tmp_path / "a.html").read_text()


def test_a_page_that_cannot_be_written(campaign, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CampaignError, match="cannot be written"):
        write_campaign_report(campaign.journal, tmp_path / "file" / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(CampaignError, match="cannot be written"):
        write_campaign_report(campaign.journal, tmp_path / "folder.html", plots=False)
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


def test_a_campaign_of_the_first_version_has_a_page(tmp_path):
    import shutil
    from pathlib import Path

    old = shutil.copytree(Path(__file__).parents[1] / "golden" / "campaign-v1", tmp_path / "old")
    page = write_campaign_report(Journal.open(old), tmp_path / "report.html", plots=False)
    assert safe(page.read_text()) and "Round by round" in page.read_text()


def test_figures_of_many_designs_are_of_the_best_and_of_the_newest(campaign, tmp_path):
    seen = {}

    def draw(designs):
        seen[len(seen)] = designs
        return SVG.format(EVIL.replace("<", "").replace("&", ""))

    own = domain(figures={"Words & letters": draw, "Nothing": lambda designs: ""})
    page = written(campaign, tmp_path, plots=True, domain=own)
    best = [t.design for t in campaign.best(10)]
    last = [t.design for t in campaign.trials if t.round == 2]
    assert seen == {0: best, 1: last}
    text = words_of(page)
    assert "Words &amp; letters The 10 highest of 43 readings" in text
    assert "The 20 designs asked last, in round 3" in text and "Nothing" not in text
    assert safe(page.read_text())
    files = {p.name for p in (page.parent / "report_files").iterdir()}
    assert {"words-letters-best.svg", "words-letters-last.svg"} <= files
    assert "side by side" not in words_of(written(campaign, tmp_path))


def test_figures_of_another_domain_are_refused(campaign, tmp_path):
    with pytest.raises(CampaignError, match="'words' designs"):
        written(campaign, tmp_path, domain=domain(name="other"))
