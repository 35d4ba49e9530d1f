"""The benchmark of one update: its counts are exact, so they are asserted; its times are not."""

from __future__ import annotations

import json

import pytest

from script_module import load_script


@pytest.fixture(scope="module")
def bench():
    return load_script("benchmarks/update_step.py")


@pytest.fixture(scope="module")
def setting(bench):
    return bench.Setting(steps=20, batch=4, width=8, layers=1, dimension=2, grad_steps=3, repeats=5)


def test_our_counts_are_what_the_setting_says(bench, setting):
    counts, _ = bench.count("ours", setting)
    assert counts.calls == 20 + 3  # each step once, the frozen network on steps with a graph
    assert counts.rows == 2 * (20 + 3)
    assert counts.backward == 2 * 3
    assert counts.equivalents == counts.rows + 2 * counts.backward


def test_checkpoints_run_the_steps_with_a_graph_again(bench, setting):
    plain, kept = bench.count("ours", setting)
    counts, saved = bench.count("ours, checkpointed", setting)
    assert counts.calls == plain.calls + 3
    assert counts.backward == plain.backward
    assert saved < kept


def test_the_exact_divergence_costs_a_prefix_step_and_a_backward_pass(bench, setting):
    plain, _ = bench.count("ours", setting)
    counts, _ = bench.count("ours, exact", setting)
    assert counts.calls == plain.calls + 2  # both networks at one step of the prefix
    frozen = 2 * (3 - 1)  # the first of the 3 states has no gradient to pass on
    assert counts.backward == plain.backward + frozen + 2


def test_the_released_pattern_calls_four_times_a_step_and_recomputes_what_is_kept(bench, setting):
    counts, _ = bench.count("released", setting)
    recomputed = counts.calls - 4 * 20
    assert recomputed == counts.backward
    assert counts.rows == counts.calls
    assert 0.25 * 80 < recomputed < 0.8 * 80  # half of the steps in expectation


def test_ours_needs_at_least_three_times_fewer_calls(bench, setting):
    released, ours = bench.count("released", setting)[0], bench.count("ours", setting)[0]
    assert released.calls / ours.calls >= 3
    assert released.rows / ours.rows >= 2
    assert released.equivalents / ours.equivalents >= 2.5


def test_saved_memory_does_not_grow_with_steps_outside_the_graph(bench, setting):
    table = bench.memory_by_steps(setting)
    assert list(table) == [10, 20, 40]
    for name in ("ours", "ours, checkpointed", "ours, exact"):
        assert len({row[name] for row in table.values()}) == 1, name
        assert table[10][name] > 0
    assert table[40]["released"] > 1.5 * table[10]["released"]


def test_both_patterns_sample_with_the_same_guided_network(bench, setting):
    import torch

    network = bench.Conditional(setting)
    ours = bench.make("ours", network, setting).chain.network
    state, time = torch.randn(4, 2), torch.full((4,), 0.5)
    given = bench.labels(4, torch.Generator().manual_seed(0))
    plain, none = network(state, time, given), network(state, time, torch.zeros_like(given))
    torch.testing.assert_close(ours(state, time, given), none + setting.guidance_scale * (plain - none))


ARGUMENTS = ["--steps", "4", "--batch", "2", "--width", "4", "--repeats", "5", "--grad-steps", "2"]


def test_it_prints_a_table_and_json(bench, capsys):
    bench.main(ARGUMENTS)
    table = capsys.readouterr().out
    assert "released / ours" in table and "saved MiB, by number of steps" in table
    bench.main([*ARGUMENTS, "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["setting"]["steps"] == 4
    assert set(result["patterns"]) == set(bench.PATTERNS)
    assert len(result["patterns"]["ours"]["seconds_all"]) == 5


def test_help_has_examples_and_bad_numbers_are_explained(bench, capsys):
    with pytest.raises(SystemExit) as stop:
        bench.main(["--help"])
    assert stop.value.code == 0
    assert "python benchmarks/update_step.py" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        bench.main(["--steps", "4", "--grad-steps", "5"])
    assert "--grad-steps must be at most --steps, 4; got 5" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        bench.main(["--repeats", "2"])
    assert "--repeats must be at least 5; got 2" in capsys.readouterr().err
