"""What figures and words of a report share: names, colours, and a run's numbers by round."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from seiko.results import Reading, Result

LABELS: Mapping[str, str] = {
    "seiko_ucb": "SEIKO-UCB",
    "seiko_bootstrap": "SEIKO-Bootstrap",
    "seiko_thompson": "SEIKO-TS",
    "greedy": "Greedy",
    "non_adaptive": "Non-adaptive",
    "online_ppo": "Online PPO",
    "genetic": "Genetic algorithm",
    "random": "Random sampling",
    "guidance": "Guidance",
    "best_of_n": "Best of N",
    "adalead": "AdaLead",
    "pool_bayes_opt": "Pool GP-BO",
    "tempered_smc": "Tempered SMC",
    "soft_q": "Soft Q",
}
IN_TEXT: Mapping[str, str] = {
    "greedy": "the greedy method",
    "non_adaptive": "the non-adaptive method",
    "online_ppo": "online PPO",
    "genetic": "the genetic algorithm",
    "random": "random sampling",
}
NOMINAL_Z = 1.6448536269514722
"""Half the width of a 90 % interval, in standard deviations."""

COLOURS: Mapping[str, str] = {  # Okabe and Ito; the strongest blue is SEIKO's
    "seiko_ucb": "#0072B2",
    "seiko_bootstrap": "#009E73",
    "seiko_thompson": "#56B4E9",
    "greedy": "#CC79A7",
    "non_adaptive": "#B8860B",
    "online_ppo": "#000000",
    "genetic": "#D55E00",
    "random": "#7A7A7A",
    "guidance": "#6A3D9A",
    "best_of_n": "#8C564B",
    "adalead": "#E6AB02",
    "pool_bayes_opt": "#C2185B",
    "tempered_smc": "#1B9E9E",
    "soft_q": "#4D4D99",
}
DASHES: Mapping[str, Any] = {
    "random": (0, (1, 1.4)),
    "genetic": (0, (5, 1.6)),
    "greedy": (0, (6, 2, 1, 2)),
    "guidance": (0, (3, 1.4)),
    "best_of_n": (0, (2, 1.2)),
    "adalead": (0, (8, 2)),
    "pool_bayes_opt": (0, (4, 1, 1, 1, 1, 1)),
    "tempered_smc": (0, (3, 1, 1, 1)),
    "soft_q": (0, (7, 1.5, 2, 1.5)),
}


def label(method: str) -> str:
    """A method's name for readers."""
    return LABELS.get(method, method if len(method) <= 24 else f"{method[:23]}…")


def in_text(method: str) -> str:
    """The name within a sentence."""
    return IN_TEXT.get(method, label(method))


def colour(method: str) -> str:
    return COLOURS.get(method, "#5B4B8A")


def is_ours(method: str) -> bool:
    return method.startswith("seiko")


def by_method(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Runs of each method, ours first, else in order of appearance."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.method, []).append(result)
    return dict(sorted(groups.items(), key=lambda item: not is_ours(item[0])))


def kl_series(result: Result, name: str) -> list[tuple[int, float]]:
    """Update (from 1) and KL in nats of each report that has it, the final one included."""
    found = [report.get(held(report, name)) for report in (*result.rounds, result.final_report)]
    return [
        (i, float(nats)) for i, nats in enumerate(found) if nats is not None and math.isfinite(float(nats))
    ]


def held(report: Mapping[str, Any], name: str) -> str:
    """Under which a report has the divergence from the pre-trained or previous model that a target holds."""
    weighted = name == "pretrained" and "kl/weighted_nats" in report
    return "kl/weighted_nats" if weighted else f"kl/{name}_nats"


def predicted(result: Result) -> list[Reading]:
    """Readings that a surrogate had predicted with an interval."""
    return [r for r in result.readings if r.value is not None and r.predicted_std]


def coverage(result: Result, z: float = NOMINAL_Z) -> dict[int, tuple[float, int]]:
    """Of each round with predictions: the share of readings in their 90 % intervals, and their number."""
    found: dict[int, list[bool]] = {}
    for r in predicted(result):
        inside = abs((r.value or 0.0) - (r.predicted_mean or 0.0)) <= z * (r.predicted_std or 0.0)
        found.setdefault(r.round, []).append(inside)
    return {round_: (sum(inside) / len(inside), len(inside)) for round_, inside in sorted(found.items())}
