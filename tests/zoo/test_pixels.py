"""The small pixel diffusions and their recipe, with tiny networks and no data."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from image_world import generator
from script_module import ROOT, load_script
from seiko import methods, zoo
from seiko.chain import sample
from seiko.domains.image_format import PROMPT
from seiko.errors import WeightsError
from seiko.pretraining import Pretraining, averaged_weights
from seiko.records import History, Trial, TrialState
from seiko.testing import check_chain, check_domain
from seiko.updaters import PolicyGradient
from seiko.zoo.pixels import build as build_pixels

TINY = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 4,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}


@pytest.fixture(scope="module")
def recipe():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "recipes")
        return load_script("recipes/icons.py")


def _card(recipe, name):
    labels = {"num_class_embeds": 11} if name == "fashion-28" else {}
    return recipe.CARDS[name] | {"unet": TINY | labels}


@pytest.mark.parametrize("name", ["icons-32", "fashion-28"])
def test_they_keep_the_rules_and_draw_pictures(recipe, name):
    chain, domain = build_pixels(_card(recipe, name), 3)
    condition = domain.condition(4, generator())
    states = sample(chain, 4, condition=condition, generator=generator())
    check_domain(domain, states, condition=condition)
    designs = domain.decode(states, condition)
    assert designs[0].size == ((32, 32) if name == "icons-32" else (28, 28))
    if name == "fashion-28":
        assert [d.info[PROMPT] for d in designs] == [
            recipe.CARDS[name]["class_names"][row] for row in condition.tolist()
        ]
    make = lambda: build_pixels(_card(recipe, name), 3)[0].double()  # noqa: E731
    check_chain(make, condition=condition, num_paths=32, perturbation=0.01)


def test_online_ppo_keeps_the_conditions_of_its_paths(recipe):
    chain, domain = build_pixels(_card(recipe, "fashion-28"), 3)
    updater = PolicyGradient(num_iterations=1, num_epochs=1, measure_samples=4)
    proposer = methods.online_ppo(chain, domain, updater=updater)
    first = proposer.propose(History(()), 4, resume={}, generator=generator())
    trials = [
        Trial(i, 0, design, domain.key(design), TrialState.COMPLETE, float(i))
        for i, design in enumerate(first.designs)
    ]
    paths = proposer._told(first.artifacts["paths.safetensors"], History(tuple(trials)))
    again = domain.decode(paths.ends(torch.arange(4)), paths.condition)
    assert [d.info[PROMPT] for d in again] == [d.info[PROMPT] for d in first.designs]
    second = proposer.propose(History(tuple(trials)), 2, resume=first.artifacts, generator=generator(1))
    assert second.report["kl/pretrained_nats"] > 0 and len(second.designs) == 2


def test_the_networks_fit_into_eight_megabytes_of_half_precision(recipe):
    for name, card in recipe.CARDS.items():
        chain, _ = build_pixels(card, card["default_steps"])
        assert 2 * sum(p.numel() for p in chain.parameters()) <= 8_000_000, name


def test_a_picture_folded_into_a_state_comes_back(recipe):
    card = _card(recipe, "icons-32")
    _, domain = build_pixels(card, 2)
    pictures = torch.randint(0, 256, (2, 3, 32, 32), generator=generator(), dtype=torch.uint8)
    designs = domain.decode(recipe.prepared({"picture": pictures}), None)
    back = np.stack([np.asarray(design) for design in designs]).transpose(0, 3, 1, 2)
    assert np.array_equal(back, pictures.numpy())


def _small_data(folder):
    (folder / "fashion_mnist").mkdir()
    rng = np.random.default_rng(0)
    np.savez(
        folder / "fashion_mnist" / "fashion_mnist_20k.npz",
        train_images=rng.integers(0, 256, (40, 28, 28), dtype=np.uint8),
        train_labels=(np.arange(40) % 10).astype(np.uint8),
    )


def test_training_is_cut_off_goes_on_and_is_exported(recipe, tmp_path, monkeypatch):
    _small_data(tmp_path)
    monkeypatch.setitem(recipe.CARDS, "fashion-28", _card(recipe, "fashion-28") | {"default_steps": 2})
    settings = Pretraining(num_iterations=4, batch_size=4, warmup=1, checkpoint_every=2)
    monkeypatch.setitem(recipe.SETTINGS, "fashion-28", settings)
    monkeypatch.setattr(recipe, "NUM_SAMPLES", 12)
    monkeypatch.setattr(recipe, "PACKAGE", tmp_path / "src" / "seiko")
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "time", _Stop(recipe.time))
        with pytest.raises(KeyboardInterrupt):  # after the first checkpoint
            recipe.train("fashion-28", tmp_path, tmp_path / "run")
    recipe.train("fashion-28", tmp_path, tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in log] == [4]
    recipe.export("fashion-28", tmp_path, tmp_path / "run")
    folder = tmp_path / "src" / "seiko" / "zoo" / "fashion-28"
    card = json.loads((folder / "card.json").read_text())
    assert card["training_iterations"] == 4 and (folder / "samples.png").is_file()
    assert {path.name for path in folder.iterdir()} == {
        "weights.safetensors", "card.json", "card.md", "samples.png",
    }  # fmt: skip
    _check_loads(monkeypatch, folder, tmp_path / "run")


def _check_loads(monkeypatch, folder, work):
    """What was exported is a chain of the zoo: by name, with the trained weights, refused when damaged."""
    monkeypatch.setattr(zoo, "files", lambda package: folder.parent)
    assert zoo.names() == ["fashion-28"]
    chain, domain = zoo.load("fashion-28")
    assert chain.num_steps == 2 and zoo.load("fashion-28", num_steps=5)[0].num_steps == 5
    trained, _ = averaged_weights(work / "checkpoint.safetensors")
    for name, tensor in chain.network.state_dict().items():
        torch.testing.assert_close(tensor, trained[name], atol=1e-3, rtol=1e-3)
    condition = domain.condition(2, generator())
    states = sample(chain, 2, condition=condition, generator=generator())
    assert all(domain.is_valid(design) for design in domain.decode(states, condition))
    (folder / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="sha256"):
        zoo.load("fashion-28")


class _Stop:
    """A clock that raises when the first checkpoint asks for the time."""

    def __init__(self, clock):
        self.clock, self.calls = clock, 0

    def time(self):
        self.calls += 1
        if self.calls == 2:
            raise KeyboardInterrupt
        return self.clock.time()

    def process_time(self):
        return self.clock.process_time()
