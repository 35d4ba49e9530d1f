from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from image_world import generator, seeded, transformers
from measured_data import data_path
from seiko.campaign.feedback import CallableFeedback
from seiko.checkpoints import tensors_to_bytes
from seiko.domains.image_features import CLIPFeatures
from seiko.errors import ParameterError, WeightsError
from seiko.oracles import aesthetic
from seiko.oracles.aesthetic import AestheticHead, AestheticScore, ClassifierLogit, levels_of, load_head
from seiko.records import TrialState

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra `images`)")
PUBLISHED = data_path("laion_aesthetic_head", "sac+logos+ava1-l14-linearMSE.pth")


def _images(count=3, size=20):
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)) for _ in range(count)]


def _clip(folder, width=768):
    config = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
        projection_dim=width,
    )
    seeded(lambda: transformers.CLIPVisionModelWithProjection(config)).save_pretrained(folder)
    return CLIPFeatures(folder)


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.exists(), reason=f"needs the published head, {PUBLISHED}")
def test_the_published_head_is_read_and_is_one_affine_map():
    head = load_head(PUBLISHED)
    tensors = torch.load(PUBLISHED, map_location="cpu", weights_only=True)
    weight, bias = torch.eye(768).double(), torch.zeros(768).double()
    for layer in (0, 2, 4, 6, 7):
        factor = tensors[f"layers.{layer}.weight"].double()
        weight, bias = factor @ weight, factor @ bias + tensors[f"layers.{layer}.bias"].double()
    embedding = nn.functional.normalize(torch.randn(32, 768, generator=generator()), dim=1)
    expected = embedding.double() @ weight[0] + bias[0]
    torch.testing.assert_close(head(embedding).double(), expected, atol=1e-4, rtol=1e-4)
    assert 0 < float(expected.mean()) < 10


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.exists(), reason=f"needs the published head, {PUBLISHED}")
def test_a_head_that_is_not_the_published_one_is_not_opened(tmp_path):
    content = bytearray(PUBLISHED.read_bytes())
    content[1000] ^= 1
    (tmp_path / "head.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="sha256"):
        load_head(tmp_path / "head.pth")


def test_another_head_comes_as_safetensors(tmp_path):
    own = seeded(AestheticHead)
    published = {0: 0, 1: 2, 2: 4, 3: 6, 4: 7}
    names = {n: f"layers.{published[int(n.split('.')[1])]}.{n.split('.')[2]}" for n in own.state_dict()}
    path = tmp_path / "head.safetensors"
    path.write_bytes(tensors_to_bytes({names[n]: t for n, t in own.state_dict().items()}))
    embedding = torch.randn(4, 768, generator=generator())
    torch.testing.assert_close(load_head(path)(embedding), own(embedding))
    path.write_bytes(tensors_to_bytes({"weight": torch.zeros(1)}))
    with pytest.raises(WeightsError, match="does not hold"):
        load_head(path)


def test_a_head_that_cannot_be_had_is_said(tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match="no file"):
        load_head(tmp_path / "head.pth")
    import huggingface_hub

    def offline(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(WeightsError, match="no route to host") as caught:
        load_head()
    assert aesthetic.HEAD_ON_HUB[0] in str(caught.value) and "head=" in str(caught.value)


def test_the_score_is_the_head_of_the_embedding_and_a_reward(tmp_path):
    clip, head = _clip(tmp_path), seeded(AestheticHead)
    images = _images(5)
    score = AestheticScore(clip, head=head, rows_at_once=2)
    with torch.no_grad():
        expected = head(clip(levels_of(images))).tolist()
    assert score(images) == pytest.approx(expected, abs=1e-5)
    readings = CallableFeedback(score, batched=True).evaluate(images)
    assert [r.value for r in readings] == pytest.approx(expected, abs=1e-5)
    assert AestheticScore(str(tmp_path), head=head)(images) == pytest.approx(expected, abs=1e-5)


def test_what_is_no_image_fails_and_tells_why(tmp_path):
    score = AestheticScore(_clip(tmp_path), head=seeded(AestheticHead))
    readings = CallableFeedback(score, batched=True).evaluate(["cat.png"])
    assert readings[0].state is TrialState.FAILED and "PIL images; got str" in readings[0].note


def test_a_clip_of_another_size_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="768 numbers; got 12"):
        AestheticScore(_clip(tmp_path, width=12), head=seeded(AestheticHead))(_images(1))


# ------------------------------------------------------------------------------------------------ classifiers


class _Means(nn.Module):
    def forward(self, pixels):
        return pixels.mean((-1, -2))


def test_a_classifiers_logit_is_a_reward():
    images = _images()
    logits = (2 * levels_of(images) - 1).mean((-1, -2)).double()
    assert ClassifierLogit(_Means(), 1)(images) == pytest.approx(logits[:, 1].tolist(), abs=1e-6)
    odds = logits.softmax(1)[:, 1]
    expected = (odds / (1 - odds)).log().tolist()
    assert ClassifierLogit(_Means(), 1, log_odds=True)(images) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ParameterError, match="from 0 to 2"):
        ClassifierLogit(_Means(), 3)(images)


def test_a_transformers_classifier_is_taken_as_it_is():
    config = transformers.ViTConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=20,
        patch_size=10,
        num_labels=3,
    )
    model = seeded(lambda: transformers.ViTForImageClassification(config)).eval()
    images = _images()
    with torch.no_grad():
        expected = model(pixel_values=2 * levels_of(images) - 1).logits[:, 2].tolist()
    assert ClassifierLogit(model, 2)(images) == pytest.approx(expected, abs=1e-5)
