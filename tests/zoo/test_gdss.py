from __future__ import annotations

import pytest
import torch

from measured_data import data_path
from seiko.chain import rollout
from seiko.checkpoints import read_tensors
from seiko.errors import WeightsError
from seiko.graphs import pairs_present
from seiko.zoo.gdss import convert, load_gdss

PUBLISHED = data_path("gdss_zinc250k_weights", "gdss_zinc250k_v2.pth")
needs_weights = pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"no folder {PUBLISHED.parent}")


@pytest.mark.data
@needs_weights
def test_the_published_checkpoint_is_converted_once_and_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("SEIKO_CACHE", str(tmp_path))
    path = convert(PUBLISHED)
    assert path.parent == tmp_path
    tensors, metadata = read_tensors(path)
    assert sum(t.numel() for t in tensors.values()) == 22_721 + 62_873
    assert metadata["licence"] == "MIT"
    chain, domain = load_gdss(diffusion_steps=4, start_steps=2)
    assert chain.num_steps == 2 + 4
    condition = domain.condition(3, torch.Generator().manual_seed(0))
    *_, last = rollout(chain, 3, condition=condition, generator=torch.Generator().manual_seed(1))
    designs = domain.decode(last.next_state, condition)
    assert len(designs) == 3


@pytest.mark.data
@needs_weights
def test_published_weights_know_the_noise_they_were_trained_on(tmp_path, monkeypatch):
    """On noised drugs the explained share of the noise is high, which wrongly placed weights cannot reach."""
    monkeypatch.setenv("SEIKO_CACHE", str(tmp_path))
    chain, domain = load_gdss(PUBLISHED, diffusion_steps=4, start_steps=0)
    graph = domain.decode.__self__
    drugs = ["CC(=O)Oc1ccccc1C(=O)O", "CN1CCN(CC1)c1ccc(cc1)NC(=O)C", "O=S(=O)(N)c1ccc(Cl)cc1"] * 20
    data, present = graph.encode(drugs), graph.present(drugs)
    g = torch.Generator().manual_seed(0)
    time = torch.full((60,), 0.5)
    noise = {name: torch.randn(leaf.shape, generator=g) for name, leaf in data.items()}
    free = {"nodes": present[..., None], "edges": pairs_present(present)}
    noised, levels = {}, {}
    for name, leaf in chain.process.noises.items():
        alpha, sigma = leaf.path.alpha(time[0]), leaf.path.sigma(time[0])
        noised[name] = (alpha * data[name] + sigma * noise[name]) * free[name]
        levels[name] = (alpha, sigma)
    with torch.no_grad():
        output = chain.network(noised, time, present)
    for name, leaf in chain.process.noises.items():
        _, predicted = leaf.prediction.split(output[name], noised[name], *levels[name])
        real = noise[name] * free[name]
        left = ((predicted - real) * free[name]).square().sum() / real.square().sum()
        assert left < 0.5, name


@pytest.mark.data
@needs_weights
def test_another_file_is_refused(tmp_path):
    broken = tmp_path / "weights.pth"
    content = bytearray(PUBLISHED.read_bytes())
    content[1000] ^= 1
    broken.write_bytes(bytes(content))
    with pytest.raises(WeightsError, match="sha256"):
        convert(broken)


def test_missing_weights_say_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("SEIKO_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="convert"):
        load_gdss()
    with pytest.raises(WeightsError, match="MOOD"):
        convert(tmp_path / "nothing.pth")
