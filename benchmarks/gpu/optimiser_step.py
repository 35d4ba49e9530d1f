"""One optimiser step on the UNet of Stable Diffusion 1.5, beside the pattern of the paper's released code.

The UNet is built from its configuration with random weights, so nothing is downloaded. Both sides train a
low-rank adapter of the same rank with the same sampler, steps, guidance and divergence. The reward is minus
the mean square of the last latents: what a decoder and a scorer cost comes on top of both sides alike.

The released pattern, written out plainly:

  single precision; separate copies of the network: the trained one, the frozen one, and further ones that
  wait (--idle-copies); four unbatched calls a step; every step checkpointed, with the frozen network in the
  graph; step k detached with probability 1 - (k + 1) / K, drawn at every step after its graph is there

Ours (`RewardBackprop`):

  ours                 bfloat16 base with adapters in single precision; references share it; both branches of
                       guidance in one call; a graph on the last --grad-steps steps; frozen network outside it
  ours, checkpointed   the same, with activations run again in the backward pass
  ours, exact          the divergence's gradient through the frozen network too, and one step of the prefix
  ours, one step       a graph on the last step alone
  ours, float32        "ours" in single precision, to tell what precision is worth

Printed as lines of JSON: each pattern at each batch, ratios of the released pattern's to ours, and sampling
throughput beside the stock pipeline's (DDIM, eta = 1) in the same precision. Memory is the peak the device
allocated (on a CPU it is not measured: null). Times are medians.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seiko.chain import frozen, sample
from seiko.chains import DiffusionChain
from seiko.chains.schedulers import process_from_scheduler
from seiko.networks import LoRA, add_lora
from seiko.updaters import KLPenalty, Objective, RewardBackprop
from seiko.zoo import diffusers_chain

EXAMPLES = """examples:
  python benchmarks/gpu/optimiser_step.py > step.jsonl              SD-1.5, batches 2, 4, 8 and 16
  python benchmarks/gpu/optimiser_step.py --batches 2 --steps 20    shorter
  python benchmarks/gpu/optimiser_step.py --size tiny --batches 2   seconds on a CPU: counts, not times
"""
KL_WEIGHT, GUIDANCE, RANK = 0.01, 7.5, 4
SIZES: dict[str, dict[str, Any]] = {
    "sd15": {
        "sample_size": 64,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
    },
    "tiny": {
        "sample_size": 8,
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    },
}
TOKENS = {"sd15": 77, "tiny": 6}


@dataclass(frozen=True)
class Setting:
    """What all patterns share."""

    size: str = "sd15"
    steps: int = 50
    grad_steps: int = 8
    repeats: int = 5
    idle_copies: int = 3
    device: str = "cpu"


@dataclass
class Reading:
    """One optimiser step: network calls, rows in them, seconds, and bytes at the peak if the device tells."""

    calls: int
    rows: int
    seconds: float
    peak: int | None


class Meter:
    """Counts the calls of a network and its later copies, and reads the clock and the device's memory."""

    def __init__(self, device: str) -> None:
        self.device, self.calls, self.rows = device, 0, 0

    def watch(self, network: nn.Module) -> None:
        # A function, not a method: a copy of the network would bring a copy of the meter with it.
        def count(module: nn.Module, args: tuple[Any, ...]) -> None:
            self.calls, self.rows = self.calls + 1, self.rows + len(args[0])

        network.register_forward_pre_hook(count)

    def start(self) -> None:
        self.calls = self.rows = 0
        if self.device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        self.since = time.perf_counter()

    def stop(self) -> Reading:
        peak = None
        if self.device == "cuda":
            torch.cuda.synchronize()
            peak = torch.cuda.max_memory_allocated()
        return Reading(self.calls, self.rows, time.perf_counter() - self.since, peak)


def make_unet(setting: Setting, dtype: torch.dtype = torch.float32) -> UNet2DConditionModel:
    """The network from its configuration, random weights, with an adapter to train."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(in_channels=4, out_channels=4, **SIZES[setting.size])
    unet.to(setting.device, dtype).eval()
    add_lora(unet, LoRA(rank=RANK))
    return unet


def scheduler() -> DDIMScheduler:
    """The noise levels of Stable Diffusion."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def embeddings(setting: Setting, seed: int) -> Tensor:
    """What stands for one prompt, [1, tokens, width]."""
    shape = (1, TOKENS[setting.size], SIZES[setting.size]["cross_attention_dim"])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(setting.device)


def event_shape(setting: Setting) -> tuple[int, int, int]:
    side = SIZES[setting.size]["sample_size"]
    return (4, side, side)


def value(state: Tensor, condition: Any) -> Tensor:
    """Minus the mean square of the last latents, [batch]."""
    return -state.square().flatten(1).mean(1)


class Released:
    """The released pattern; `measure` runs one optimiser step."""

    def __init__(self, setting: Setting, batch: int, meter: Meter) -> None:
        self.setting, self.batch, self.meter = setting, batch, meter
        self.network = make_unet(setting)
        self.reference = copy.deepcopy(self.network).requires_grad_(False)
        self.idle = [copy.deepcopy(self.reference) for _ in range(setting.idle_copies)]
        for network in (self.network, self.reference):
            meter.watch(network)
        self.process = process_from_scheduler(scheduler(), setting.steps, event_shape(setting))
        self.trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, lr=1e-4)
        self.generator = torch.Generator().manual_seed(0)
        self.given = embeddings(setting, 1).expand(batch, -1, -1)
        self.none = embeddings(setting, 2).expand(batch, -1, -1)

    def measure(self) -> Reading:
        self.meter.start()
        like = torch.empty((), device=self.setting.device)
        state = self.process.initial(self.batch, like).sample(self.generator)
        kl = torch.zeros(self.batch, device=self.setting.device)
        for step in range(self.setting.steps):
            state, divergence = self._step(state, step)
            kl = kl + divergence
        loss = -(value(state, None) - KL_WEIGHT * kl).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        return self.meter.stop()

    def _step(self, state: Tensor, step: int) -> tuple[Tensor, Tensor]:
        told = (self.process.time(step, state) * 1000 - 1).round().long().expand(self.batch)
        call = lambda network, text: checkpoint(  # noqa: E731
            lambda s: network(s, told, encoder_hidden_states=text, return_dict=False)[0],
            state,
            use_reentrant=False,
        )
        new, new_none = call(self.network, self.given), call(self.network, self.none)
        old, old_none = call(self.reference, self.given), call(self.reference, self.none)
        if step < int(torch.randint(self.setting.steps, (), generator=self.generator)):
            new, new_none, old, old_none = (output.detach() for output in (new, new_none, old, old_none))
        law = self.process.transition(state, new_none + GUIDANCE * (new - new_none), step)
        frozen_law = self.process.transition(state, old_none + GUIDANCE * (old - old_none), step)
        return law.rsample(self.generator), law.kl(frozen_law)


class Ours:
    """`RewardBackprop`; it asks for the value with a graph once a step, so from one such call to the next is
    one backward pass, one optimiser step and one sampled batch."""

    def __init__(
        self, setting: Setting, batch: int, meter: Meter, dtype: torch.dtype, **options: Any
    ) -> None:
        self.meter = meter
        self.chain = our_chain(setting, dtype, meter)
        self.reference = frozen(self.chain)
        options = {"grad_steps": min(setting.grad_steps, setting.steps)} | options
        self.updater = RewardBackprop(
            num_iterations=2, batch_size=batch, learning_rate=1e-4, measure_samples=1, **options
        )
        self.generator = torch.Generator().manual_seed(0)
        self.condition = lambda size, generator=None: torch.zeros(
            size, dtype=torch.long, device=setting.device
        )

    def measure(self) -> Reading:
        laps: list[Reading] = []

        def watched(state: Any, condition: Any) -> Tensor:
            if state.requires_grad:
                laps.append(self.meter.stop() if laps else Reading(0, 0, 0.0, None))
                self.meter.start()
            return value(state, condition)

        objective = Objective(watched, (KLPenalty(self.reference, KL_WEIGHT),), condition=self.condition)
        self.updater.update(self.chain, objective, generator=self.generator)
        return laps[1]


def our_chain(setting: Setting, dtype: torch.dtype, meter: Meter | None = None) -> DiffusionChain:
    unet = make_unet(setting, dtype)
    if meter is not None:
        meter.watch(unet)
    chain = diffusers_chain(
        unet,
        scheduler(),
        event_shape=event_shape(setting),
        num_steps=setting.steps,
        prompts={"encoder_hidden_states": embeddings(setting, 1).to(dtype)},
        negative={"encoder_hidden_states": embeddings(setting, 2).to(dtype)},
        guidance_scale=GUIDANCE,
    )
    return chain.to(setting.device)


OUTSIDE = {"reference_gradient": False, "prefix_kl_steps": 0}
PATTERNS: dict[str, dict[str, Any]] = {
    "ours": {"dtype": torch.bfloat16, **OUTSIDE},
    "ours, checkpointed": {"dtype": torch.bfloat16, "checkpoint": True, **OUTSIDE},
    "ours, exact": {"dtype": torch.bfloat16, "reference_gradient": True, "prefix_kl_steps": 1},
    "ours, one step": {"dtype": torch.bfloat16, "grad_steps": 1, **OUTSIDE},
    "ours, float32": {"dtype": torch.float32, **OUTSIDE},
}


def measured(pattern: str, setting: Setting, batch: int) -> dict[str, Any]:
    """Medians of one pattern at one batch; what did not fit into memory says so."""
    meter = Meter(setting.device)
    line: dict[str, Any] = {"pattern": pattern, "batch": batch}
    try:
        runner: Released | Ours
        if pattern == "released":
            runner = Released(setting, batch, meter)
        else:
            runner = Ours(setting, batch, meter, **PATTERNS[pattern])
        runner.measure()  # warms up
        found = [runner.measure() for _ in range(setting.repeats)]
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        return line | {"out_of_memory": True}
    finally:
        runner = None  # type: ignore[assignment]
        freed(setting)
    return line | {
        name: None if getattr(found[0], name) is None else statistics.median(getattr(r, name) for r in found)
        for name in ("calls", "rows", "seconds", "peak")
    }


def freed(setting: Setting) -> None:
    gc.collect()
    if setting.device == "cuda":
        torch.cuda.empty_cache()


def ratios(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The released pattern's numbers over ours, at each batch where both fitted."""
    released = {line["batch"]: line for line in lines if line["pattern"] == "released"}
    table = []
    for line in lines:
        base = released.get(line["batch"])
        if base is None or line is base or "calls" not in line or "calls" not in base:
            continue
        names = [n for n in ("calls", "rows", "seconds", "peak") if line[n]]
        table.append(
            {"ratio": f"released / {line['pattern']}", "batch": line["batch"]}
            | {name: round(base[name] / line[name], 3) for name in names}
        )
    return table


def sampling(setting: Setting, batch: int, dtype: torch.dtype) -> dict[str, Any]:
    """Latents a second: the stock pipeline's and ours, in turns, in the same precision."""
    chain = our_chain(setting, dtype)
    stock = StableDiffusionPipeline(
        vae=None, text_encoder=None, tokenizer=None, unet=make_unet(setting, dtype),
        scheduler=scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    stock.set_progress_bar_config(disable=True)
    text = [embeddings(setting, seed).to(dtype).expand(batch, -1, -1) for seed in (1, 2)]
    rows = torch.zeros(batch, dtype=torch.long, device=setting.device)
    generator = torch.Generator().manual_seed(0)

    def theirs() -> None:
        stock(
            prompt_embeds=text[0], negative_prompt_embeds=text[1], num_inference_steps=setting.steps,
            guidance_scale=GUIDANCE, eta=1.0, generator=generator, output_type="latent",
        )  # fmt: skip

    def ours() -> None:
        sample(chain, batch, condition=rows, generator=generator)

    rates = {"stock": rate(theirs, setting, batch), "ours": rate(ours, setting, batch)}
    freed(setting)
    return {
        "sampling": str(dtype).removeprefix("torch."),
        "batch": batch,
        "latents_a_second": rates,
        "ours / stock": round(rates["ours"] / rates["stock"], 3),
    }


def rate(work: Callable[[], None], setting: Setting, batch: int) -> float:
    meter, seconds = Meter(setting.device), []
    for _ in range(setting.repeats + 1):
        meter.start()
        work()
        seconds.append(meter.stop().seconds)
    return round(batch / statistics.median(seconds[1:]), 4)


def machine(setting: Setting) -> dict[str, Any]:
    name = torch.cuda.get_device_name() if setting.device == "cuda" else platform.processor() or "CPU"
    return {"device": name, "torch": torch.__version__, "size": setting.size, "steps": setting.steps,
            "grad_steps": setting.grad_steps, "repeats": setting.repeats,
            "idle_copies": setting.idle_copies}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=sorted(SIZES), default="sd15")
    parser.add_argument("--batches", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--steps", type=int, default=50, help="steps of the sampler (50)")
    parser.add_argument("--grad-steps", type=int, default=8, help="last steps with a graph, ours (8)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each (5)")
    parser.add_argument("--idle-copies", type=int, default=3, help="further copies, released pattern (3)")
    parser.add_argument("--patterns", nargs="+", choices=["released", *PATTERNS])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = vars(parser.parse_args(arguments))
    batches, patterns = given.pop("batches"), given.pop("patterns") or ["released", *PATTERNS]
    setting = Setting(**given)
    lines = [machine(setting)]
    print(json.dumps(lines[0]), flush=True)

    def tell(line: dict[str, Any]) -> None:
        lines.append(line)
        print(json.dumps(line), flush=True)

    for batch in batches:
        some = [measured(pattern, setting, batch) for pattern in patterns]
        for line in [*some, *ratios(some)]:
            tell(line)
        for dtype in (torch.float32, torch.bfloat16):
            tell(sampling(setting, batch, dtype))
    return lines


if __name__ == "__main__":
    main()
