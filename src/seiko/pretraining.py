"""Train a chain on data: one loop with a progress bar, a moving average, checkpoints and exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seiko import tree
from seiko.averaging import MovingAverage
from seiko.chain import SupportsLoss
from seiko.checkpoints import load_weights, read_tensors, tensors_to_bytes, write_atomically
from seiko.errors import ParameterError, WeightsError
from seiko.typing import State


@dataclass(frozen=True)
class Pretraining:
    """The settings of a training run.

    Attributes:
        num_iterations: Optimiser steps.
        batch_size: Rows a step, drawn with replacement.
        learning_rate: The highest rate of AdamW, after a linear warm-up and before a cosine to a hundredth.
        warmup: Iterations of warm-up.
        weight_decay: Of AdamW.
        ema_decay: Decay of the moving average of the weights, which is what the run returns.
        clip_norm: Largest gradient norm.
        checkpoint_every: Iterations between checkpoints.
        seed: Of everything drawn.
    """

    num_iterations: int
    batch_size: int = 256
    learning_rate: float = 1e-3
    warmup: int = 200
    weight_decay: float = 0.0
    ema_decay: float = 0.999
    clip_norm: float = 1.0
    checkpoint_every: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_iterations", "batch_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ParameterError(f"`{name}` must be an integer >= 1; got {getattr(self, name)!r}.")
        if not self.learning_rate > 0 or not 0 <= self.ema_decay < 1:
            raise ParameterError(
                f"`learning_rate` must be > 0 and `ema_decay` in [0, 1); got "
                f"{self.learning_rate} and {self.ema_decay}."
            )

    def rate(self, iteration: int) -> float:
        """Learning rate at `iteration`, in [0, num_iterations)."""
        if iteration < self.warmup:
            return self.learning_rate * (iteration + 1) / self.warmup
        done = (iteration - self.warmup) / max(1, self.num_iterations - self.warmup)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def pretrain(
    chain: SupportsLoss,
    data: State,
    settings: Pretraining,
    *,
    prepare: Callable[[State], State] = lambda rows: rows,
    checkpoint: str | Path | None = None,
    progress: bool = False,
    on_checkpoint: Callable[[int, float], None] | None = None,
) -> dict[str, Any]:
    """Train `chain` in place and leave the averaged weights in it.

    It runs on the device of the chain. A run that finds its checkpoint goes on from it and ends, on CPU, bit
    for bit where an uninterrupted run ends; on another device than before it goes on with other draws.

    Args:
        chain: The chain; an ``nn.Module`` with ``loss``.
        data: Rows to draw from, leaves [n, ...], in any compact form; they may stay on the CPU.
        settings: See `Pretraining`.
        prepare: Turns drawn rows into what ``chain.loss`` takes, for instance one-hot.
        checkpoint: A safetensors file for resuming; none is written if None.
        progress: Show a progress bar.
        on_checkpoint: Called with the iteration and the running loss at every checkpoint.

    Returns:
        The running loss (the mean of the last iterations), iterations and seconds of this call.

    Raises:
        WeightsError: If the checkpoint is corrupt or belongs to other settings.
    """
    assert isinstance(chain, nn.Module)
    run = _Run(chain, settings)
    if checkpoint is not None and Path(checkpoint).exists():
        run.restore(checkpoint)
    start, num_rows = time.perf_counter(), tree.batch_size(data)
    with _progress_bar(progress, settings.num_iterations, run.iteration) as advance:
        while run.iteration < settings.num_iterations:
            run.step(prepare(run.draw(data, num_rows)))
            advance(run.running_loss)
            if run.iteration % settings.checkpoint_every == 0 or run.iteration == settings.num_iterations:
                if checkpoint is not None:
                    run.save(checkpoint)
                if on_checkpoint is not None:
                    on_checkpoint(run.iteration, run.running_loss)
    run.average.apply()
    seconds = time.perf_counter() - start
    return {"loss": run.running_loss, "iterations": settings.num_iterations, "seconds": seconds}


def averaged_weights(checkpoint: str | Path) -> tuple[dict[str, Tensor], int]:
    """The averaged weights of the network of a chain in a run's checkpoint, and the run's iteration.

    Raises:
        WeightsError: If the checkpoint is corrupt.
    """
    tensors, metadata = read_tensors(checkpoint)
    start = "average/network."
    averages = {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
    return averages, int(metadata["iteration"])


_ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")


class _Run:
    """Everything a training run carries from one iteration to the next."""

    def __init__(self, chain: nn.Module, settings: Pretraining) -> None:
        self.chain, self.settings = chain, settings
        self.parameters = {name: p for name, p in chain.named_parameters() if p.requires_grad}
        self.average = MovingAverage(self.parameters, settings.ema_decay)
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.device = next(iter(self.parameters.values())).device
        self.generator = torch.Generator(self.device).manual_seed(settings.seed)
        self.iteration, self.running_loss = 0, math.nan

    def draw(self, data: State, num_rows: int) -> State:
        """A batch of rows, on the chain's device."""
        size = (self.settings.batch_size,)
        rows = torch.randint(num_rows, size, generator=self.generator, device=self.device)
        held = next(tree.leaves(data)).device
        return tree.tree_map(lambda leaf: leaf.to(self.device), tree.index(data, rows.to(held)))

    def step(self, rows: State) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(self.iteration)
        loss = self.chain.loss(rows, generator=self.generator).mean()  # type: ignore[operator]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(list(self.parameters.values()), self.settings.clip_norm)
        self.optimizer.step()
        self.iteration += 1
        self.average.update(self.iteration)
        value = float(loss.detach())
        self.running_loss = (
            value if math.isnan(self.running_loss) else 0.99 * self.running_loss + 0.01 * value
        )

    def _tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {f"weights/{name}": p for name, p in self.parameters.items()}
        tensors |= {f"average/{name}": p for name, p in self.average.tensors.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"adam/{key}/{name}"] = value
        return tensors | {"generator": self.generator.get_state()}

    def save(self, path: str | Path) -> None:
        """Write the run's whole state."""
        metadata = {
            "iteration": self.iteration,
            "running_loss": self.running_loss,
            "settings": asdict(self.settings),
        }
        write_atomically(path, tensors_to_bytes(self._tensors(), metadata))

    def restore(self, path: str | Path) -> None:
        """Go on from a file written by `save`."""
        tensors, metadata = read_tensors(path)
        if metadata.get("settings") != asdict(self.settings):
            raise WeightsError(
                f"The checkpoint {path} was made with other settings: {metadata.get('settings')}.",
                hint="Use the same settings to go on, or another checkpoint file to start anew.",
            )
        kinds = ("weights", "average", *(f"adam/{key}" for key in _ADAM_STATE))
        wanted = {f"{kind}/{name}" for kind in kinds for name in self.parameters} | {"generator"}
        if tensors.keys() != wanted:
            raise WeightsError(
                f"The checkpoint {path} does not hold what a run of this chain needs.",
                hint="Build the chain with the sizes it was trained with, or start anew with another file.",
            )
        holder = nn.ParameterDict({name.replace(".", "/"): p for name, p in self.parameters.items()})
        given = {
            name.removeprefix("weights/").replace(".", "/"): t
            for name, t in tensors.items()
            if name.startswith("weights/")
        }
        load_weights(holder, given, source=str(path))
        for name, parameter in self.parameters.items():
            self.average.tensors[name].copy_(tensors[f"average/{name}"])
            self.optimizer.state[parameter] = {
                key: tensors[f"adam/{key}/{name}"].to("cpu" if key == "step" else parameter.device)
                for key in _ADAM_STATE
            }
        self.iteration, self.running_loss = metadata["iteration"], metadata["running_loss"]
        if len(tensors["generator"]) == len(self.generator.get_state()):
            self.generator.set_state(tensors["generator"])
        else:  # of another kind of device
            self.generator.manual_seed(self.settings.seed + self.iteration)


class _progress_bar:
    """A context that gives ``advance(loss)``; silent unless asked for."""

    def __init__(self, show: bool, total: int, done: int) -> None:
        self.show, self.total, self.done = show, total, done

    def __enter__(self) -> Callable[[float], None]:
        if not self.show:
            return lambda loss: None
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
        )
        self.bar.start()
        task = self.bar.add_task("pre-training", total=self.total, completed=self.done, loss=math.nan)
        return lambda loss: self.bar.update(task, advance=1, loss=loss)

    def __exit__(self, *exception: object) -> None:
        if self.show:
            self.bar.stop()
