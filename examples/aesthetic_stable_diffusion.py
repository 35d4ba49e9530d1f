"""Stable Diffusion, fine-tuned with LoRA towards the LAION aesthetic score from 320 queries, on one GPU.

    python examples/aesthetic_stable_diffusion.py runs/animals
    accelerate launch --multi_gpu --num_processes 2 examples/aesthetic_stable_diffusion.py runs/animals

Needs about 12 GB of the GPU's memory; the weights come from the hub, or from a folder that is named third:
`... runs/animals path/to/pipeline`. The adapter that it leaves is loaded by any pipeline of diffusers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator

from seiko import Campaign, methods, parallel, zoo
from seiko.campaign import CallableFeedback, Feedback
from seiko.networks import LoRA, save_lora
from seiko.oracles.aesthetic import AestheticScore
from seiko.proposers.online import load_chain
from seiko.updaters import FewerSteps, RewardBackprop

MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5"
PROMPTS = ["a cat", "a dog", "a horse", "a monkey", "a rabbit", "a butterfly", "a panda", "a fox"]


def main(folder: Path, model: str = MODEL, reward: Feedback | None = None, **small: int) -> None:
    accelerator = Accelerator()
    on_gpu = accelerator.device.type == "cuda"
    chain, domain = zoo.load_pipeline(
        model,
        prompts=PROMPTS,
        num_steps=small.get("steps", 20),
        guidance_scale=5.0,
        train=LoRA(rank=8),
        dtype=torch.bfloat16 if on_gpu else torch.float32,
        device=accelerator.device,
    )
    updater = RewardBackprop(
        num_iterations=small.get("iterations", 40), batch_size=small.get("batch", 8), learning_rate=3e-4,
        grad_steps=(1, 2), reference_gradient=False, measure_samples=small.get("batch", 16),
    )  # fmt: skip
    updater = FewerSteps(updater, small.get("training_steps", 12))
    proposer = methods.seiko_ucb(chain, domain, updater=updater, pool_size=small.get("pool", 128))
    queries = small.get("queries", 64)

    def campaign(proposer: methods.Proposer) -> Campaign:
        if (folder / "campaign").exists():
            return Campaign.open(folder / "campaign", domain=domain, proposer=proposer)
        return Campaign.create(
            folder / "campaign", domain=domain, proposer=proposer, budget=5 * queries, num_queries=queries
        )

    feedback = reward or CallableFeedback(AestheticScore(device=accelerator.device), batched=True)
    parallel.run(campaign, proposer, feedback, accelerator=accelerator)
    if accelerator.is_main_process:
        tuned, *_ = load_chain(chain, campaign(proposer).artifacts)
        print(f"The adapter is {save_lora(tuned, folder / 'lora')}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/animals"), *sys.argv[2:3])
