"""Optimus 5-Prime: our network against the formula written out, and against 3,002 measured UTRs."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest
import torch

from seiko.errors import DataError, ParameterError
from seiko.oracles import ribosome_load
from seiko.oracles.ribosome_load import CELLS, Optimus5Prime, RibosomeLoad
from seiko.records import TrialState


def test_the_network_is_its_formula():
    """Every position looks 3 to the left and 4 to the right; loops instead of convolutions."""
    torch.manual_seed(0)
    network = Optimus5Prime().double()
    one_hot = torch.nn.functional.one_hot(torch.randint(4, (2, 50)), 4).double()
    state = one_hot.numpy()
    with torch.no_grad():
        for convolution in network.convolutions:
            weight, bias = convolution.weight.numpy(), convolution.bias.numpy()
            following = np.tile(bias, (*state.shape[:2], 1))
            for place in range(50):
                for offset in range(8):
                    source = place + offset - 3
                    if 0 <= source < 50:
                        following[:, place] += state[:, source] @ weight[:, :, offset].T
            state = np.maximum(following, 0)
        hidden = state.reshape(2, -1) @ network.hidden.weight.numpy().T + network.hidden.bias.numpy()
        expected = np.maximum(hidden, 0) @ network.out.weight.numpy().T + network.out.bias.numpy()
        np.testing.assert_allclose(network(one_hot).numpy(), expected, atol=1e-10)


def test_gradients_reach_the_input():
    soft = torch.full((1, 50, 4), 0.25, requires_grad=True)
    Optimus5Prime()(soft)[0, 0].backward()
    assert soft.grad.abs().sum() > 0


def test_wrong_cells_and_missing_weights(monkeypatch, tmp_path):
    with pytest.raises(ParameterError, match="HEK293T, T cells, HepG2; got 'HeLa'"):
        RibosomeLoad("HeLa")
    monkeypatch.setenv("SEIKO_DATA", str(tmp_path))
    monkeypatch.setenv("SEIKO_CACHE", str(tmp_path))
    ribosome_load._optimus.cache_clear()
    with pytest.raises(DataError, match=r"optimus5p_multioutput\.npz"):
        RibosomeLoad()("A" * 50)
    with pytest.raises(ParameterError, match=r"49 letters; this oracle takes 50\. Extend it by 1"):
        RibosomeLoad()("A" * 49)
    with pytest.raises(ParameterError, match="Write T for U"):
        RibosomeLoad()("AUG" + "A" * 47)


@pytest.fixture
def utrs(measured):
    measured("optimus-5-prime")
    text = gzip.decompress(measured("utr5-mrl").read_bytes()).decode().splitlines()
    return list(csv.DictReader(text))


@pytest.mark.data
def test_it_predicts_the_measured_load(utrs):
    designs, observed = [row["utr"] for row in utrs], [float(row["observed_mrl"]) for row in utrs]
    assert len(designs) == 3002
    correlations = [np.corrcoef(RibosomeLoad(cell).values(designs), observed)[0, 1] for cell in CELLS]
    assert correlations[0] >= 0.82
    np.testing.assert_allclose(correlations, [0.827, 0.823, 0.820], atol=6e-4)


@pytest.mark.data
def test_first_row_is_the_published_networks_answer(utrs):
    first = utrs[0]["utr"]
    np.testing.assert_allclose([RibosomeLoad(c)(first) for c in CELLS], [4.9070, 3.9750, 3.0676], atol=2e-4)
    good, bad = RibosomeLoad().evaluate([first, first.lower()])
    assert good.value == pytest.approx(4.9070, abs=2e-4)
    assert bad.state is TrialState.FAILED and "upper case" in bad.note


@pytest.mark.data
def test_an_upstream_start_codon_out_of_frame_lowers_the_load(utrs):
    """The best known effect (Sample et al., 2019): ribosomes that begin early are lost."""
    designs = [row["utr"] for row in utrs if "ATG" not in row["utr"]][:300]
    with_start = [d[:21] + "GCCACCATGG" + d[31:] for d in designs]  # 23 letters to the end: out of frame
    without = [d[:21] + "GCCACCAAGG" + d[31:] for d in designs]
    oracle = RibosomeLoad()
    assert (oracle.values(with_start) < oracle.values(without)).mean() > 0.95
