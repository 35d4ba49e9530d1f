from __future__ import annotations

import numpy as np
import pytest
import torch

from image_world import autoencoder, diffusers, generator, pixel_unet, seeded, transformers
from seiko.chain import frozen
from seiko.domains.image import image_domain
from seiko.domains.image_features import ChainFeatures, CLIPFeatures, PixelFeatures, VisionFeatures
from seiko.domains.image_format import ImageFormat
from seiko.domains.image_latents import VAEDecoder
from seiko.errors import ParameterError, WeightsError
from seiko.testing import check_domain
from seiko.zoo import diffusers_chain


def clip_folder(folder):
    config = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=12,
    )
    model = seeded(lambda: transformers.CLIPVisionModelWithProjection(config))
    model.save_pretrained(folder)
    return model.eval()


def _levels(count=3, height=8, width=8, seed=0):
    levels = torch.rand(count, 3, height, width, generator=generator(seed))
    return (levels * 255).round() / 255


def test_pixel_features_of_known_pictures():
    half = torch.zeros(1, 3, 8, 8)
    half[..., 4:] = 1.0
    found = PixelFeatures(2)(half)[0]
    assert found[:12].tolist() == [0.0, 1.0] * 6  # mean colour of four cells, three channels
    assert found[12:24].max() < 0.01  # no cell varies
    assert found[24:27].max() < 0.01  # nothing changes downwards
    assert found[27:30].tolist() == pytest.approx([1 / 7] * 3, abs=1e-3)  # one edge in seven, across
    assert found[30:].tolist() == [0.5] * 3


def test_pixel_features_have_finite_slopes_on_flat_pictures():
    flat = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    PixelFeatures(4)(flat).sum().backward()
    assert torch.isfinite(flat.grad).all()


def test_clip_sees_what_transformers_processor_shows_it(tmp_path):
    model = clip_folder(tmp_path)
    picture = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    picture = np.repeat(np.repeat(picture[::8, ::8], 8, 0), 8, 1)  # smooth enough for two resamplings
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    with torch.no_grad():
        theirs = model(**processor(picture, return_tensors="pt")).image_embeds
    ours = CLIPFeatures(tmp_path)(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255)
    torch.testing.assert_close(ours, torch.nn.functional.normalize(theirs, dim=-1), atol=0.02, rtol=0.0)
    assert ours.norm(dim=1).item() == pytest.approx(1.0, abs=1e-5)


def test_clip_that_is_not_there_is_said(tmp_path):
    with pytest.raises(WeightsError, match="CLIP weights"):
        CLIPFeatures(tmp_path / "nowhere")


def test_vision_features_are_the_networks_of_the_normalised_picture():
    network = torch.nn.Conv2d(3, 2, 8)
    features = VisionFeatures(network, size=8, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    levels = _levels()
    by_hand = (levels - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor([0.5, 1, 2])[
        :, None, None
    ]
    torch.testing.assert_close(features(levels), network(by_hand).flatten(1))
    assert not any(p.requires_grad for p in network.parameters())
    assert features(_levels(1, 20, 12)).shape == (1, 2)
    torch.testing.assert_close(features(levels[:, :1]), features(levels[:, :1].expand(-1, 3, -1, -1)))


def test_the_chains_own_encoder_gives_features_with_gradients():
    unet = pixel_unet()
    chain = frozen(diffusers_chain(unet, diffusers.DDIMScheduler(), event_shape=(3, 8, 8), num_steps=3))
    embed = ChainFeatures(chain.network, chain.network.model.mid_block)
    assert embed(_levels()).shape == (3, 16)
    states = 2 * _levels(4) - 1
    check_domain(image_domain(ImageFormat(8, 8), embed=embed), states)
    network = diffusers_chain(unet, diffusers.DDIMScheduler(), event_shape=(3, 8, 8), num_steps=3).network
    trained = ChainFeatures(network, network.model.mid_block)
    levels = _levels().requires_grad_()
    trained(levels).sum().backward()
    assert levels.grad.abs().max() > 0 and all(p.grad is None for p in network.parameters())
    with pytest.raises(ParameterError, match="layer"):
        ChainFeatures(chain.network, pixel_unet().mid_block)
    with pytest.raises(ParameterError, match="time"):
        ChainFeatures(chain.network, chain.network.model.mid_block, time=0)


# ---------------------------------------------------------------------------------------------------- latents


@pytest.mark.parametrize("mode", ["sliced", "whole", "tiled"])
def test_a_latent_domain_keeps_the_rules_of_domains(mode):
    vae = autoencoder()
    domain = image_domain(ImageFormat(16, 16), decoder=VAEDecoder(vae, mode=mode))
    check_domain(domain, torch.randn(4, 4, 8, 8, generator=generator()))


def test_decoding_is_the_autoencoders_own():
    vae, latents = autoencoder(), torch.randn(3, 4, 8, 8, generator=generator())
    theirs = vae.decode(latents / vae.config.scaling_factor).sample
    for mode in ("sliced", "whole"):
        torch.testing.assert_close(VAEDecoder(vae, mode=mode)(latents), theirs, atol=1e-5, rtol=1e-4)


def test_large_pictures_are_decoded_in_tiles():
    vae = autoencoder()
    latents = torch.randn(1, 4, 24, 24, generator=generator())
    whole = VAEDecoder(vae, mode="whole")(latents)
    calls: list[tuple[int, ...]] = []
    vae.decoder.register_forward_pre_hook(lambda module, given: calls.append(tuple(given[0].shape)))
    tiled = VAEDecoder(vae, mode="tiled")(latents)
    assert tiled.shape == whole.shape and len(calls) > 1 and max(shape[-1] for shape in calls) < 24


def test_encoding_gives_the_mean_latents():
    vae, levels = autoencoder(), _levels(2, 16, 16)
    theirs = vae.encode(2 * levels - 1).latent_dist.mean * vae.config.scaling_factor
    torch.testing.assert_close(VAEDecoder(vae).encode(levels), theirs)


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(ParameterError, match="mode"):
        VAEDecoder(autoencoder(), mode="fast")
