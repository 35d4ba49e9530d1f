"""Molecules sampled a second, and the share of the machine's matrix-multiplication rate that is reached.

    python benchmarks/sampling_rate.py --threads 2 --output benchmarks/results/sampling-rate.jsonl

The floating-point operations of a sample are counted by torch; the machine's rate is that of square float32
matrices with the same threads. Medians of several repeats, on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from seiko import zoo
from seiko.chain import sample


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call, after one that is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chain", default="zinc-tokens")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--size", type=int, default=1536, help="of the square matrices")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    chain, domain = zoo.load(settings.chain)
    condition = domain.condition(settings.batch, torch.Generator().manual_seed(0))

    def draw() -> None:
        sample(chain, settings.batch, condition=condition, generator=torch.Generator().manual_seed(1))

    with FlopCounterMode(display=False) as counter:
        draw()
    needed = counter.get_total_flops()
    one = torch.randn(settings.size, settings.size, generator=torch.Generator().manual_seed(0))
    peak = 2 * settings.size**3 / seconds(lambda: one @ one, 4 * settings.repeats)
    taken = seconds(draw, settings.repeats)
    row = {
        "chain": settings.chain,
        "threads": settings.threads,
        "batch": settings.batch,
        "samples_a_second": round(settings.batch / taken, 1),
        "gflop_a_sample": round(needed / settings.batch / 1e9, 4),
        "matmul_gflop_a_second": round(peak / 1e9, 1),
        "share_of_matmul_rate": round(needed / taken / peak, 3),
        "machine": f"{platform.machine()}, torch {torch.__version__}",
    }
    print(json.dumps(row, indent=2))
    if settings.output:
        with settings.output.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
