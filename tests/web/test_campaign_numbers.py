"""The page's mathematics against closed forms and simulation, and its verdicts against made-up rounds."""

from __future__ import annotations

import doctest
import random
import statistics
from dataclasses import replace

import pytest
import scipy.stats

from campaign_pages import Words, begun, score, tell, whole
from seiko.records import Observation
from seiko.web import campaign_numbers, campaign_parts, campaign_words
from seiko.web.campaign_data import number_in, read_campaign
from seiko.web.campaign_drawing import drawn_rows
from seiko.web.campaign_model_figures import _reliability, kl_points
from seiko.web.campaign_numbers import (
    calibration_of,
    distances_between,
    mean_interval,
    rank_correlation,
    share_interval,
    student_t,
)
from seiko.web.campaign_words import overview, round_verdicts


@pytest.mark.parametrize("module", [campaign_numbers, campaign_words, campaign_parts])
def test_examples(module):
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.attempted and not found.failed


def test_student_t_against_scipy():
    for freedom in range(1, 200):
        assert student_t(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=5e-3)


def test_wilson_against_scipy():
    for count, total in ((0, 5), (3, 5), (5, 5), (40, 96)):
        found = share_interval(count, total)
        exact = scipy.stats.binomtest(count, total).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert share_interval(0, 0) is None


def test_the_mean_has_its_interval_as_often_as_it_says():
    rng = random.Random(0)
    hits = 0
    for _ in range(2000):
        found = mean_interval([rng.gauss(3.0, 2.0) for _ in range(5)])
        hits += found.low <= 3.0 <= found.high
    assert 0.935 < hits / 2000 < 0.965
    assert mean_interval([]) is None and mean_interval([2.0]).low is None
    assert mean_interval([1e308, 1e308]).high == pytest.approx(1e308)


def test_rank_correlation_against_scipy():
    rng = random.Random(1)
    for _ in range(20):
        a = [rng.randrange(6) for _ in range(15)]
        b = [x + rng.randrange(4) for x in a]
        assert rank_correlation(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)
    assert rank_correlation([1, 1], [1, 2]) is None


def test_calibration_by_hand():
    found = calibration_of([(1.0, 0.0, 1.0), (4.0, 2.0, 1.0), (0.0, None, None), (1.0, 1.0, 0.0)])
    assert (found.count, found.coverage.value, found.bias) == (2, 0.5, 1.5)
    assert found.rmse == pytest.approx(2.5**0.5) and found.scale == pytest.approx(2.5**0.5)
    assert calibration_of([(1.0, None, None)]) is None


def test_reliability_of_an_honest_surrogate_is_the_diagonal():
    rng = random.Random(2)
    levels, observed = _reliability([rng.gauss(0, 1) for _ in range(20_000)])
    assert abs(levels - observed).max() < 0.02


def test_distances_by_hand():
    (same, apart, alone), how = distances_between([["AAA", "AAT"], ["AAA", "TTT"], ["AAA"]], 100)
    assert same == pytest.approx(1 / 3) and apart == 1 and alone is None and "places" in how
    (found,), how = distances_between([["CCO", "CCON"]], 100)
    assert found == pytest.approx(1 - 1 / 2) and "three letters" in how
    assert distances_between([[]], 100) == ([None], "")


def test_numbers_of_a_campaign_by_hand(tmp_path):
    campaign = whole(tmp_path / "campaign")
    campaign.tell({t.id: 0.0 for t in campaign.trials if t.state.is_open})
    data = read_campaign(campaign.journal)
    by_round = {r.round: r for r in data.rounds}
    for number, found in by_round.items():
        trials = [t for t in campaign.trials if t.round == number]
        values = [t.value for t in trials if t.value is not None]
        assert found.values == tuple(values)
        assert found.mean.value == pytest.approx(statistics.mean(values))
        told = [t for t in trials if t.value is not None and t.predicted_std]
        if told:
            inside = sum(abs(t.value - t.predicted_mean) <= 1.6448536 * t.predicted_std for t in told)
            assert found.calibration.coverage.value == pytest.approx(inside / len(told))
    assert by_round[-1].first_query is None and by_round[1].first_query == 21
    assert by_round[0].calibration.count == 15 and by_round[1].best_before >= max(by_round[-1].values)
    assert kl_points(data, "pretrained") == [(1, 0.0), (2, 1.5), (3, 3.0)]
    assert number_in({"x": True}, "x") is None


def told_by(folder, *, std, shift=0.0, **more):
    """The verdicts on a second round, told honestly, of a surrogate with errors of 1."""
    campaign = begun(folder, proposer=Words(std, shift), num_queries=60, **more)
    for _ in range(2):
        campaign.tell({t.id: Observation(score(t.design)) for t in campaign.ask()})
    return read_campaign(campaign.journal)


@pytest.mark.parametrize(
    ("std", "shift", "tone", "words"),
    [
        (0.25, 0.0, "look", ("overconfident in round 2", "raise exploration", "times what it expected")),
        (1.0, 0.0, "good", ("knew how much it knew",)),
        (9.0, 0.0, "plain", ("cautious: 100 %",)),
        (2.0, 3.0, "look", ("too high, by",)),
    ],
)
def test_the_surrogate_in_a_verdict(tmp_path, std, shift, tone, words):
    data = told_by(tmp_path / "campaign", std=std, shift=shift)
    findings = [f for f in round_verdicts(data)[-1].findings if "surrogate" in f.text.lower()]
    assert len(findings) == 1 and findings[0].tone == tone
    assert all(word in findings[0].text for word in words), findings[0].text
    assert (findings[0].text in [f.text for f in overview(data)]) or tone == "plain"


def test_a_model_too_far_and_one_that_hardly_moves(tmp_path):
    far = told_by(tmp_path / "far", std=1.0, config={"method.arguments": {"kl_target": 1.0}})
    assert any("further than the target of 1" in f.text for f in round_verdicts(far)[-1].findings)
    near = told_by(tmp_path / "near", std=1.0, config={"method.arguments": {"kl_target": 100}})
    assert any("hardly moved" in f.text for f in round_verdicts(near)[-1].findings)


def test_a_target_of_weighted_samples_is_not_one_of_paths(tmp_path):
    data = told_by(tmp_path / "far", std=1.0, config={"method.arguments": {"kl_target": 1.0}})
    last = data.rounds[-1]
    fitted = replace(last, report={**last.report, "kl/pretrained_nats": 2000.0, "kl/weighted_nats": 0.9})
    held_to = replace(data, rounds=[*data.rounds[:-1], fitted])
    finding = next(f for f in round_verdicts(held_to)[-1].findings if "The model" in f.text)
    assert finding.tone == "plain" and "weighted to 0.9 nats (target 1)" in finding.text
    assert (fitted.round + 1, 0.9) in kl_points(held_to, "pretrained")


def test_alike_batches_invalid_samples_and_no_new_best(tmp_path):
    data = told_by(tmp_path / "campaign", std=1.0)
    first, second = data.rounds
    worse = replace(
        second, diversity=0.1 * first.diversity, report={"round/valid_fraction": 0.3}, best_before=1e9
    )
    later = [replace(worse, round=k) for k in (1, 2, 3)]
    verdict = round_verdicts(replace(data, rounds=[first, *later]))[-1]
    text = " ".join(f.text for f in verdict.findings)
    assert verdict.tone == "look" and verdict.title == "Round 4"
    for words in ("much alike", "Only 30 % of the model's samples", "No new best for 3 rounds"):
        assert words in text


def test_too_few_to_judge(tmp_path):
    campaign = begun(tmp_path / "campaign")
    tell(campaign, campaign.ask())
    trials = campaign.ask()
    campaign.tell({t.id: 0.0 for t in trials[:4]})
    assert any(
        "too few to judge" in f.text for f in round_verdicts(read_campaign(campaign.journal))[-1].findings
    )


def test_thinned_readings_keep_the_highest(tmp_path):
    data = read_campaign(whole(tmp_path / "campaign").journal)
    drawn = drawn_rows(data, 20)
    assert len(drawn) == 20 and max(r["value"] for r in drawn) == 9.25
    assert [r["trial_id"] for r in drawn] == sorted(r["trial_id"] for r in drawn)
