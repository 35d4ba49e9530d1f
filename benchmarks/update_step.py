"""Cost of one fine-tuning update: `RewardBackprop` against the pattern of the code released with the paper.

Both fine-tune copies of one conditional network, with the same sampler, steps, batch, guidance, divergence
and reward. The released pattern, written out plainly here:

  four unbatched calls a step       conditional and unconditional, of the trained and the frozen network
  a graph on every step             each call is checkpointed, and run again in the backward pass
  truncation drawn at every step    step k is detached with probability 1 - (k + 1) / K, after its graph
  separate copies                   of the trained and the frozen network

Ours:

  ours                   both branches of guidance in one call on twice the rows; a graph on the last few
                         steps, none on the prefix; the frozen network on those steps only, outside the graph
  ours, checkpointed     the same, with activations run again in the backward pass instead of kept
  ours, exact            the same, with the divergence's gradient through the frozen network too, and the
                         divergence of one random step of the prefix

Counted by hooks on the network, for one update:

  calls          forward calls of a network
  rows           rows in these calls, in batches: a call on twice the rows counts 2
  backward       rows through which a gradient flowed back, in batches
  equivalents    rows forward, and for each row back 2 through the trained network, 1 through the frozen
  saved          the most that graphs hold at once, without weights, each storage once

`rows` and `equivalents` say how much is computed; `calls` how often a network pays its overhead.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seiko.chain import frozen
from seiko.chains import DDIM, DiffusionChain
from seiko.networks import ClassifierFreeGuidance, VectorMLP
from seiko.schedules import cosine_alpha_bar
from seiko.typing import Condition
from seiko.updaters import KLPenalty, Objective, RewardBackprop

EXAMPLES = """examples:
  python benchmarks/update_step.py                          50 steps, batch 64; a minute or two
  python benchmarks/update_step.py --width 512 --batch 16   a wider network, fewer rows
  python benchmarks/update_step.py --steps 20 --repeats 5   shorter
  python benchmarks/update_step.py --json > update.json     for a program
"""
T = TypeVar("T")
LABELS = 4
KL_WEIGHT = 0.01


@dataclass(frozen=True)
class Setting:
    """What both patterns share."""

    steps: int = 50
    batch: int = 64
    width: int = 256
    layers: int = 4
    dimension: int = 32
    grad_steps: int = 8
    guidance_scale: float = 5.0
    repeats: int = 7


class Conditional(nn.Module):
    """A `VectorMLP` on the state beside a one-hot label; a label of zeros stands for none."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.dimension = setting.dimension
        self.network = VectorMLP(setting.dimension + LABELS, width=setting.width, num_layers=setting.layers)

    def forward(self, state: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        return self.network(torch.cat([state, condition], 1), time)[:, : self.dimension]


@dataclass
class Counts:
    """Work of one update, in rows, or in batches where it is a `mean`; `calls` are calls."""

    calls: float = 0
    rows: float = 0
    backward: float = 0
    equivalents: float = 0

    def minus(self, earlier: Counts) -> Counts:
        return Counts(**{name: number - getattr(earlier, name) for name, number in asdict(self).items()})

    @staticmethod
    def mean(found: Sequence[Counts], batch: int) -> Counts:
        """The mean, rows counted in batches."""
        total = {name: sum(getattr(c, name) for c in found) / len(found) for name in asdict(found[0])}
        return Counts(**{name: number / (1 if name == "calls" else batch) for name, number in total.items()})


def watch(network: nn.Module) -> Counts:
    """Count the calls of a network and, since hooks are copied with it, of every later copy."""
    counts = Counts()

    def before(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        # Before, not after: a checkpoint stops recomputing when it has what it needs, inside the call.
        counts.calls += 1
        counts.rows += len(args[0])
        counts.equivalents += len(args[0])

    def after(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            cost = 2 if any(parameter.requires_grad for parameter in module.parameters()) else 1
            output.register_hook(lambda gradient: flowed(len(gradient), cost))

    def flowed(rows: int, cost: int) -> None:
        counts.backward += rows
        counts.equivalents += cost * rows

    network.register_forward_pre_hook(before)
    network.register_forward_hook(after)
    return counts


@dataclass
class SavedMemory:
    """Bytes that autograd graphs hold, each storage once."""

    now: int = 0
    peak: int = 0
    holders: dict[int, int] = field(default_factory=dict)

    def hold(self, tensor: Tensor) -> Callable[[], None]:
        """Count a tensor; the result takes it off again."""
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        self.holders[key] = self.holders.get(key, 0) + 1
        if self.holders[key] == 1:
            self.now += size
            self.peak = max(self.peak, self.now)
        return lambda: self.drop(key, size)

    def drop(self, key: int, size: int) -> None:
        self.holders[key] -= 1
        if not self.holders[key]:
            del self.holders[key]
            self.now -= size


class _Saved:
    """What a graph is given in a tensor's place; it dies with the graph."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@contextmanager
def saved_memory() -> Iterator[SavedMemory]:
    """Follow what graphs keep for their backward pass, weights left out."""
    memory = SavedMemory()

    def pack(tensor: Tensor) -> _Saved:
        saved = _Saved(tensor)
        if not isinstance(tensor, nn.Parameter) and not isinstance(tensor._base, nn.Parameter):
            weakref.finalize(saved, memory.hold(tensor))
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        yield memory


def value(state: Tensor, condition: Condition) -> Tensor:
    """The reward of a final state, [batch]."""
    return -(state - 1).square().mean(1)


def labels(batch: int, generator: torch.Generator | None) -> Tensor:
    """Random one-hot labels, [batch, LABELS]."""
    return nn.functional.one_hot(torch.randint(LABELS, (batch,), generator=generator), LABELS).float()


class Released:
    """The released pattern, one optimiser step a call of `update`."""

    def __init__(self, network: nn.Module, process: DDIM, setting: Setting) -> None:
        self.network, self.reference = copy.deepcopy(network), copy.deepcopy(network)
        self.reference.requires_grad_(False)
        self.process, self.setting = process, setting
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        self.generator = torch.Generator().manual_seed(0)

    def update(self) -> None:
        setting, generator = self.setting, self.generator
        given = labels(setting.batch, generator)
        none = torch.zeros_like(given)
        state = self.process.initial(setting.batch, torch.empty(())).sample(generator)
        kl = torch.zeros(setting.batch)
        for step in range(setting.steps):
            time = self.process.time(step, state).expand(setting.batch)
            outputs = [
                checkpoint(network, state, time, condition, use_reentrant=False)
                for network in (self.network, self.reference)
                for condition in (given, none)
            ]
            if step < int(torch.randint(setting.steps, (), generator=generator)):
                outputs = [output.detach() for output in outputs]
            new_given, new_none, old_given, old_none = outputs
            new = new_none + setting.guidance_scale * (new_given - new_none)
            old = old_none + setting.guidance_scale * (old_given - old_none)
            law = self.process.transition(state, new, step)
            kl = kl + law.kl(self.process.transition(state, old, step))
            state = law.rsample(generator)
        loss = -(value(state, given) - KL_WEIGHT * kl).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()


class Ours:
    """`RewardBackprop`, seen from outside.

    It asks for the value with a graph once an iteration: from one such call to the next is one backward pass,
    one optimiser step and one sampled batch.
    """

    def __init__(self, network: nn.Module, process: DDIM, setting: Setting, **options: Any) -> None:
        guided = ClassifierFreeGuidance(network, setting.guidance_scale, torch.zeros(1, LABELS))
        self.chain = DiffusionChain(guided, process)
        self.reference = frozen(self.chain)
        self.updater = RewardBackprop(
            num_iterations=2,
            batch_size=setting.batch,
            learning_rate=1e-4,
            grad_steps=min(setting.grad_steps, setting.steps),
            measure_samples=1,
            **options,
        )
        self.generator = torch.Generator().manual_seed(0)

    def update(self, lap: Callable[[], None]) -> None:
        def watched(state: Any, condition: Any) -> Tensor:
            if state.requires_grad:
                lap()
            return value(state, condition)

        objective = Objective(watched, (KLPenalty(self.reference, KL_WEIGHT),), condition=labels)
        self.updater.update(self.chain, objective, generator=self.generator)


PATTERNS: dict[str, dict[str, Any]] = {
    "released": {},
    "ours": {"reference_gradient": False, "prefix_kl_steps": 0},
    "ours, checkpointed": {"reference_gradient": False, "prefix_kl_steps": 0, "checkpoint": True},
    "ours, exact": {"reference_gradient": True, "prefix_kl_steps": 1},
}


def make(pattern: str, network: nn.Module, setting: Setting) -> Released | Ours:
    """A fresh pattern on copies of `network`."""
    process = DDIM(cosine_alpha_bar(setting.steps), (setting.dimension,))
    if pattern == "released":
        return Released(network, process, setting)
    return Ours(network, process, setting, **PATTERNS[pattern])


def run_once(runner: Released | Ours, read: Callable[[], T]) -> tuple[T, T]:
    """Run one update; what `read` gives at its start and at its end."""
    readings: list[T] = []
    if isinstance(runner, Ours):
        runner.update(lambda: readings.append(read()))
    else:
        readings.append(read())
        runner.update()
        readings.append(read())
    return readings[0], readings[1]


def count(pattern: str, setting: Setting) -> tuple[Counts, int]:
    """Work of one update, the mean of `repeats` where it is random, and the peak of saved bytes."""
    torch.manual_seed(0)
    network = Conditional(setting)
    counts = watch(network)
    runner = make(pattern, network, setting)
    found: list[Counts] = []
    with saved_memory() as memory:
        for _ in range(setting.repeats if isinstance(runner, Released) else 1):
            start, end = run_once(runner, lambda: copy.copy(counts))
            found.append(end.minus(start))
    return Counts.mean(found, setting.batch), memory.peak


def seconds(setting: Setting) -> dict[str, list[float]]:
    """Seconds of one update, pattern by pattern in turns, `repeats` times after one for warming up."""
    torch.manual_seed(0)
    network = Conditional(setting)
    runners = {name: make(name, network, setting) for name in PATTERNS}
    taken: dict[str, list[float]] = {name: [] for name in PATTERNS}
    for _ in range(setting.repeats + 1):
        for name, runner in runners.items():
            start, end = run_once(runner, time.perf_counter)
            taken[name].append(end - start)
    return {name: values[1:] for name, values in taken.items()}


def memory_by_steps(setting: Setting) -> dict[int, dict[str, int]]:
    """Bytes saved at the peak, for other numbers of steps and the same steps with a graph."""
    table = {}
    for steps in sorted({max(setting.grad_steps, setting.steps // 2), setting.steps, 2 * setting.steps}):
        shorter = replace(setting, steps=steps, repeats=1)
        table[steps] = {name: count(name, shorter)[1] for name in PATTERNS}
    return table


def compare(setting: Setting) -> dict[str, Any]:
    """Everything the table shows, ready for JSON."""
    times = seconds(setting)
    patterns = {}
    for name in PATTERNS:
        counts, saved = count(name, setting)
        patterns[name] = asdict(counts) | {
            "saved_bytes": saved,
            "seconds": statistics.median(times[name]),
            "seconds_all": times[name],
        }
    released = patterns["released"]
    ratios = {
        name: {key: released[key] / value for key, value in numbers.items() if key != "seconds_all" and value}
        for name, numbers in patterns.items()
        if name != "released"
    }
    return {
        "setting": asdict(setting),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "patterns": patterns,
        "ratios": ratios,
        "saved_bytes_by_steps": memory_by_steps(setting),
    }


def print_table(result: dict[str, Any]) -> None:
    """Two tables: the work, memory and time of one update, and saved memory by number of steps."""
    setting, heads = result["setting"], ("calls", "rows", "backward", "equivalents")
    print(
        f"One update: {setting['steps']} steps, batch {setting['batch']}, width {setting['width']}, guidance "
        f"{setting['guidance_scale']:g}; ours with a graph on the last {setting['grad_steps']} steps.\n"
        f"torch {result['torch']}, {result['threads']} thread(s); median of {setting['repeats']}, in turns.\n"
    )
    print(_line("", (*heads, "saved MiB", "ms")))
    for name, numbers in result["patterns"].items():
        cells = [f"{numbers[head]:.1f}" for head in heads]
        print(_line(name, (*cells, _mib(numbers["saved_bytes"]), f"{1e3 * numbers['seconds']:.1f}")))
    for name, ratios in result["ratios"].items():
        print(_line(f"released / {name}", [f"{ratios[h]:.2f}x" for h in (*heads, "saved_bytes", "seconds")]))
    by_steps = result["saved_bytes_by_steps"]
    print("\n" + _line("saved MiB, by number of steps", by_steps))
    for name in PATTERNS:
        print(_line(name, [_mib(row[name]) for row in by_steps.values()]))
    print("\nWhere a pattern is checkpointed, what one call holds while it is run again comes on top.")


def _line(name: str, cells: Iterable[object]) -> str:
    return f"{name:31}" + "".join(f"{cell:>12}" for cell in cells)


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.2f}"


def parse(arguments: Sequence[str] | None) -> tuple[Setting, bool]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Setting()
    for name, text in (
        ("steps", "steps of the sampler"),
        ("batch", "rows of an update"),
        ("width", "width of the network"),
        ("repeats", "timings of each pattern, at least 5"),
        ("grad-steps", "last steps with a graph, ours"),
    ):
        number = getattr(default, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=number, metavar="N", help=f"{text} ({number})")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = vars(parser.parse_args(arguments))
    as_json = given.pop("json")
    for name, least in {"steps": 1, "batch": 1, "width": 1, "repeats": 5, "grad_steps": 1}.items():
        if given[name] < least:
            parser.error(f"--{name.replace('_', '-')} must be at least {least}; got {given[name]}.")
    if given["grad_steps"] > given["steps"]:
        parser.error(f"--grad-steps must be at most --steps, {given['steps']}; got {given['grad_steps']}.")
    return Setting(**given), as_json


def main(arguments: Sequence[str] | None = None) -> None:
    setting, as_json = parse(arguments)
    result = compare(setting)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_table(result)


if __name__ == "__main__":
    main()
