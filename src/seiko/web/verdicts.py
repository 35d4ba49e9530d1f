"""What happened in a run, round by round, in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seiko.results import Result, Row, Spread
from seiko.web.base import coverage, in_text, predicted

NOMINAL = 0.9


@dataclass(frozen=True)
class Verdict:
    """One round in words; `tone` is "good", "look" or "plain"."""

    title: str
    text: str
    tone: str = "plain"


def verdicts(result: Result) -> list[Verdict]:
    """One a round: what was read, and whether the surrogate knew how much it knew. Last, the final model."""
    told = coverage(result)
    best, found = -math.inf, []
    before: float | None = None
    for round_ in sorted({r.round for r in result.readings}):
        values = [r.value for r in result.readings if r.round == round_ and r.value is not None]
        asked = sum(r.round == round_ for r in result.readings)
        words = [_readings_in_words(values, asked, before, best)]
        tone = "plain"
        if round_ in told:
            words_of, tone = surrogate_in_words(*told[round_], round_ + 1)
            words += [words_of, _bias_in_words(result, round_)]
        report = result.rounds[round_] if round_ < len(result.rounds) else {}
        words.append(_kl_in_words(report, result.kl_target_nats))
        found.append(Verdict(f"Round {round_ + 1}", " ".join(filter(None, words)), tone))
        if values:
            before, best = sum(values) / len(values), max(best, *values)
    return [*found, _final_in_words(result)]


def _readings_in_words(values: Sequence[float], asked: int, before: float | None, best: float) -> str:
    if not values:
        return f"None of the {asked} designs gave a reading."
    mean = sum(values) / len(values)
    text = f"The readings averaged {fixed(mean)}"
    text += f" ({fixed(mean - before, '+')} against the round before)" if before is not None else ""
    text += f"; the best so far rose to {fixed(max(values))}." if max(values) > best else "; no new best."
    if len(values) < asked:
        text += f" {asked - len(values)} of the {asked} designs had no reward or failed."
    return text


def surrogate_in_words(share: float, count: int, round_: int) -> tuple[str, str]:
    """Whether the intervals were too narrow, too wide or right, allowing twice the chance error of the count.

    Example:
        >>> surrogate_in_words(0.62, 60, 3)[1]
        'look'
    """
    slack = 2 * math.sqrt(NOMINAL * (1 - NOMINAL) / count)
    if share < NOMINAL - slack:
        return (
            f"The surrogate was overconfident in round {round_}: {_percent(share)} of readings lay in its "
            "90 % intervals; raise exploration or use another surrogate.",
            "look",
        )
    if share > min(NOMINAL + slack, 0.995):
        return (
            f"The surrogate was cautious: {_percent(share)} of readings lay in its 90 % intervals, which "
            "are wider than they need be; that costs some exploration and harms nothing else.",
            "plain",
        )
    return (
        f"The surrogate knew how much it knew: {_percent(share)} of readings lay in its 90 % intervals.",
        "good",
    )


def _bias_in_words(result: Result, round_: int) -> str:
    """Whether the errors of a round are mostly one shift."""
    told = [(r.value or 0.0) - (r.predicted_mean or 0.0) for r in predicted(result) if r.round == round_]
    shift = sum(told) / len(told)
    if shift**2 < 0.5 * sum(error**2 for error in told) / len(told):
        return ""
    return f"It predicted too {'low' if shift > 0 else 'high'}, by {abs(shift):.2f} on average."


def fixed(value: float, sign: str = "-") -> str:
    """Two decimals, with a real minus sign."""
    return f"{value:{sign}.2f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _kl_in_words(report: Mapping[str, Any], target: float | None) -> str:
    nats, weighted = report.get("kl/pretrained_nats"), report.get("kl/weighted_nats")
    if nats is None:
        return ""
    if weighted is not None:
        return f"The model that proposed them {fitted(float(weighted), target)}."
    text = f"The model that proposed them was {float(nats):.1f} nats from the pre-trained one"
    return f"{text} (target {target:g})." if target else f"{text}."


def fitted(nats: float, target: float | None) -> str:
    """What is said of a model whose target is of weighted samples, not of its paths."""
    told = f"was fitted to samples of the pre-trained one, weighted to {nats:.1f} nats"
    return f"{told} (target {target:g})" if target else told


def _final_in_words(result: Result) -> Verdict:
    """The model that is handed over."""
    if result.final_mean is None:
        return Verdict("Final model", "None of its samples had a reward.", "look")
    text = (
        f"Its samples average {fixed(result.final_mean)}; {_percent(result.final_feasible)} of them are "
        f"feasible, {_percent(result.final_distinct)} different designs."
    )
    nats, target = result.kl_pretrained_nats, result.kl_target_nats
    weighted = result.final_report.get("kl/weighted_nats")
    if weighted is not None:
        return Verdict("Final model", f"{text} It {fitted(float(weighted), target)}.")
    if nats and target and nats > 1.25 * target:
        text += (
            f" It is {nats:.1f} nats from the pre-trained model, further than the target of {target:g}: look "
            "whether its samples are still realistic."
        )
        return Verdict("Final model", text, "look")
    return Verdict(
        "Final model", text + (f" It is {nats:.1f} nats from the pre-trained model." if nats else "")
    )


def headline(rows: Sequence[Row], reward: str) -> str:
    """The comparison in one or two sentences, whoever comes first."""
    ranked = sorted((r for r in rows if r.numbers["top10"]), key=lambda r: -_middle(r.numbers["top10"]))
    if not ranked:
        return "No method found a design with a reading."
    first, rest = ranked[0], ranked[1:]
    text = (
        f"{_capital(in_text(first.method))} came first: the mean of its ten best readings of {reward} is "
        f"{fixed(_middle(first.numbers['top10']))}"
    )
    others = [f"{fixed(_middle(r.numbers['top10']))} of {in_text(r.method)}" for r in rest]
    text += f", against {', '.join(others)}." if others else "."
    final = [r for r in rows if r.numbers["final_mean"]]
    if len(final) > 1:
        top = max(final, key=lambda r: _middle(r.numbers["final_mean"]))
        text += (
            f" Of the designs that the final models give, those of {in_text(top.method)} have the highest "
            f"mean reward, {fixed(_middle(top.numbers['final_mean']))}."
        )
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _middle(spread: Spread | None) -> float:
    return -math.inf if spread is None else spread.median
