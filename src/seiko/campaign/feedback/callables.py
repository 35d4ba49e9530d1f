"""Sources of rewards, and the loop that spends a budget on one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from seiko.campaign.numbers import as_number
from seiko.errors import ObservationError, ParameterError
from seiko.records import Observation, Trial, TrialState, is_finite_number

if TYPE_CHECKING:
    from seiko.campaign.campaign import Campaign
    from seiko.campaign.status import CampaignStatus

Design = TypeVar("Design")
AnyDesign = TypeVar("AnyDesign", contravariant=True)

ENOUGH_FAILURES = 5
"""So many failures, and nothing else, in one round stop a run even after earlier successes."""


class Feedback(Protocol[AnyDesign]):
    """A costly source of rewards: an assay, a simulator, a person.

    ``evaluate`` answers one observation a design, in their order. What could not be measured is a failed
    observation, never a number.
    """

    def evaluate(self, designs: Sequence[AnyDesign]) -> Sequence[Observation]: ...


class CallableFeedback:
    """A Python function as feedback.

    A design whose call raises, or gives None, NaN or an infinite number, is failed, with the reason as its
    note. An :class:`~seiko.Observation` is passed on as it is.

    Args:
        function: One design to its reward; with `batched`, a list of designs to as many rewards.
        batched: Whether the function takes all designs at once; then an exception fails them all.
        noise_std: Standard deviation of its noise, in reward units, where it is known.

    Raises:
        ParameterError: If `function` cannot be called, or `noise_std` is not a finite number >= 0.

    Example:
        >>> [o.value for o in CallableFeedback(len).evaluate(["CCO", "C"])]
        [3.0, 1.0]
    """

    def __init__(
        self, function: Callable[..., Any], *, batched: bool = False, noise_std: float | None = None
    ) -> None:
        if not callable(function):
            raise ParameterError(f"`function` must be callable; got {function!r}.")
        if noise_std is not None and not (is_finite_number(noise_std) and noise_std >= 0):
            raise ParameterError(f"`noise_std` must be a finite number >= 0; got {noise_std!r}.")
        self.function = function
        self.batched = batched
        self.noise_std = noise_std

    def evaluate(self, designs: Sequence[Any]) -> list[Observation]:
        """One observation a design.

        Raises:
            ObservationError: If the function answers something that is no reward, or too few or too many.
        """
        if self.batched:
            return self._evaluate_together(list(designs))
        return [self._evaluate_one(design) for design in designs]

    def _evaluate_one(self, design: Any) -> Observation:
        try:
            answer = self.function(design)
        except Exception as error:  # whatever a user's reward raises is this design's failure
            return _failure(error)
        return self._observation(answer, design)

    def _evaluate_together(self, designs: list[Any]) -> list[Observation]:
        if not designs:
            return []
        try:
            answers = self.function(designs)
        except Exception as error:
            return [_failure(error)] * len(designs)
        return [self._observation(a, d) for a, d in zip(self._listed(answers, designs), designs, strict=True)]

    def _listed(self, answers: Any, designs: list[Any]) -> list[Any]:
        expected = f"{len(designs)} values for {len(designs)} designs"
        if isinstance(answers, (str, bytes, Mapping)) or getattr(answers, "ndim", 1) == 0:
            raise ObservationError(f"The reward {self._name} must give {expected}; it gave {answers!r}.")
        try:
            listed = list(answers)
        except TypeError:
            raise ObservationError(
                f"The reward {self._name} must give {expected}; it gave {answers!r}."
            ) from None
        if len(listed) != len(designs):
            raise ObservationError(
                f"The reward {self._name} gave {len(listed)} values for {len(designs)} designs.",
                hint="Give one value a design, in their order; None for one that could not be measured.",
            )
        return listed

    def _observation(self, answer: Any, design: Any) -> Observation:
        if isinstance(answer, Observation):
            return answer
        if answer is None:
            return Observation.failed("the reward gave None")
        number = as_number(answer)
        if number is None:
            raise ObservationError(
                f"The reward {self._name} must give a number a design; for {design!r} it gave {answer!r}.",
                hint="Give a float, an Observation, or None for one that could not be measured.",
            )
        if not math.isfinite(number):
            return Observation.failed(f"the reward gave {number}")
        return Observation(number, noise_std=self.noise_std)

    @property
    def _name(self) -> str:
        return getattr(self.function, "__qualname__", None) or repr(self.function)


def run(
    campaign: Campaign[Design],
    feedback: Feedback[Design],
    *,
    progress: Callable[[CampaignStatus], None] | None = None,
) -> Mapping[str, Any]:
    """Spend what is left of a campaign's budget, and learn from all of it.

    Trials that an earlier run left pending are evaluated first: a run that was cut off is simply run again.

    Args:
        campaign: The campaign.
        feedback: Evaluates each round's designs.
        progress: Called with the campaign's status after every round.

    Returns:
        The proposer's last report, as of :meth:`Campaign.finish`.

    Raises:
        ObservationError: If the feedback answers something that is not one observation a design. Or if a
            whole round failed, and there has been no reading so far or the round had at least 5 trials; the
            failures are recorded first.
    """
    while True:
        trials = list(campaign.history.open)
        if not trials:
            if not campaign.queries_left:
                return campaign.finish()
            trials = campaign.ask()
        observations = _evaluated(feedback, trials)
        campaign.tell({t.id: o for t, o in zip(trials, observations, strict=True)})
        if progress is not None:
            progress(campaign.status())
        _stop_if_hopeless(campaign, trials, observations)


def _evaluated(feedback: Feedback[Design], trials: Sequence[Trial[Design]]) -> list[Observation]:
    observations = list(feedback.evaluate([t.design for t in trials]))
    name = type(feedback).__name__
    if len(observations) != len(trials):
        raise ObservationError(
            f"{name}.evaluate gave {len(observations)} observations for {len(trials)} designs.",
            hint="Nothing was told; the trials are still pending.",
        )
    for trial, observation in zip(trials, observations, strict=True):
        if not isinstance(observation, Observation):
            raise ObservationError(
                f"{name}.evaluate must give Observations; for trial {trial.id} it gave {observation!r}.",
                hint="Nothing was told. Wrap a plain function as CallableFeedback(function).",
            )
    return observations


def _stop_if_hopeless(
    campaign: Campaign[Any], trials: Sequence[Trial[Any]], observations: Sequence[Observation]
) -> None:
    if any(o.state is not TrialState.FAILED for o in observations):
        return
    history = campaign.history
    if len(trials) < ENOUGH_FAILURES and (history.complete or history.infeasible):
        return
    raise ObservationError(
        f"All {len(trials)} readings of round {trials[-1].round} failed; the first: "
        f"{observations[0].note or 'no reason given'}.",
        hint=f"They are recorded. Mend the reward and run again; {campaign.queries_left} queries are left.",
    )


def _failure(error: Exception) -> Observation:
    return Observation.failed(f"{type(error).__name__}: {error}")
