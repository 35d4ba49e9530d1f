"""What a round's surrogate costs as readings accumulate: fitting it, and asking it for a pool of designs.

    python benchmarks/fit_cost.py --threads 2 --output benchmarks/results/fit-cost.jsonl

Default surrogates on the features of a sequence task (RNA of 50 letters) and of molecules written as tokens.
The readings are invented (a smooth function of the features and noise): only times are measured. Medians of
the repeats, on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seiko import zoo
from seiko.benchmark.tasks import TASKS
from seiko.domains.base import Domain
from seiko.methods import default_surrogate
from seiko.proposers.sampling import draw_designs
from seiko.surrogates.base import Observations


def materials(name: str) -> tuple[Any, Domain[Any]]:
    return TASKS[name].materials() if name in TASKS else zoo.load(name)


def features_of(name: str, count: int) -> tuple[Domain[Any], Tensor]:
    """Features [count, feature] of valid samples of the chain."""
    chain, domain = materials(name)
    generator, designs = torch.Generator().manual_seed(0), []
    while len(designs) < count:
        designs += filter(domain.is_valid, draw_designs(chain, domain, 2000, generator))
    return domain, domain.features(designs[:count])


def readings_of(features: Tensor) -> Tensor:
    """A smooth function of the features, and noise."""
    generator = torch.Generator().manual_seed(1)
    slopes = torch.randn(features.shape[1], generator=generator, dtype=torch.float64)
    scores = features.double() @ slopes
    noise = torch.randn(len(scores), generator=generator, dtype=torch.float64)
    return torch.tanh((scores - scores.mean()) / scores.std()) + 0.1 * noise


def timed(work: Any, repeats: int) -> tuple[float, Any]:
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        found = work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), found


def predict(model: Any, pool: Tensor) -> Tensor:
    posterior = model.posterior(pool)
    return torch.stack([posterior.mean, posterior.variance])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--domains", nargs="+", default=["rna-L50", "zinc-tokens"])
    parser.add_argument("--readings", type=int, nargs="+", default=[100, 300, 1000, 3000, 10000])
    parser.add_argument("--pool", type=int, default=1000, help="designs asked for")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output", type=Path)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    for name in settings.domains:
        domain, features = features_of(name, max(settings.readings) + settings.pool)
        values, pool = readings_of(features), features[-settings.pool :, None]
        fit = default_surrogate(domain).fit
        for count in settings.readings:
            told = Observations(features[:count], values[:count])
            took, model = timed(partial(fit, told), settings.repeats)
            asked, _ = timed(partial(predict, model, pool), settings.repeats)
            row = {
                "domain": name,
                "features": features.shape[1],
                "readings": count,
                "fit_seconds": round(took, 2),
                f"predict_{settings.pool}_seconds": round(asked, 3),
                "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
                "threads": settings.threads,
                "torch": torch.__version__,
                "machine": platform.machine(),
            }
            print(json.dumps(row))
            if settings.output:
                with settings.output.open("a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
