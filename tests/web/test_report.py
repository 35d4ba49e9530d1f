"""The page of a comparison: self-contained, escaped, and right about what happened."""

from __future__ import annotations

import re

import pytest

from benchmark_world import made_up
from seiko.errors import ParameterError
from seiko.results import Curve, Reading, read_results, summarize
from seiko.web.base import coverage, kl_series
from seiko.web.figures import figures
from seiko.web.report import number, write_report
from seiko.web.verdicts import headline, surrogate_in_words, verdicts

EVIL = "</title><script>alert(1)</script><img src=x onerror=alert(2)>"


def runs():
    others = [made_up(m, k, kl_pretrained_nats=None) for m in ("genetic", "random") for k in (0, 1)]
    return [made_up(seed=0), made_up(seed=1), *others]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(runs(), tmp_path_factory.mktemp("report") / "report.html", title="A title")


def test_the_page_needs_nothing_else(page):
    text = page.read_text()
    assert not re.search(r"https?:|<script|<link|@import|url\(|//[a-z]", re.sub(r"url\(#", "", text))
    sources = re.findall(r"src=\"([^\"]*)", text)
    assert sources and all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "<title>A title</title>" in text


def test_the_page_says_what_was_done(page):
    text = page.read_text()
    for words in (
        "SEIKO-UCB, the genetic algorithm and random sampling each searched for designs",
        "6 designs: 2 rounds of 3. Each ran with 2 seeds.",
        "The reward is letters a: as.",
        "Medians over 2 seeds",
        "<b>3.50</b><small>3.00 to 4.00</small>",
        "query 2, round 1",
        "Was the surrogate honest?",
    ):
        assert words in text, words


def test_figures_and_results_lie_beside_it(page):
    names = {"progress", "rounds", "final", "kl", "calibration"}
    assert {p.name for p in (page.parent / "plots").iterdir()} == {
        f"{n}.{e}" for n in names for e in ("png", "svg")
    }
    assert (page.parent / "plots" / "progress.png").read_bytes().startswith(b"\x89PNG")
    assert read_results(page.parent / "results.jsonl") == runs()


def test_the_page_is_the_same_again(page, tmp_path):
    again = write_report(runs(), tmp_path / "report.html", title="A title", plots=False)
    assert again.read_text() == page.read_text()


def test_malicious_texts_are_escaped(tmp_path):
    drawn = made_up().top_designs[0]
    about = made_up().about | {"reward": EVIL + "$x_{$", "chain": EVIL}
    bad = made_up(method=EVIL, design=EVIL, about=about, task=EVIL, top_designs=(
        drawn, type(drawn)(EVIL, 1.0, EVIL, 1, 0), type(drawn)("x", 1.0, f"<svg>{EVIL}</svg>", 1, 0),
    ), versions={EVIL: EVIL})  # fmt: skip
    text = write_report([bad], tmp_path / "report.html", plots=False).read_text()
    assert "<script" not in text and "onerror=alert(2)>" not in text
    assert "&lt;script&gt;" in text


def test_one_method_one_seed_and_no_surrogate(tmp_path):
    readings = tuple(Reading(0, "x", "infeasible", None) for _ in range(3))
    empty = made_up(
        "random", readings=readings, rounds=({},), final_report={}, final_values=(), top_designs=(),
        best=None, top10=None, final_mean=None, kl_pretrained_nats=None, curve=Curve((), (), ()),
    )  # fmt: skip
    assert set(figures([empty])) == {"rounds", "final"}
    assert "No method found a design" in write_report([empty], tmp_path / "a.html", plots=False).read_text()


def test_bad_results(tmp_path):
    with pytest.raises(ParameterError, match="these 0 results are of 0"):
        write_report([], tmp_path / "a.html")
    with pytest.raises(ParameterError, match="one task; these 2 results are of 2"):
        write_report([made_up(), made_up(task="other")], tmp_path / "a.html")
    write_report([made_up(seed=7)], tmp_path / "a.html")
    with pytest.raises(ParameterError, match=r"holds 1 other runs.*is not replaced"):
        write_report([made_up(seed=8)], tmp_path / "a.html")


def test_coverage_and_kl_by_hand():
    assert coverage(made_up()) == {1: (1.0, 3)}
    assert kl_series(made_up(), "pretrained") == [(1, 2.0), (2, 2.5)]
    assert kl_series(made_up(), "previous") == [(2, 1.0)]


def test_a_target_of_weighted_samples_is_not_one_of_paths():
    report = {"kl/pretrained_nats": 900.0, "kl/weighted_nats": 3.9}
    run = made_up(kl_pretrained_nats=900.0, rounds=({}, report), final_report=report)
    assert kl_series(run, "pretrained") == [(1, 3.9), (2, 3.9)]
    _, second, final = verdicts(run)
    assert "weighted to 3.9 nats (target 4)" in second.text and "900" not in second.text
    assert final.tone == "plain" and "weighted to 3.9 nats (target 4)" in final.text


@pytest.mark.parametrize(
    ("share", "tone", "words"),
    [(0.62, "look", "overconfident in round 3: 62%"), (0.9, "good", "knew"), (1.0, "plain", "cautious")],
)
def test_the_surrogate_in_words(share, tone, words):
    text, found = surrogate_in_words(share, 60, 3)
    assert found == tone and words.replace("%", " %") in text


def test_verdicts_and_headline():
    first, second, final = verdicts(made_up())
    assert first.text == "The readings averaged 1.00; the best so far rose to 2.00."
    assert "averaged 2.00 (+1.00 against the round before); the best so far rose to 3.00." in second.text
    assert final.text.startswith("Its samples average 1.70; 90 % of them are feasible, 70 % different")
    assert verdicts(made_up(kl_pretrained_nats=9.0))[-1].tone == "look"
    assert "2.0 nats from the pre-trained one (target 4)" in second.text
    rows = summarize([made_up(), made_up("random", top10=9.0)])
    assert headline(rows, "logP").startswith(
        "Random sampling came first: the mean of its ten best readings of logP is 9.00, "
        "against 1.50 of SEIKO-UCB."
    )


def test_numbers_for_readers():
    assert number("kl_pretrained_nats", None) == "–" and number("top10", -0.126) == "−0.13"


def test_figures_of_many_designs(tmp_path):
    svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    made = {"Logo": {"pre-trained model": svg, "best readings": svg, "final model": svg}}
    others = {"Logo": {"best readings": svg, "final model": svg}}
    results = [made_up(figures=made), made_up("random", kl_pretrained_nats=None, figures=others)]
    text = write_report(results, tmp_path / "report.html", plots=False).read_text()
    assert "<script" not in text
    assert re.findall(r"<figcaption>([^<]*)</figcaption><div class=\"plot\"><img", text) == [
        "Pre-trained model, samples",
        "SEIKO-UCB, best readings",
        "SEIKO-UCB, samples of the final model",
        "Random sampling, best readings",
    ]
    assert made_up(figures=made).from_json(made_up(figures=made).to_json()) == made_up(figures=made)
