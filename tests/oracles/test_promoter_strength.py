"""Promoter strength: the sum over placements written out, and the trained predictor against the library."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest
import torch

from seiko.errors import ParameterError
from seiko.oracles.predictors import read_card
from seiko.oracles.promoter_strength import (
    NO_LETTER,
    REPLICATE_STD,
    TRANSCRIBED,
    PromoterNetwork,
    PromoterStrength,
    padded_letters,
    predicted_rates,
)
from seiko.records import TrialState

CONSENSUS = "TTCTATCTACGTAC" + "TTGACA" + "CTATTTCCTATTTCTCT" + "TATAAT" + "TTGTGTT"


def some(number: int, length: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return ["".join(row) for row in generator.choice(list("ACGT"), (number, length))]


@pytest.fixture
def network() -> PromoterNetwork:
    torch.manual_seed(0)
    network = PromoterNetwork(2, hidden=8, context=3).double()
    torch.nn.init.normal_(network.spacer)
    return network


def one_hot(letters: str) -> torch.Tensor:
    return torch.tensor([[float(letter == base) for base in "ACGT"] for letter in letters]).double()


def window(sequence: str, start: int, length: int) -> torch.Tensor:
    """One-hot letters from `start` on, zeros outside of the sequence, [4, length]."""
    around = torch.nn.functional.pad(one_hot(sequence), (0, 0, 20, 40))
    return around[start + 20 : start + 20 + length].T


def test_rate_is_the_sum_over_placements_written_out(network):
    sequence = some(1, 34)[0]
    scores = []
    with torch.no_grad():
        for start in range(len(sequence)):
            for index, spacer in enumerate((15, 16, 17, 18, 19)):
                second = start + 6 + spacer
                if second + 6 > len(sequence):
                    continue
                vector = (
                    network.minus35(one_hot(sequence[start : start + 6]).flatten()[None])[0]
                    + network.minus10(one_hot(sequence[second : second + 6]).flatten()[None])[0]
                    + network.upstream(window(sequence, start - 20, 20)[None])[0, :, 0]
                    + network.inside(window(sequence, start + 6, 10)[None])[0, :, 0]
                    + network.extended(window(sequence, second - 6, 6)[None])[0, :, 0]
                    + network.downstream(window(sequence, second + 6, 28)[None])[0, :, 0]
                    + network.spacer[:, index]
                )
                scores.append(network.linear(vector) + network.deep(vector))
        assert len(scores) == 8 + 7 + 6 + 5 + 4
        total = torch.logsumexp(torch.cat([network.nothing[None], *scores]), 0)
        expected = network.readout[0] + network.readout[1] * total
        letters = padded_letters([sequence])
        assert float(network(letters)[0]) == pytest.approx(float(expected), abs=1e-5)


def test_one_known_placement_is_one_of_all(network):
    rows = padded_letters(some(6, 60))
    starts, spacers = torch.tensor([0, 3, 17, 20, 33, 29]), torch.tensor([0, 1, 2, 3, 0, 4])
    with torch.no_grad():
        scores = network.scores(rows)[torch.arange(6), starts, spacers]
        expected = network.readout[0] + network.readout[1] * torch.logaddexp(network.nothing, scores)
        torch.testing.assert_close(network.at(rows, starts, spacers), expected)


def test_padding_changes_nothing(network):
    short, long = some(1, 40)[0], some(1, 70, seed=1)[0]
    rows = padded_letters([short, long])
    assert rows.shape == (2, 70) and (rows[0, 40:] == NO_LETTER).all()
    with torch.no_grad():
        torch.testing.assert_close(network(rows)[0], network(padded_letters([short]))[0])


def test_the_consensus_is_strong_and_broken_elements_are_not():
    broken35 = CONSENSUS.replace("TTGACA", "GGCTCG")
    broken10 = CONSENSUS.replace("TATAAT", "GCGGCC")
    oracle = PromoterStrength()
    strong, without35, without10 = oracle.values([CONSENSUS, broken35, broken10])
    random = oracle.values(some(200, 50))
    assert strong > 0 > max(without35, without10)
    assert strong > np.quantile(random, 0.99)
    assert strong == pytest.approx(predicted_rates([CONSENSUS + TRANSCRIBED])[0])


def test_readings_have_the_noise_of_their_replicates():
    designs = some(400, 50, seed=2)
    exact, three = PromoterStrength(), PromoterStrength(replicates=3)
    assert exact.noise_std is None and three.noise_std == pytest.approx(REPLICATE_STD / 3**0.5)
    np.testing.assert_array_equal(exact.readings(designs[:5]), exact.values(designs[:5]))
    error = three.readings(designs) - three.values(designs)
    assert error.std() == pytest.approx(three.noise_std, rel=0.15) and abs(error.mean()) < 0.01
    again = PromoterStrength(replicates=3).readings(designs[::-1])[::-1]
    np.testing.assert_allclose(again, three.readings(designs), atol=1e-5)
    other = PromoterStrength(replicates=3, seed=1).readings(designs)
    assert np.abs(other - again).max() > 0.05
    assert three.evaluate(designs[:1])[0].noise_std == three.noise_std


@pytest.mark.parametrize(
    ("bad", "message"),
    [("A" * 49, "Extend it by 1"), ("U" + "A" * 49, "Write T for U"), ("n" * 50, "ambiguous")],
)
def test_designs_that_cannot_be_read(bad, message):
    with pytest.raises(ParameterError, match=message):
        PromoterStrength()(bad)
    failed, good = PromoterStrength().evaluate([bad, CONSENSUS])
    assert failed.state is TrialState.FAILED and message in failed.note and good.value > 0


def test_oracles_that_cannot_be():
    with pytest.raises(ParameterError, match="at least 27"):
        PromoterStrength(20)
    with pytest.raises(ParameterError, match="at least 1; got 0"):
        PromoterStrength(replicates=0)


@pytest.mark.data
def test_held_out_correlation_beside_that_of_the_replicates(measured):
    """The recipe's order again: the first tenth was not trained on."""
    text = gzip.decompress(measured("ecoli-promoters-mpra").read_bytes()).decode().splitlines()
    rows = [row for row in csv.DictReader(text) if len(row["sequence"]) <= 79]
    order = np.random.default_rng(0).permutation(len(rows))[: round(0.1 * len(rows))]
    held = [rows[i] for i in order]
    rates = np.log10([[float(row[f"tx{r}"]) for r in (1, 2, 3)] for row in held])
    predicted = predicted_rates([row["sequence"] for row in held])
    found = np.corrcoef(predicted, rates.mean(1))[0, 1]
    ceiling = np.corrcoef(rates.T)[np.triu_indices(3, 1)].min()
    assert 0.75 <= found <= ceiling
    assert found == pytest.approx(
        read_card("promoter-strength")["held_out"]["predictor"]["pearson"], abs=2e-3
    )
