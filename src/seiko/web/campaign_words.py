"""A campaign in plain words: what each round gave, what is wrong, and what to do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from seiko.web.campaign_data import ATTACHED, CampaignData, RoundNumbers
from seiko.web.campaign_numbers import Calibration
from seiko.web.verdicts import fitted, surrogate_in_words

Tone = Literal["good", "look", "plain"]
ENOUGH = 5
"""So many readings are needed before anything is said about a rate."""

STUCK = 3
"""So many rounds without a new best are worth a word."""


@dataclass(frozen=True)
class Finding:
    """One sentence or two; "look" asks for something to be done."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class RoundVerdict:
    """A round in words, its findings in the order that matters to read them."""

    title: str
    findings: tuple[Finding, ...]

    @property
    def tone(self) -> Tone:
        """Of the whole: "look" if anything is to be looked at, else "good" if anything is good."""
        tones = {finding.tone for finding in self.findings}
        return "look" if "look" in tones else "good" if "good" in tones else "plain"


def round_verdicts(data: CampaignData) -> list[RoundVerdict]:
    """One of each round, of what was attached first."""
    found, before, stuck = [], None, 0
    for number in data.rounds:
        new_best = number.best is not None and _is_best(number)
        stuck = 0 if new_best or not number.values else stuck + 1
        findings = [
            _readings(number, before),
            *_surrogate(number),
            *_model(number, data.kl_target),
            *_trouble(number),
            *_variety(number, data),
        ]
        if stuck >= STUCK:
            findings.append(_stuck(stuck))
        found.append(RoundVerdict(number.title, tuple(findings)))
        before = number if number.mean else before
    return found


def overview(data: CampaignData) -> list[Finding]:
    """The campaign in a few sentences: the best reading, the last word on the surrogate, what comes next."""
    status = data.status
    found = data.best(1)
    if not found:
        waiting = f"{counted(status.num_pending, 'design is', 'designs are')} awaited."
        return [Finding(f"No reading has been told yet; {waiting}" if status.num_pending else _empty(data))]
    best = found[0]
    count = counted(len(data.told), "reading", "readings")
    place = "attached" if best["round"] == ATTACHED else f"round {best['round'] + 1}"
    text = f"The best of {count} is {numeral(best['value'])} (trial {best['trial_id']}, {place})."
    return [Finding(text + _gain(data, best["value"]), "good"), *_last_word(data)]


def _empty(data: CampaignData) -> str:
    if not data.status.num_trials:
        return "Nothing has been asked or attached yet."
    return "No reading has been told, and none is awaited."


def _gain(data: CampaignData, best: float) -> str:
    """How much higher than what was there before the first learned round."""
    first = next((r for r in data.rounds if r.best is not None), None)
    if first is None or first.best is None or not best > first.best["value"]:
        return ""
    where = "what was attached" if first.round == ATTACHED else f"the best of round {first.round + 1}"
    return f" That is {short(best - first.best['value'])} above {where}."


def _last_word(data: CampaignData) -> list[Finding]:
    """Of the last round with results: what there is to look at, or else how good the surrogate was."""
    verdicts = dict(zip((r.round for r in data.rounds), round_verdicts(data), strict=True))
    told = [r for r in data.asked_rounds if r.values or r.states.get("failed") or r.states.get("infeasible")]
    if not told:
        return []
    look = [f for f in verdicts[told[-1].round].findings if f.tone == "look"]
    return look or [Finding(f.text) for f in _surrogate(told[-1])]


def _is_best(number: RoundNumbers) -> bool:
    best = number.best["value"] if number.best else -math.inf
    return number.best_before is None or best > number.best_before


def _readings(number: RoundNumbers, before: RoundNumbers | None) -> Finding:
    verb = "attached" if number.round == ATTACHED else "asked"
    text = f"{counted(number.size, 'design', 'designs')} {verb}"
    if number.num_open:
        text += f", {number.num_open} still awaited"
    if number.mean is None or number.best is None:
        return Finding(f"{text}; no reading yet." if number.num_open else f"{text}; none has a reading.")
    text += f". {counted(len(number.values), 'reading', 'readings')}, on average {short(number.mean.value)}"
    if number.mean.low is not None and number.mean.high is not None:
        text += f" (95 % interval {short(number.mean.low)} to {short(number.mean.high)})"
    if before is not None and before.mean is not None and before.round != ATTACHED:
        text += f", {_change(number.mean.value - before.mean.value)} the round before"
    best = f"{numeral(number.best['value'])} (trial {number.best['trial_id']})"
    if not _is_best(number):
        return Finding(f"{text}. No new best; the highest is {best}.")
    if number.best_before is None:
        return Finding(f"{text}. The highest is {best}.")
    return Finding(f"{text}. New best: {best}.", "good")


def _change(difference: float) -> str:
    if difference == 0:
        return "the same as"
    return f"{short(abs(difference))} {'above' if difference > 0 else 'below'}"


def _surrogate(number: RoundNumbers) -> list[Finding]:
    """Whether the surrogate knew how much it knew, and whether it could tell good designs from bad ones."""
    told = number.calibration
    if told is None:
        return []
    if told.count < ENOUGH:
        return [Finding(f"{told.count} of its predictions can be compared; too few to judge the surrogate.")]
    text, tone = surrogate_in_words(told.coverage.value, told.count, number.round + 1)
    if tone == "look" and math.isfinite(told.scale):
        text += f" Its errors were {short(told.scale)} times what it expected."
    words = [text, _bias(told), _ranking(told)]
    return [Finding(" ".join(filter(None, words)), "good" if tone == "good" else _tone(tone))]


def _tone(tone: str) -> Tone:
    return "look" if tone == "look" else "plain"


def _bias(told: Calibration) -> str:
    if not math.isfinite(told.rmse) or told.bias**2 < 0.5 * told.rmse**2 or told.rmse == 0:
        return ""
    return f"It predicted too {'low' if told.bias > 0 else 'high'}, by {short(abs(told.bias))} on average."


def _ranking(told: Calibration) -> str:
    if told.ranking is None or told.count < 10:
        return ""
    share = f"rank correlation {short(round(told.ranking, 2))}"
    if told.ranking < 2 / math.sqrt(told.count - 1):
        return f"Within the round it could not tell better designs from worse ones ({share})."
    return f"It ranked the designs of the round well enough to choose by ({share})."


def _model(number: RoundNumbers, target: float | None) -> list[Finding]:
    """How far the model that proposed a round had moved."""
    nats, weighted = number.reported("kl/pretrained_nats"), number.reported("kl/weighted_nats")
    if nats is None:
        return []
    if weighted is not None:
        return [Finding(f"The model that proposed them {fitted(weighted, target)}.")]
    text = f"The model that proposed them was {short(nats)} nats from the pre-trained one"
    step = number.reported("kl/previous_nats")
    text += f" and {short(step)} from the one before" if step is not None else ""
    if target and nats > 1.25 * target:
        text += (
            f", further than the target of {target:g}: look whether its designs are still realistic, and "
            "raise the updater's number of steps or the KL weights."
        )
        return [Finding(text, "look")]
    if target and number.round > 0 and nats < 0.1 * target:
        text += f", of a target of {target:g}: it has hardly moved; give the updater more steps."
        return [Finding(text, "look")]
    return [Finding(f"{text} (target {target:g})." if target else f"{text}.")]


def _trouble(number: RoundNumbers) -> list[Finding]:
    """Failures and designs without a reward."""
    failed, infeasible = number.states.get("failed", 0), number.states.get("infeasible", 0)
    over = len(number.values) + failed + infeasible
    found = []
    if failed:
        many = over >= ENOUGH and failed > over / 2
        advice = "Look at the assay before you ask again." if many else "They may be tried again."
        found.append(Finding(f"{_of(failed, over)} failed. {advice}", "look" if many else "plain"))
    if infeasible:
        many = over >= ENOUGH and infeasible > over / 2
        text = f"{_of(infeasible, over)} had no reward (infeasible)"
        if many:
            text += (
                "; the next round learns from them. If it stays so, hold the model nearer: lower kl_target"
            )
        found.append(Finding(f"{text}.", "look" if many else "plain"))
    if stale := number.states.get("stale", 0):
        text = f"{counted(stale, 'trial is', 'trials are')} overdue: tell, retry or abandon them."
        found.append(Finding(text, "look"))
    return found


def _of(count: int, total: int) -> str:
    return f"{count} of {total} results" if total > 1 else "The one result"


def _variety(number: RoundNumbers, data: CampaignData) -> list[Finding]:
    """Whether batches become alike, and whether the model still draws valid designs."""
    first = next((r.diversity for r in data.asked_rounds if r.diversity), None)
    found = []
    if first and number.round > 0 and number.diversity is not None and number.diversity < 0.5 * first:
        text = (
            f"The designs were much alike: diversity {short(number.diversity)} against {short(first)} in "
            "the first round; raise the method's diversity, or lower kl_target."
        )
        found.append(Finding(text, "look"))
    valid = number.reported("round/valid_fraction")
    if valid is not None and valid < 0.5:
        text = (
            f"Only {percent(valid)} of the model's samples were valid designs; lower kl_target to hold it "
            "nearer to the pre-trained model."
        )
        found.append(Finding(text, "look" if number.round > 0 else "plain"))
    return found


def _stuck(count: int) -> Finding:
    text = f"No new best for {count} rounds; raise exploration or kl_target, or stop here."
    return Finding(text, "look")


def counted(count: int, one: str, many: str) -> str:
    """Example:
    >>> counted(1, "reading", "readings"), counted(12345, "reading", "readings")
    ('1 reading', '12,345 readings')
    """
    return f"{count:,} {one if count == 1 else many}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def numeral(value: float | None) -> str:
    """A number for readers: four digits, a real minus sign; "–" for none.

    Example:
        >>> numeral(-1234.5678), numeral(0.5), numeral(None), numeral(123456.0), numeral(-2e-7)
        ('−1235', '0.5', '–', '123,456', '−2×10^−7')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
    mantissa, _, power = text.partition("e")
    if power:
        text = f"{mantissa}×10^{int(power)}"
    return text.replace("-", "−")


def short(value: float | None) -> str:
    """A number within a sentence: three digits.

    Example:
        >>> short(0.123456), short(-12.345)
        ('0.123', '−12.3')
    """
    return numeral(value if value is None or not math.isfinite(value) else float(f"{value:.3g}"))


def with_error(value: float | None, error: float | None) -> str:
    """A reading with its standard error.

    Example:
        >>> with_error(1.5, 0.25), with_error(1.5, None)
        ('1.5 ± 0.25', '1.5')
    """
    return numeral(value) if error is None else f"{numeral(value)} ± {error:.2g}"
