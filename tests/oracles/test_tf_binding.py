"""Measured TF binding against the measured table, and regret against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from seiko.errors import DataError, ParameterError
from seiko.oracles import tf_binding as module
from seiko.oracles.tf_binding import DEVELOPMENT, TEST, TFBinding, as_sequence, codes, tf_binding
from seiko.records import TrialState

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def reverse_complement(design: str) -> str:
    return design[::-1].translate(COMPLEMENT)


@pytest.fixture
def made_up() -> TFBinding:
    """A landscape whose value is the share of A and T at the first and last letter; known by hand."""
    letters = np.array([[as_sequence(c)[0] in "AT", as_sequence(c)[-1] in "AT"] for c in range(4**8)])
    return TFBinding("made up", letters.mean(1), np.empty((0, 4**8)))


def test_codes_read_base_four_and_back():
    assert codes(["AAAAAAAA", "AAAAAAAC", "TTTTTTTT"]).tolist() == [0, 1, 4**8 - 1]
    drawn = np.random.default_rng(0).integers(4**8, size=200)
    assert codes([as_sequence(int(c)) for c in drawn]).tolist() == drawn.tolist()


def test_a_sequence_and_its_reverse_complement_are_one():
    canonical = module._canonical()
    for code in range(0, 4**8, 97):
        assert canonical[code] == min(code, codes([reverse_complement(as_sequence(code))])[0])
    assert len(np.unique(canonical)) == module.NUM_DISTINCT == 32_896


def test_regret_rank_and_means_by_hand(made_up):
    full, half, none = "AGGGGGGA", "AGGGGGGG", "CGGGGGGC"
    assert [made_up(d) for d in (full, half, none)] == [1.0, 0.5, 0.0]
    assert made_up.regret([none]) == 1 and made_up.regret([none, half]) == 0.5
    assert made_up.regret([none, full]) == 0
    assert made_up.rank(full) == 1 and made_up.percentile(full) == 100
    distinct = {min(s, reverse_complement(s)) for s in map(as_sequence, np.flatnonzero(made_up.table == 1))}
    assert made_up.rank(half) == len(distinct) + 1
    assert made_up.top_mean([full, full, reverse_complement(full), half]) == pytest.approx(0.75)
    assert made_up.top_mean([full, half, none], k=1) == 1
    assert made_up.top_regret([half], k=10) == pytest.approx(0.5)


def test_weak_designs_are_weak_different_and_repeatable(made_up):
    weak = made_up.weak_designs(96, below=0.3, seed=3)
    assert len({min(d, reverse_complement(d)) for d in weak}) == 96
    assert max(made_up(d) for d in weak) <= 0.3
    assert weak == made_up.weak_designs(96, below=0.3, seed=3) != made_up.weak_designs(96, seed=4)
    with pytest.raises(ParameterError, match="0 different 8-mers"):
        made_up.weak_designs(1, below=-1)


def test_bad_designs_are_refused_or_failed(made_up):
    for bad, message in (("ACGTACG", "7 letters"), ("ACGUACGT", "Write T for U"), ("acgtacgt", "upper case")):
        with pytest.raises(ParameterError, match=message):
            made_up(bad)
        good, failed = made_up.evaluate(["AGGGGGGA", bad])
        assert good.value == 1 and failed.state is TrialState.FAILED and message in failed.note
    with pytest.raises(ParameterError, match="at least one"):
        made_up.regret([])


def test_without_data_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("SEIKO_DATA", str(tmp_path))
    monkeypatch.setenv("SEIKO_CACHE", str(tmp_path / "cache"))
    module._tables.cache_clear()
    with pytest.raises(DataError, match=r"tfbind8_ref\.npz.*SEIKO_DATA"):
        tf_binding("SIX6_REF_R1")


def test_development_and_test_tables_share_no_factor():
    assert len(set(DEVELOPMENT)) == 10 and len(set(TEST)) == 20
    assert not {n.split("_")[0] for n in DEVELOPMENT} & {n.split("_")[0] for n in TEST}


@pytest.mark.data
def test_all_57_landscapes_are_the_measured_ones(measured):
    with np.load(measured("tfbind8")) as file:
        kmers, scores = [k.decode() for k in file["kmer"]], file["e_score_x1e5"].astype(float)
        assert module.names() == sorted(map(str, file["landscape"])) and len(module.names()) == 57
        order = {str(n): i for i, n in enumerate(file["landscape"])}
    assert {*DEVELOPMENT, *TEST} <= set(module.names())
    for name in module.names():
        landscape, column = tf_binding(name), scores[:, order[name]]
        expected = (column - column.min()) / (column.max() - column.min())
        np.testing.assert_allclose(landscape.values(kmers), expected, atol=1e-12)
        reverse = [reverse_complement(k) for k in kmers[::50]]
        np.testing.assert_array_equal(landscape.values(reverse), landscape.values(kmers[::50]))


@pytest.mark.data
def test_six6_best_and_top_100(measured):
    measured("tfbind8")
    six6 = tf_binding("SIX6_REF_R1")
    assert six6("AGGTATCA") == 1 and six6.rank("AGGTATCA") == 1 and six6.noise_std is None
    assert len(six6.best_values()) == 100 and six6.best_values().mean() == pytest.approx(0.97646, abs=1e-4)


@pytest.mark.data
def test_replicates_are_noise_around_their_mean(measured):
    measured("tfbind8")
    assert len(module.replicated()) == 15
    noisy, first = tf_binding("SIX6"), tf_binding("SIX6_REF_R1")
    assert noisy.table.min() == 0 and noisy.table.max() == 1
    np.testing.assert_allclose(noisy.replicates.mean(0), noisy.table, atol=1e-12)
    designs = [as_sequence(c) for c in range(0, 4**8, 7)]
    readings = noisy.readings(designs)
    error = readings - noisy.values(designs)
    assert error.std() == pytest.approx(noisy.noise_std, rel=0.05) and abs(error.mean()) < 0.01
    np.testing.assert_array_equal(readings, tf_binding("SIX6").readings(designs))
    assert (readings != tf_binding("SIX6", seed=1).readings(designs)).mean() > 0.3
    assert noisy.evaluate(designs[:1])[0].noise_std == noisy.noise_std
    assert np.corrcoef(noisy.table, first.table)[0, 1] > 0.95
    assert module.replicate_correlation("SIX6") == pytest.approx(0.955, abs=0.005)
    assert module.replicate_correlation("KLF1") == pytest.approx(0.252, abs=0.02)
    with pytest.raises(ParameterError, match="no TF-binding landscape 'GATA1'"):
        tf_binding("GATA1")
    with pytest.raises(ParameterError, match="no replicates"):
        module.replicate_correlation("EGR2")
