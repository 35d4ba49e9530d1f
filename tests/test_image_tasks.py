"""The tasks on icons: what they say, and a whole run of one on a tiny chain."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from image_world import diffusers, pixel_unet
from seiko.benchmark import TASKS, run_method
from seiko.benchmark.tasks.images import pixel_updater
from seiko.domains.image import image_domain
from seiko.domains.image_format import ImageFormat
from seiko.surrogates.linear import LastLayerLinear
from seiko.updaters import RewardBackprop
from seiko.zoo import diffusers_chain

TASK = TASKS["icons-colourful"]


def test_the_tasks_are_five_rounds_of_sixty_four_and_measure_what_they_say():
    icon = Image.new("RGB", (32, 32), (255, 255, 0))
    assert TASK.reward(icon) == pytest.approx(76.5)
    assert 0.3 < TASKS["icons-jpeg"].reward(icon) < 1
    for name in ("icons-colourful", "icons-jpeg"):
        assert (TASKS[name].budget, TASKS[name].chain_name) == (320, "icons-32")
        assert {"seiko_ucb", "greedy", "random"} <= set(TASKS[name].methods)


def test_methods_that_fine_tune_have_the_updater_that_a_cpu_can_pay():
    chain = diffusers_chain(pixel_unet(), diffusers.DDPMScheduler(), event_shape=(3, 8, 8), num_steps=12)
    domain = image_domain(ImageFormat(8, 8))
    for name in ("seiko_ucb", "greedy", "seiko_bootstrap", "seiko_thompson", "non_adaptive"):
        proposer = TASK.method(name)(chain, domain)
        assert proposer.updater == pixel_updater() and proposer.pool_size == 128
        assert proposer.final_updater == pixel_updater(60)
        assert proposer.kl_weight_previous == 0 and proposer.kl_target == 2.8


def test_a_whole_run_tells_mean_and_diversity_of_the_final_model():
    def tiny():
        chain = diffusers_chain(pixel_unet(), diffusers.DDPMScheduler(), event_shape=(3, 8, 8), num_steps=3)
        return chain, image_domain(ImageFormat(8, 8))

    task = replace(TASK, load=tiny, num_rounds=2, num_queries=4)
    updater = RewardBackprop(num_iterations=1, batch_size=2, grad_steps=1, measure_samples=2)
    settings = {"updater": updater, "final_updater": updater, "pool_size": 6, "surrogate": LastLayerLinear()}
    result = run_method(task, "seiko_ucb", 0, settings=settings, num_samples=6)
    assert result.queries == 8 and result.final_feasible == 1.0
    assert result.final_mean is not None and 0 < result.final_diversity < 1
    assert torch.tensor(result.final_values).mean().item() == pytest.approx(result.final_mean)
    assert "<" in result.final_designs[0].drawing and result.pretrained_designs
