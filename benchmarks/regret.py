"""Measured regret beside the bound, on exact laws: what grows like a root, and what makes it grow linearly.

Every run is `seiko.theory.measure` on a world of `seiko.theory.rare_family`: families of designs, the best
one rare under the pre-trained law. Writes one JSON line a run and the three figures of ``docs/guarantee.md``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import seiko
from seiko.theory import (
    Bonus,
    Elliptical,
    Learner,
    Modest,
    NoBonus,
    Schedule,
    Unshrinking,
    World,
    aliased,
    constant,
    growth_exponent,
    measure,
    promised,
    quadratic,
    rare_family,
    shared_features,
    telescopes,
    telescoping,
)
from seiko.web.figures import figure

ROOT = Path(__file__).parent.parent
RIDGE = 0.1
EXAMPLES = """examples:
  python benchmarks/regret.py                            the committed results and figures
  python benchmarks/regret.py --seeds 2 --rounds 200     a look, in seconds
  python benchmarks/regret.py --draw-only                figures and table of results that are there
"""
Runs = list[dict[str, Any]]


@dataclass(frozen=True)
class Variant:
    """One line of the tables: what is different from the guarantee's own setting."""

    name: str
    label: str
    colour: str
    bonus: Callable[[World], Bonus]
    schedule: Callable[[float], Schedule]
    hide: bool = False


def theory(world: World) -> Elliptical:
    return Elliptical(world.noise_std, world.norm)


def modest(exploration: float) -> Callable[[World], Bonus]:
    return lambda world: Modest(world.noise_std, exploration)


def zero(weight: float) -> Schedule:
    return constant(0.0)


HOLDS = [
    Variant("bonus", "bonus, w_prev = 0", "#0072B2", theory, zero),
    Variant("bonus-constant", "bonus, w_prev = w_pre", "#009E73", theory, constant),
    Variant("bonus-telescoping", "bonus, w_prev = w_pre (i - 1)", "#56B4E9", theory, telescoping),
    Variant("modest-3", "modest bonus, 3 std", "#5B4B8A", modest(3.0), zero),
]
FAILS = [
    Variant("greedy", "no bonus", "#CC79A7", lambda world: NoBonus(), zero),
    Variant("modest-1", "too small a bonus, 1 std", "#B8860B", modest(1.0), zero),
    Variant("unshrinking", "bonus that does not shrink", "#D55E00", lambda w: Unshrinking(theory(w)), zero),
    Variant("misspecified", "features that hide the family", "#000000", theory, zero, hide=True),
    Variant("bonus-quadratic", "w_prev = w_pre (i² - 1)", "#7A7A7A", theory, quadratic),
]
VARIANTS = {variant.name: variant for variant in [*HOLDS, *FAILS]}
MASSES = (1e-5, 1e-3, 1e-2, 1e-1)
WEIGHTS = (0.02, 0.05)
MAIN = {"world": "rare", "mass": 1e-4, "weight": 0.03}


def settings() -> list[tuple[str, dict[str, Any]]]:
    """Variant and setting of every run but its seed."""
    ours, schedules = ("bonus", "modest-3", "greedy"), ("bonus", "bonus-telescoping", "greedy")
    return [
        *((name, MAIN) for name in VARIANTS),
        *((name, {**MAIN, "mass": mass}) for mass in MASSES for name in ours),
        *((name, {**MAIN, "weight": weight}) for weight in WEIGHTS for name in schedules),
        *((name, {**MAIN, "world": "shared", "mass": None}) for name in ours),
    ]


def make_world(setting: dict[str, Any], variant: Variant, seed: int) -> World:
    generator = np.random.default_rng(seed)
    if setting["world"] == "shared":
        return shared_features(generator)
    world = rare_family(generator, rare_mass=setting["mass"])
    return aliased(world, families=6, hidden=5, shown_as=0) if variant.hide else world


def run(name: str, setting: dict[str, Any], seed: int, rounds: int) -> dict[str, Any]:
    """One run as a line of the results."""
    began, variant = time.process_time(), VARIANTS[name]
    world, weight = make_world(setting, variant, seed), setting["weight"]
    learner = Learner(variant.bonus(world), variant.schedule(weight), weight, RIDGE)
    found = measure(world, learner, num_rounds=rounds, generator=np.random.default_rng([seed, 1]))
    regret, bound = found.cumulative(), found.bound()
    guaranteed = bool(found.covered.all()) and telescopes(learner.previous, weight, rounds)
    at = np.unique(np.geomspace(1, rounds, 60).round().astype(int))
    curve = [[int(k), rounded(regret[k - 1]), rounded(bound[k - 1])] for k in at]
    return {
        "variant": name,
        **setting,
        "seed": seed,
        "rounds": rounds,
        "regret": rounded(regret[-1]),
        "bound": rounded(bound[-1]),
        "promised": rounded(promised(rounds, dimension=18, ridge=RIDGE, bonus=theory(world))),
        "last_regret": rounded(found.regret[-1]),
        "exponent": rounded(growth_exponent(regret)),
        "bound_exponent": rounded(growth_exponent(bound)) if bound[0] > 0 else None,
        "covered": rounded(found.covered.mean()),
        "guaranteed": guaranteed,
        "bound_holds": bool(np.all(regret <= bound + 1e-9)),
        "curve": curve,
        "seconds": rounded(time.process_time() - began),
        "command": f"python benchmarks/regret.py --rounds {rounds}",
        "versions": {
            "seiko": seiko.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def rounded(number: float) -> float:
    return float(f"{number:.5g}")


def chosen(runs: Runs, name: str, **setting: Any) -> Runs:
    """Runs of a variant at the main setting, changed as told."""
    wanted = {**MAIN, **setting, "variant": name}
    return [r for r in runs if all(r[key] == value for key, value in wanted.items())]


def curves(runs: Runs, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Rounds [point], and one column of the curves [seed, point]."""
    table = np.array([r["curve"] for r in runs])
    return table[0, :, 0], table[:, :, column]


def draw_bound(axes: Sequence[Axes], runs: Runs) -> None:
    for panel, variant in zip(axes, HOLDS[:3], strict=True):
        ours = chosen(runs, variant.name)
        rounds, regret = curves(ours, 1)
        band(panel, rounds, regret, variant.colour, "measured regret")
        panel.plot(
            rounds, np.median(curves(ours, 2)[1], 0), color="black", ls="--", label="bound, run by run"
        )
        world = make_world(MAIN, variant, ours[0]["seed"])
        ahead = [promised(k, dimension=18, ridge=RIDGE, bonus=theory(world)) for k in rounds]
        panel.plot(rounds, ahead, color="black", ls=":", lw=1, label="bound, before the first reading")
        last = np.median(regret[:, -1])
        panel.plot(rounds, last * np.sqrt(rounds / rounds[-1]), color="#b0b0b0", lw=1, label="slope 0.5")
        plain(panel, "x", "y")
        panel.set(title=variant.label, xlabel="round", ylim=(0.3, 4000))
    axes[0].set_ylabel("cumulative regret, reward units")
    axes[0].legend(loc="lower right", fontsize=8)


def draw_failures(axes: Sequence[Axes], runs: Runs) -> None:
    for variant in (HOLDS[0], HOLDS[2], HOLDS[3], *FAILS):
        rounds, regret = curves(chosen(runs, variant.name), 1)
        style: Any = "-" if variant in HOLDS else (0, (4, 1.5))
        for panel in axes:
            panel.plot(rounds, np.median(regret, 0), color=variant.colour, ls=style, label=variant.label)
    axes[0].set(xlabel="round", ylabel="cumulative regret, reward units", title="Linear axes")
    plain(axes[1], "x", "y")
    axes[1].set(xlabel="round", title="Logarithmic axes", ylim=(0.3, 1000))
    axes[0].legend(loc="upper left", fontsize=8)


def draw_rarity(axes: Sequence[Axes], runs: Runs) -> None:
    masses = sorted({r["mass"] for r in runs if r["mass"]})
    for variant in (VARIANTS[name] for name in ("bonus", "modest-3", "greedy")):
        totals = np.array([[r["regret"] for r in chosen(runs, variant.name, mass=m)] for m in masses])
        band(axes[0], np.array(masses), totals.T, variant.colour, variant.label, marker="o")
    plain(axes[0], "x", "y")
    axes[0].set(xlabel="mass of the best family under the pre-trained law")
    axes[0].set(ylabel="regret of the whole run", title="How rare the best designs are")
    axes[0].legend(fontsize=8, loc="lower left")


def plain(panel: Axes, *names: str) -> None:
    """Logarithmic axes with powers of ten written out."""
    for name in names:
        panel.set(**{f"{name}scale": "log"})
        getattr(panel, f"{name}axis").set_major_formatter(lambda value, position: f"{value:g}")
        getattr(panel, f"{name}axis").set_minor_formatter(lambda value, position: "")


def save(made: Figure, path: Path) -> None:
    made.savefig(path, dpi=100, pil_kwargs={"optimize": True})


def band(panel: Axes, x: np.ndarray, rows: np.ndarray, colour: str, label: str, **options: Any) -> None:
    """Median over seeds, with the range of all of them."""
    panel.fill_between(x, rows.min(0), rows.max(0), color=colour, alpha=0.2, lw=0)
    panel.plot(x, np.median(rows, 0), color=colour, label=label, **options)


COLUMNS = "variant | setting | regret | bound | exponent | range | of mean | bound's | covered | bound holds"


def print_table(runs: Runs) -> None:
    """Markdown: medians over seeds, the range of exponents, the exponent of the mean curve."""
    print(f"| {COLUMNS} |\n|{'---|' * len(COLUMNS.split('|'))}")
    for name, setting in settings():
        ours = chosen(runs, name, **setting)
        changed = ", ".join(f"{k} {v}" for k, v in setting.items() if v != MAIN[k] and v is not None)
        if ours:
            print("|", " | ".join([name, changed or "main", *numbers(ours)]), "|")


def numbers(runs: Runs) -> list[str]:
    """The cells of one line."""
    rounds, regret = curves(runs, 1)
    late = rounds >= max(1, rounds[-1] // 10)
    exponents = [r["exponent"] for r in runs]
    grown = [r["bound_exponent"] for r in runs if r["bound_exponent"] is not None]
    return [
        f"{np.median([r['regret'] for r in runs]):.1f}",
        f"{np.median([r['bound'] for r in runs]):.0f}",
        f"{np.median(exponents):.2f}",
        f"{min(exponents):.2f} to {max(exponents):.2f}",
        f"{np.polyfit(np.log(rounds[late]), np.log(regret.mean(0)[late]), 1)[0]:.2f}",
        f"{np.median(grown):.2f}" if grown else "–",
        f"{np.mean([r['covered'] for r in runs]):.0%}",
        f"{sum(r['bound_holds'] for r in runs)}/{len(runs)}",
    ]


def draw(runs: Runs, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save(figure(draw_bound, runs, size=(11, 3.8), columns=3), folder / "regret-bound.png")
    save(figure(draw_failures, runs, size=(9.6, 4.2), columns=2), folder / "regret-failures.png")
    save(figure(draw_rarity, runs, size=(5.4, 3.8), columns=1), folder / "regret-rarity.png")


def measure_all(seeds: int, rounds: int) -> Runs:
    runs: Runs = []
    jobs = [(name, setting, seed) for name, setting in settings() for seed in range(seeds)]
    for done, (name, setting, seed) in enumerate(jobs, 1):
        runs.append(run(name, setting, seed, rounds))
        print(f"\r{done}/{len(jobs)} {name:<20}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return runs


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="runs of each variant (10)")
    parser.add_argument("--rounds", type=int, default=1000, help="rounds of one query (1000)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "regret.jsonl")
    parser.add_argument("--images", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--draw-only", action="store_true", help="measure nothing, read --output")
    given = parser.parse_args(arguments)
    if given.seeds < 1 or given.rounds < 20:
        parser.error(f"--seeds must be at least 1 and --rounds 20; got {given.seeds} and {given.rounds}")
    if given.draw_only:
        runs = [json.loads(line) for line in given.output.read_text().splitlines()]
    else:
        runs = measure_all(given.seeds, given.rounds)
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text("".join(json.dumps(r) + "\n" for r in runs))
    draw(runs, given.images)
    print_table(runs)


if __name__ == "__main__":
    main()
