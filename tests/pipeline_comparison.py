"""Our samples beside a stock pipeline's, told the same start and the same noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from image_world import diffusers, generator
from seiko.chain import rollout


class Recorded(diffusers.DDIMScheduler):
    """The stock scheduler with eta = 1, given the noise of a recorded path of ours."""

    noise: list[torch.Tensor]

    def step(self, output: Any, timestep: Any, state: Any, **options: Any) -> Any:
        place = self.timesteps.tolist().index(int(timestep))
        noise = self.noise[place].to(state)
        return super().step(output, timestep, state, eta=1.0, variance_noise=noise, return_dict=False)


def compare(pipeline, chain, domain, rows, *, num_steps, scheduler=Recorded, **call):
    """Largest differences of last latents, of pictures before they are whole levels, and of designs."""
    condition = torch.tensor(rows)
    steps = list(rollout(chain, len(rows), condition=condition, generator=generator()))
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    pipeline.scheduler.noise = [(s.next_state - s.transition.mean) / s.transition.scale for s in steps]
    pipeline.set_progress_bar_config(disable=True)
    latents, ours = steps[0].state, steps[-1].next_state
    options = {"num_inference_steps": num_steps} | call
    theirs = pipeline(latents=latents, output_type="latent", **options).images
    pictures = pipeline(latents=latents, output_type="np", **options).images
    with torch.no_grad():
        decoded = pipeline.vae.decode(ours / pipeline.vae.config.scaling_factor).sample
    decoded = (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    designs = np.stack([np.asarray(image) for image in domain.decode(ours, condition)]) / 255
    assert designs.shape == pictures.shape
    gaps = ((ours - theirs).numpy(), decoded - pictures, designs - pictures)
    return [float(np.abs(gap).max()) for gap in gaps]


def require_equal(gaps):
    assert gaps[0] <= 1e-4 and gaps[1] <= 1e-4 and gaps[2] <= 0.5 / 255 + 1e-4, gaps
