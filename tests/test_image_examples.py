"""The examples on images run from start to end, on tiny models instead of the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_world import diffusers, sd_pipeline
from script_module import load_script
from seiko import zoo
from seiko.checkpoints import tensors_to_bytes, write_atomically
from seiko.domains.image_format import PROMPT
from seiko.oracles.image_properties import colourfulness
from seiko.updaters import RewardBackprop
from seiko.zoo.pixels import build

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def loaded(name):
    return load_script(f"examples/{name}.py")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_at_most_sixty_lines(path):
    assert len(path.read_text().splitlines()) <= 60


CARD = {
    "name": "icons-32",
    "family": "pixels",
    "image": {"width": 8, "height": 8, "mode": "RGB"},
    "patch": 2,
    "unet": {
        "block_out_channels": [8, 8],
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ["DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D"],
    },
    "scheduler": {
        "_class_name": "DDIMScheduler",
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
    },
    "default_steps": 4,
}


def untrained_zoo(folder, monkeypatch):
    """The zoo with one chain of tiny untrained weights."""
    import hashlib

    chain, _ = build(CARD, 4)
    weights = tensors_to_bytes({n: t.half() for n, t in chain.network.state_dict().items()}, {})
    card = CARD | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
    write_atomically(folder / "icons-32" / "weights.safetensors", weights)
    write_atomically(folder / "icons-32" / "card.json", json.dumps(card).encode())
    monkeypatch.setattr(zoo, "files", lambda package: folder)


def test_colourful_icons_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    untrained_zoo(tmp_path / "zoo", monkeypatch)
    example = loaded("colourful_icons")
    updater = RewardBackprop(num_iterations=2, batch_size=4, grad_steps=1, measure_samples=4)
    options = {"queries": 4, "pool_size": 8, "updater": updater, "final_updater": updater}
    example.main(tmp_path / "run", **options)
    assert len(list((tmp_path / "run" / "after").glob("*.png"))) == 4
    assert len(list((tmp_path / "run" / "best").glob("*.png"))) == 12
    assert {"before.png", "after.png"} <= {path.name for path in (tmp_path / "run").iterdir()}
    first = capsys.readouterr().out.splitlines()[-2:]
    assert first[0].startswith("before: colourfulness")
    example.main(tmp_path / "run", **options)  # nothing is left to ask, and nothing is learned again
    assert capsys.readouterr().out.splitlines()[-2:] == first


def test_aesthetic_stable_diffusion_leaves_an_adapter_for_the_stock_pipeline(tmp_path, capsys):
    folder = tmp_path / "pipe"
    sd_pipeline(tmp_path).save_pretrained(folder)
    asked = []

    def reward(images):
        asked.extend(image.info[PROMPT] for image in images)
        return [colourfulness(image) for image in images]

    example = loaded("aesthetic_stable_diffusion")
    example.main(
        tmp_path / "run", str(folder), reward=reward, queries=2, pool=4, steps=3, batch=4, iterations=1
    )
    assert len(asked) == 10 and set(asked) <= set(example.PROMPTS)
    assert "pytorch_lora_weights.safetensors" in capsys.readouterr().out
    stock = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    stock.load_lora_weights(tmp_path / "run" / "lora")
    assert stock.get_active_adapters()
