"""Tasks on sequences: starts and rewards against the oracles themselves, splits that do not overlap."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from seiko.benchmark import TASKS, run_method
from seiko.benchmark.tasks.sequences import CLONING, EHRLICH_STATES, ehrlich_function
from seiko.errors import DataError
from seiko.oracles import tf_binding
from seiko.proposers.sampling import draw_designs

NAMED = ("tfbind-", "rna-", "ehrlich-", "utr5", "promoters", "gfp")
SEQUENCES = [name for name in TASKS if name.startswith(NAMED)]


def test_every_kind_has_development_and_test_tasks():
    for kind in NAMED:
        splits = [TASKS[name].split for name in SEQUENCES if name.startswith(kind)]
        assert {"development", "test"} == set(splits)
    tables = [n for n in SEQUENCES if n.startswith("tfbind-")]
    assert [sum(TASKS[n].split == s for n in tables) for s in ("development", "test")] == [10, 20]


@pytest.mark.parametrize("name", ["ehrlich-15", "ehrlich-32-1"])
def test_ehrlich_tasks_start_from_mostly_feasible_designs_and_read_the_function(name):
    task = TASKS[name]
    function = ehrlich_function(int(name.split("-")[1]), 0 if name.count("-") == 1 else 1)
    chain, domain = task.materials()
    designs = draw_designs(chain, domain, 200, torch.Generator().manual_seed(0))
    assert np.mean([function.is_feasible(design) for design in designs]) > 0.75
    assert task.reward(function.optimal_solution).value == 1.0
    rng = np.random.default_rng(0)
    letters = list(function.alphabet)
    for _ in range(20):
        design = "".join(rng.choice(letters, function.length))
        answer = task.reward(design)
        assert (answer.value is None) == (not function.is_feasible(design))
    assert len(letters) == EHRLICH_STATES


@pytest.mark.parametrize("method", ["random", "genetic"])
def test_a_short_run_counts_infeasible_designs(method):
    task = replace(TASKS["ehrlich-15"], num_rounds=2, num_queries=16)
    result = run_method(task, method, 0, num_samples=20)
    assert result.queries == 32 == len(result.readings)
    function = ehrlich_function(15, 0)
    for reading in result.readings:
        expected = function(reading.design)
        assert reading.value == (None if expected == -np.inf else expected)


@pytest.mark.data
def test_given_designs_count_as_queries(measured):
    measured("tfbind8")
    task = replace(TASKS["tfbind-SIX6"], num_rounds=1, num_queries=8)
    result = run_method(task, "random", 0, num_samples=20)
    given = [reading for reading in result.readings if reading.round < 0]
    assert result.queries == 96 + 8 and len(given) == 96
    assert all(reading.value <= 0.3 for reading in given)
    assert task.start(3) == task.start(3) != task.start(4)


@pytest.mark.skipif(importlib.util.find_spec("RNA") is None, reason="the package ViennaRNA is not installed")
def test_rna_tasks_give_the_mean_over_targets():
    from seiko.oracles.rna_folding import TARGETS, rna_binding

    for length in (14, 50, 100):
        design = TARGETS["RNA2"][:length]
        single = [rna_binding(f"L{length}_RNA{t}")(design) for t in (1, 2)]
        assert TASKS[f"rna-L{length}"].reward(design) == pytest.approx(single[0])
        assert TASKS[f"rna-L{length}-two"].reward(design) == pytest.approx(sum(single) / 2)
        _chain, domain = TASKS[f"rna-L{length}"].materials()
        assert domain.is_valid(design) and domain.name == "RNA sequence"


def test_designs_to_clone_keep_the_constraints():
    task = TASKS["promoters-cloning"]
    result = run_method(replace(task, num_rounds=1, num_queries=8), "genetic", 0, num_samples=8)
    assert not any(c.why_not(reading.design) for reading in result.readings for c in CLONING)
    told = {r.design: r.value for r in result.readings}
    assert task.reward(next(iter(told))).value == next(iter(told.values()))  # noise follows from the design
    assert task.reward("ACGT" * 12 + "AC").noise_std == pytest.approx(0.0692 / 3**0.5)


def test_gfp_is_judged_by_different_predictors():
    from seiko.oracles.gfp_brightness import WILD_TYPE

    main, additive = TASKS["gfp"].reward(WILD_TYPE), TASKS["gfp-additive"].reward(WILD_TYPE)
    assert main == pytest.approx(3.64, abs=0.01) and additive == pytest.approx(3.83, abs=0.01)


def test_missing_data_are_named(monkeypatch, tmp_path):
    tf_binding._tables.cache_clear()
    monkeypatch.setenv("SEIKO_DATA", str(tmp_path))
    monkeypatch.setenv("SEIKO_CACHE", str(tmp_path))
    task = replace(TASKS["tfbind-CRX"], num_rounds=1)
    with pytest.raises(DataError, match=r"tfbind8_ref\.npz"):
        run_method(task, "random", 0)


@pytest.mark.data
def test_binding_runs_start_from_weak_designs_of_both_strands(measured):
    measured("tfbind8")
    task = replace(TASKS["tfbind-SIX6"], num_rounds=1)
    table = tf_binding.tf_binding("SIX6_REF_R1")
    given = task.start(0)
    assert len(given) == 96 and table.values(given).max() <= 0.3
    result = run_method(task, "random", 0, num_samples=10)
    keys = [reading.design for reading in result.readings]
    assert len(set(keys)) == len(keys) == 192
    _, domain = task.materials()
    assert domain.key("ACGTTTTT") == domain.key("AAAAACGT")
    assert [r.value for r in result.readings[:96]] == pytest.approx(list(table.values(given)))


@pytest.mark.data
def test_ribosome_load_is_that_of_the_cell(measured):
    measured("optimus-5-prime")
    from seiko.oracles.ribosome_load import RibosomeLoad

    design = "ACGT" * 12 + "AC"
    assert TASKS["utr5"].reward(design) == RibosomeLoad("HEK293T")(design)
    assert TASKS["utr5-cloning"].reward(design) == RibosomeLoad("HepG2")(design)
