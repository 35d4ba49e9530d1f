"""The page of a benchmark: tables, curves, links that lead somewhere, nothing that loads or runs."""

from __future__ import annotations

import re

import pytest

from benchmark_world import made_up
from seiko.errors import ParameterError
from seiko.results import Curve, append_result, read_results
from seiko.web.bench_report import write_bench_report
from seiko.web.figures import aligned
from seiko.web.report import write_report


def results():
    made = [
        made_up(method, seed, task=task, top100=1.0 + seed, cpu_seconds=1.0)
        for task in ("one", "two", "three", "four")
        for method in ("seiko_ucb", "genetic")
        for seed in range(2)
    ]
    return [result.compact() for result in made]


def test_an_index_with_a_page_for_each_task(tmp_path):
    index = write_bench_report(results(), tmp_path / "out")
    text = index.read_text()
    links = re.findall(r'href="([^"#]+)"', text)
    assert len(links) == 4 and all((index.parent / link).is_file() for link in links)
    assert text.count("<svg") == 2  # three panels in one figure, one in the next
    assert "SEIKO-UCB" in text and "Standings, test tasks" in text and "Paired tests" in text
    assert "<script" not in text and "http" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)


def test_names_are_escaped(tmp_path):
    index = write_bench_report([made_up("<b>bold</b>", task="t")], tmp_path, pages=False)
    assert "<b>bold</b>" not in index.read_text()


def test_compact_and_older_results_have_a_page(tmp_path):
    page = write_report([made_up(seed=k).compact() for k in range(2)], tmp_path / "compact" / "report.html")
    assert "What the queries bought" in page.read_text() and "Every measured design" not in page.read_text()
    bare = made_up(curve=Curve((), (), ()), readings=(), rounds=(), final_values=())
    assert "What the queries bought" not in write_report([bare], tmp_path / "bare.html").read_text()
    with pytest.raises(ParameterError, match="at least one result"):
        write_bench_report([], tmp_path)


def test_curves_of_different_queries_hold_their_values():
    one = Curve((2, 5, 9), (1.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    two = Curve((1, 6), (0.0, 4.0), (0.0, 4.0))
    queries, rows = aligned([one, two], "top10")
    assert queries == [2, 5, 6, 9]
    assert [row.tolist() for row in rows] == [[1.0, 2.0, 2.0, 3.0], [0.0, 0.0, 4.0, 4.0]]


def test_what_was_written_before_is_still_read(tmp_path):
    append_result(tmp_path / "r.jsonl", made_up())
    whole = (tmp_path / "r.jsonl").read_text()
    for name in ("curve", "readings", "final_values", "top_designs", "cpu_seconds", "ask_seconds", "command"):
        whole = re.sub(
            rf', "{name}": (\[.*?\]|\{{.*?\}}|null|"")(?=, "[a-z_0-9]+": |\}})', "", whole, count=1
        )
    (tmp_path / "r.jsonl").write_text(whole)
    (read,) = read_results(tmp_path / "r.jsonl")
    assert read.cpu_seconds is None and read.best == 3.0
