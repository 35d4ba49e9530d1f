"""A whole campaign on a tiny Stable Diffusion, and its adapter in the stock pipeline."""

from __future__ import annotations

import pytest
import torch

from image_world import diffusers, generator, sd_pipeline
from pipeline_comparison import compare, require_equal
from seiko import Campaign, methods
from seiko.campaign import CallableFeedback, run
from seiko.chain import path_kl
from seiko.domains.image_format import PROMPT
from seiko.networks import LoRA, save_lora
from seiko.oracles.image_properties import colourfulness
from seiko.proposers.online import load_chain
from seiko.updaters.backprop import RewardBackprop
from seiko.zoo import load_pipeline

PROMPTS = ["a cat", "a dog"]


def _proposer(chain, domain):
    updater = RewardBackprop(
        num_iterations=3,
        batch_size=4,
        learning_rate=0.02,
        grad_steps=2,
        reference_gradient=False,
        measure_samples=4,
        measure_every=2,
    )
    return methods.seiko_ucb(chain, domain, updater=updater, pool_size=8, kl_target=20.0)


def _pipeline(folder):
    return load_pipeline(folder, prompts=PROMPTS, num_steps=4, guidance_scale=2.0, train=LoRA(rank=2))


def test_a_campaign_from_a_folder_to_the_stock_pipeline(tmp_path):
    folder = tmp_path / "pipe"
    sd_pipeline(tmp_path).save_pretrained(folder)
    chain, domain = _pipeline(folder)
    seen = []

    def reward(image):
        seen.append(image.info[PROMPT])
        return colourfulness(image)

    campaign = Campaign.create(
        tmp_path / "run", domain=domain, proposer=_proposer(chain, domain), budget=12, num_queries=6
    )
    run(campaign, CallableFeedback(reward))
    assert len(seen) == 12 and set(seen) == set(PROMPTS)  # evaluation asks nothing
    assert len(campaign.history.complete) == 12

    # another process: a fresh copy of the pipeline, the campaign from the disk
    chain, domain = _pipeline(folder)
    again = Campaign.open(tmp_path / "run", domain=domain, proposer=_proposer(chain, domain))
    assert [t.key for t in again.trials] == [t.key for t in campaign.trials]
    assert {t.design.info[PROMPT] for t in again.trials} == set(PROMPTS)
    tuned, updates, *_ = load_chain(chain, again.artifacts)
    assert updates == 2
    rows = torch.tensor([0, 1])
    assert (path_kl(tuned, chain, 2, condition=rows, generator=generator()) > 1e-3).all()

    save_lora(tuned, tmp_path / "lora")
    stock = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    stock.load_lora_weights(tmp_path / "lora")
    call = {"prompt": PROMPTS, "guidance_scale": 2.0}
    require_equal(compare(stock, tuned, domain, [0, 1], num_steps=4, **call))


def test_a_wrong_image_told_back_is_refused_and_nothing_is_lost(tmp_path):
    chain, domain = load_pipeline(
        sd_pipeline(tmp_path), prompts=PROMPTS, num_steps=2, guidance_scale=1.0, train=LoRA(rank=2)
    )
    campaign = Campaign.create(
        tmp_path / "run", domain=domain, proposer=_proposer(chain, domain), budget=4, num_queries=4
    )
    trials = campaign.ask()
    observations = CallableFeedback(lambda image: colourfulness(image.crop("all"))).evaluate(
        [trial.design for trial in trials]
    )
    campaign.tell({t.id: o for t, o in zip(trials, observations, strict=True)})
    assert all(t.note for t in campaign.trials) and len(campaign.trials) == 4
    wrong = trials[0].design.resize((8, 8))
    assert domain.why_invalid(wrong) == "size 8 x 8, not 16 x 16"
    with pytest.raises(ValueError, match="size 8 x 8"):
        domain.features([wrong])
