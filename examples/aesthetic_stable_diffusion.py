"""Stable Diffusion, fine-tuned with LoRA towards the LAION aesthetic score from 320 queries, on one GPU.

    python examples/aesthetic_stable_diffusion.py runs/animals
    accelerate launch --multi_gpu --num_processes 2 examples/aesthetic_stable_diffusion.py runs/animals

The weights come from the hub, or from a folder that is named second. Stopped, it goes on when it is started
again. The adapter that it leaves is loaded by any pipeline of diffusers: `pipeline.load_lora_weights(...)`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from seiko import Campaign, Proposer, RewardBackprop, methods, parallel, zoo
from seiko.campaign import CallableFeedback
from seiko.networks import LoRA, save_lora
from seiko.oracles.aesthetic import AestheticScore
from seiko.proposers.online import load_chain
from seiko.updaters import FewerSteps

MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5"
PROMPTS = ["a cat", "a dog", "a horse", "a monkey", "a rabbit", "a butterfly", "a panda", "a fox"]


def main(folder: Path, model: str = MODEL, *, reward: Any = None, queries: int = 64, pool: int = 128,
         steps: int = 20, batch: int = 16, iterations: int = 40) -> None:  # fmt: skip
    accelerator = Accelerator()
    dtype = torch.bfloat16 if accelerator.device.type == "cuda" else torch.float32
    options = {"num_steps": steps, "guidance_scale": 5.0, "dtype": dtype, "device": accelerator.device}
    chain, domain = zoo.load_pipeline(model, prompts=PROMPTS, train=LoRA(rank=8), **options)
    updater = RewardBackprop(
        num_iterations=iterations, batch_size=batch, learning_rate=3e-4, grad_steps=(1, 2),
        reference_gradient=False, measure_samples=2 * batch,
    )  # fmt: skip
    updater = FewerSteps(updater, (steps + 1) // 2)
    proposer = methods.seiko_ucb(chain, domain, updater=updater, pool_size=pool)

    def campaign(proposer: Proposer) -> Campaign:
        place, given = folder / "campaign", {"domain": domain, "proposer": proposer}
        if place.exists():
            return Campaign.open(place, **given)
        return Campaign.create(place, budget=5 * queries, num_queries=queries, **given)

    feedback = CallableFeedback(reward or AestheticScore(device=accelerator.device), batched=True)
    # A batch in eight shares: two rows at a time in memory on one GPU, or a share on each of eight.
    parallel.run(campaign, proposer, feedback, accelerator=accelerator, shares=8)
    accelerator.end_training()
    if accelerator.is_main_process:
        tuned, *_ = load_chain(chain, campaign(proposer).artifacts)
        print("The adapter is", save_lora(tuned, folder / "lora"))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/animals"), *sys.argv[2:3])
