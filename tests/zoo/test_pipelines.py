"""Pipelines of diffusers, tiny and with random weights, as chains and domains, beside diffusers itself."""

from __future__ import annotations

import shutil

import pytest
import torch

from image_world import (
    diffusers,
    generator,
    pixel_unet,
    sd_pipeline,
    sd_scheduler,
    sdxl_pipeline,
    text_unet,
)
from pipeline_comparison import Recorded, compare, require_equal
from seiko.chain import rollout, sample
from seiko.domains.image_format import PROMPT
from seiko.errors import DeterministicChainError, ParameterError, WeightsError
from seiko.networks import DiffusersNetwork, LoRA, save_lora
from seiko.testing import check_chain, check_domain
from seiko.testing.chains import perturbed
from seiko.zoo import load_pipeline

LORA = LoRA(rank=2)


@pytest.fixture(scope="module")
def sd_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sd")
    sd_pipeline(folder).save_pretrained(folder / "pipe")
    return folder / "pipe"


@pytest.fixture(scope="module")
def sdxl_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdxl")
    sdxl_pipeline(folder).save_pretrained(folder / "pipe")
    return folder / "pipe"


# ------------------------------------------------------------------------------------------- Stable Diffusion


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_our_samples_are_those_of_the_stock_pipeline_given_the_same_noise(sd_folder, scale):
    prompts, negative = ["a cat", "dogs, many"], ["bad", ""]
    chain, domain = load_pipeline(
        sd_folder,
        prompts=prompts,
        negative_prompts=negative,
        num_steps=6,
        guidance_scale=scale,
        train=LORA,
    )
    stock = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder)
    call = {"prompt": prompts, "negative_prompt": negative, "guidance_scale": scale}
    require_equal(compare(stock, chain, domain, [0, 1], num_steps=6, **call))


def test_a_trained_adapter_is_loaded_by_the_stock_pipeline(sd_folder, tmp_path):
    chain, domain = load_pipeline(sd_folder, prompts=["a cat"], num_steps=4, train=LoRA(rank=2, alpha=3.0))
    trained = perturbed(chain, 0.3)
    save_lora(trained, tmp_path)
    stock = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder)
    call = {"prompt": ["a cat"] * 2, "guidance_scale": 7.5}
    assert compare(stock, trained, domain, [0, 0], num_steps=4, **call)[1] > 0.01  # it does change something
    stock.load_lora_weights(tmp_path)
    require_equal(compare(stock, trained, domain, [0, 0], num_steps=4, **call))
    stock.fuse_lora()
    assert compare(stock, trained, domain, [0, 0], num_steps=4, **call)[1] <= 1e-3
    stock.unfuse_lora()
    stock.unload_lora_weights()
    assert compare(stock, chain, domain, [0, 0], num_steps=4, **call)[1] <= 1e-3


def _drawn(pipeline, **options):
    pipeline.set_progress_bar_config(disable=True)
    call = {"prompt": "a cat", "num_inference_steps": 3, "generator": generator(), "output_type": "np"}
    return torch.from_numpy(pipeline(**(call | options)).images)


def test_other_features_of_the_stock_pipeline_work_on_the_result(sd_folder, tmp_path):
    chain, _ = load_pipeline(sd_folder, prompts=["a cat"], num_steps=4, train=LoRA(rank=2))
    save_lora(perturbed(chain, 0.3), tmp_path / "lora")
    stock = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder)
    base = _drawn(stock)
    stock.load_lora_weights(tmp_path / "lora", adapter_name="ours")
    full = _drawn(stock)
    assert (full - base).abs().max() > 0.01
    # a part of it, none of it, and beside another adapter
    stock.set_adapters("ours", adapter_weights=0.5)
    half = _drawn(stock)
    assert (half - base).abs().max() > 1e-3 and (half - full).abs().max() > 1e-3
    stock.disable_lora()
    torch.testing.assert_close(_drawn(stock), base, atol=1e-4, rtol=0)
    stock.enable_lora()
    stock.load_lora_weights(tmp_path / "lora", adapter_name="again")
    stock.set_adapters(["ours", "again"], adapter_weights=[0.5, 0.5])
    torch.testing.assert_close(_drawn(stock), full, atol=1e-3, rtol=0)
    stock.delete_adapters("again")
    stock.set_adapters("ours")
    # several images of a prompt, a negative prompt, another sampler, an image to start from
    options = {"num_images_per_prompt": 2, "negative_prompt": "a dog", "guidance_scale": 3.0}
    assert _drawn(stock, **options).shape == (2, 16, 16, 3)
    again = diffusers.StableDiffusionImg2ImgPipeline.from_pipe(stock)
    picture = torch.rand(1, 3, 16, 16, generator=generator())
    assert torch.isfinite(_drawn(again, image=picture, strength=0.9)).all()
    stock.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(stock.scheduler.config)
    assert torch.isfinite(_drawn(stock)).all()
    # written down as one model without adapters
    fast = _drawn(stock)
    stock.fuse_lora()
    stock.unload_lora_weights()
    stock.save_pretrained(tmp_path / "fused")
    fused = diffusers.StableDiffusionPipeline.from_pretrained(tmp_path / "fused")
    torch.testing.assert_close(_drawn(fused), fast, atol=1e-3, rtol=0)


def test_it_keeps_the_rules(sd_folder):
    options = {"prompts": ["a cat", "a dog"], "num_steps": 3, "train": LORA}
    condition = torch.tensor([0, 1, 1, 0])
    chain, domain = load_pipeline(sd_folder, **options)
    check_domain(domain, sample(chain, 4, condition=condition, generator=generator()), condition=condition)
    check_chain(lambda: load_pipeline(sd_folder, **options)[0].double(), condition=condition, num_paths=48)


def test_the_text_encoder_runs_once_and_guidance_is_one_call(sd_folder):
    stock = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder)
    texts, calls = [], []
    stock.text_encoder.register_forward_pre_hook(lambda *given: texts.append(1))
    stock.unet.register_forward_pre_hook(lambda module, given: calls.append(len(given[0])))
    chain, domain = load_pipeline(stock, prompts=["cat", "dog", "fish"], num_steps=3, train=LORA)
    encoded = len(texts)
    assert encoded == 2  # the prompts at once, and the negative ones
    designs = domain.decode(
        *(lambda c: (sample(chain, 6, condition=c, generator=generator()), c))(
            domain.condition(6, generator())
        )
    )
    assert len(texts) == encoded and calls == [12, 12, 12]
    assert sorted(d.info[PROMPT] for d in designs) == ["cat", "cat", "dog", "dog", "fish", "fish"]


def test_a_sampler_that_is_deterministic_is_replaced_by_ours(tmp_path):
    """Stable Diffusion 1.5 comes with PNDM: the same model, another sampler."""
    names = ("beta_start", "beta_end", "beta_schedule", "set_alpha_to_one", "steps_offset")
    pndm = diffusers.PNDMScheduler(**{name: sd_scheduler().config[name] for name in names})
    a, b = (
        load_pipeline(sd_pipeline(tmp_path, scheduler=s), prompts=["cat"], num_steps=4, train=LORA)[0]
        for s in (pndm, sd_scheduler())
    )
    rows = torch.zeros(2, dtype=torch.long)
    torch.testing.assert_close(*(sample(c, 2, condition=rows, generator=generator()) for c in (a, b)))


def test_velocity_prediction_of_stable_diffusion_2(tmp_path):
    stock = sd_pipeline(tmp_path, scheduler=sd_scheduler(prediction_type="v_prediction"))
    stock.save_pretrained(tmp_path / "pipe")
    chain, domain = load_pipeline(
        tmp_path / "pipe", prompts=["cat"], num_steps=4, guidance_scale=1.0, train=LORA
    )
    require_equal(compare(stock, chain, domain, [0, 0], num_steps=4, prompt=["cat"] * 2, guidance_scale=1.0))


def test_full_fine_tuning_trains_the_denoiser_alone_and_is_saved_by_diffusers(sd_folder, tmp_path):
    chain, domain = load_pipeline(sd_folder, prompts=["cat"], num_steps=4, train="all")
    trained = sum(p.numel() for p in chain.parameters() if p.requires_grad)
    assert trained == sum(p.numel() for p in text_unet().parameters())
    tuned = perturbed(chain, 0.01)
    denoiser = next(part for part in tuned.modules() if isinstance(part, DiffusersNetwork)).model
    denoiser.save_pretrained(tmp_path / "unet")
    unet = diffusers.UNet2DConditionModel.from_pretrained(tmp_path / "unet")
    stock = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder, unet=unet)
    call = {"prompt": ["cat"], "guidance_scale": 7.5}
    require_equal(compare(stock, tuned, domain, [0], num_steps=4, **call))
    assert compare(stock, chain, domain, [0], num_steps=4, **call)[0] > 1e-3


def test_half_precision_computes_in_half_and_keeps_states_single(sd_folder):
    chain, domain = load_pipeline(sd_folder, prompts=["cat"], num_steps=2, train=LORA, dtype=torch.bfloat16)
    states = sample(chain, 2, condition=torch.tensor([0, 0]), generator=generator())
    assert states.dtype == torch.float32 and chain.network.network.dtype == torch.bfloat16
    assert all(domain.is_valid(design) for design in domain.decode(states, torch.tensor([0, 0])))


def test_another_size_is_possible(sd_folder):
    chain, domain = load_pipeline(
        sd_folder, prompts=["cat"], num_steps=2, width=24, height=16, train=LORA, decode="tiled"
    )
    design = domain.decode(
        *[sample(chain, 1, condition=torch.tensor([0]), generator=generator()), torch.tensor([0])]
    )
    assert design[0].size == (24, 16)
    with pytest.raises(ParameterError, match="multiple of 2"):
        load_pipeline(sd_folder, prompts=["cat"], width=17)


# ---------------------------------------------------------------------------------------------------- others


def test_xl_samples_are_those_of_the_stock_pipeline(sdxl_folder):
    prompts = ["a cat", "dogs"]
    chain, domain = load_pipeline(sdxl_folder, prompts=prompts, num_steps=5, guidance_scale=3.0, train=LORA)
    stock = diffusers.StableDiffusionXLPipeline.from_pretrained(sdxl_folder, add_watermarker=False)
    stock.scheduler = diffusers.DDIMScheduler.from_config(stock.scheduler.config, clip_sample=False)

    class WithFloor(Recorded):
        """Ends with the little noise that ours keeps."""

        def set_timesteps(self, *arguments, **options):
            super().set_timesteps(*arguments, **options)
            self.final_alpha_cumprod = chain.process.alpha_bar[-1].float()

    call = {"prompt": prompts, "guidance_scale": 3.0, "height": 16, "width": 16}
    require_equal(compare(stock, chain, domain, [0, 1], num_steps=5, scheduler=WithFloor, **call))


@pytest.mark.parametrize("channels", [3, 1])
def test_unconditional_pipelines(tmp_path, channels):
    unet = pixel_unet(in_channels=channels, out_channels=channels)
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(tmp_path)
    chain, domain = load_pipeline(tmp_path, num_steps=4, train=LORA)
    states = sample(chain, 3, generator=generator())
    check_domain(domain, states)
    stock = diffusers.DDPMPipeline.from_pretrained(tmp_path)
    scheduler = Recorded.from_config(stock.scheduler.config)
    scheduler.set_timesteps(4)
    scheduler.final_alpha_cumprod = chain.process.alpha_bar[-1].float()
    steps = list(rollout(chain, 3, generator=generator()))
    scheduler.noise = [(s.next_state - s.transition.mean) / s.transition.scale for s in steps]
    state = steps[0].state
    with torch.no_grad():
        for timestep in scheduler.timesteps:
            state = scheduler.step(stock.unet(state, timestep).sample, timestep, state)[0]
    torch.testing.assert_close(steps[-1].next_state, state, atol=1e-4, rtol=1e-4)
    assert domain.decode(states, None)[0].mode == ("RGB" if channels == 3 else "L")


# -------------------------------------------------------------------------------------------- what is refused


def test_a_prompt_that_is_too_long_is_refused_before_anything_runs(sd_folder):
    with pytest.raises(ParameterError, match=r"has 15 tokens; the text encoder takes 12"):
        load_pipeline(sd_folder, prompts=["cat", "abcdefghijklm"])
    with pytest.raises(ParameterError, match="tokens"):
        load_pipeline(sd_folder, prompts=["cat"], negative_prompts="abcdefghijklm")


def test_prompts_must_be_there_and_be_a_list(sd_folder, tmp_path):
    with pytest.raises(ParameterError, match="at least one"):
        load_pipeline(sd_folder)
    with pytest.raises(ParameterError, match="list of texts"):
        load_pipeline(sd_folder, prompts="cat")
    with pytest.raises(ParameterError, match="one negative prompt"):
        load_pipeline(sd_folder, prompts=["cat", "dog"], negative_prompts=["x", "y", "z"])
    plain = diffusers.DDPMPipeline(pixel_unet(), diffusers.DDPMScheduler())
    with pytest.raises(ParameterError, match="takes no prompts"):
        load_pipeline(plain, prompts=["cat"])


def test_weights_that_are_missing_are_named(sd_folder, tmp_path):
    with pytest.raises(WeightsError, match="no such folder"):
        load_pipeline(tmp_path / "nowhere", prompts=["cat"])
    broken = tmp_path / "broken"
    shutil.copytree(sd_folder, broken)
    (broken / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsError, match="weight file"):
        load_pipeline(broken, prompts=["cat"])


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch):
    def offline(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(diffusers.DiffusionPipeline, "load_config", offline)
    with pytest.raises(WeightsError, match="no route to host") as caught:
        load_pipeline("someone/some-model", prompts=["cat"])
    assert "network" in str(caught.value)


def test_samplers_without_noise_and_unsupported_schedulers_are_refused(sd_folder, tmp_path):
    with pytest.raises(DeterministicChainError, match="eta"):
        load_pipeline(sd_folder, prompts=["cat"], eta=0)
    with pytest.raises(ParameterError, match="LCMScheduler"):
        load_pipeline(sd_pipeline(tmp_path, scheduler=diffusers.LCMScheduler()), prompts=["cat"])


def test_pipelines_of_other_kinds_are_refused(tmp_path):
    inpainting = sd_pipeline(tmp_path, unet=text_unet(in_channels=9))
    labelled = diffusers.DDPMPipeline(pixel_unet(num_class_embeds=3), diffusers.DDPMScheduler())
    for pipeline in (inpainting, labelled, object()):
        with pytest.raises(ParameterError, match="supported are Stable Diffusion"):
            load_pipeline(pipeline, prompts=["cat"])


def test_a_network_without_attention_needs_other_targets():
    unet = pixel_unet(
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, add_attention=False
    )
    plain = diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler())
    with pytest.raises(ParameterError, match="conv1"):
        load_pipeline(plain)
