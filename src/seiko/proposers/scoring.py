"""How wanted a design is, by all that was told: an acquisition, lowered where feasibility is in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor

from seiko.acquisitions import Acquisition, BoundAcquisition
from seiko.domains.base import Domain
from seiko.proposers.online import observations
from seiko.records import History
from seiko.surrogates.base import Surrogate
from seiko.surrogates.feasibility import FeasibilityModel, FittedFeasibility

if TYPE_CHECKING:
    from botorch.models.model import Model

Design = TypeVar("Design")
ROWS = 1024
"""Designs scored in one call of the model: bounds the memory of many readings."""


@dataclass(frozen=True)
class Score(Generic[Design]):
    """A fixed function of a design, fitted to everything told.

    ``acquisition(x) + spread * log P(feasible | x)``, in reward units, with the standard deviation of the
    readings as spread; the second term is there once an infeasible reading was told.

    Attributes:
        domain: Gives the features.
        model: The fitted surrogate.
        acquisition: Bound to the model.
        feasible: The fitted feasibility model, or None where nothing infeasible was told.
        spread: Standard deviation of the readings, in reward units.
    """

    domain: Domain[Design]
    model: Model
    acquisition: BoundAcquisition
    feasible: FittedFeasibility | None = None
    spread: float = 0.0

    def __call__(self, designs: Sequence[Design]) -> Tensor:
        """Scores of valid designs, float64 [n]."""
        return self.of_features(self.domain.features(designs)) if designs else torch.zeros(0).double()

    @torch.no_grad()
    def of_features(self, features: Tensor) -> Tensor:
        """Scores of features [n, feature], float64 [n]."""
        return torch.cat([self._part(part) for part in features.split(ROWS)])

    def _part(self, features: Tensor) -> Tensor:
        wanted = self.acquisition(features).double()
        if self.feasible is None:
            return wanted
        return wanted + self.spread * self.feasible(features).double().log()


def fit_score(
    history: History[Design],
    domain: Domain[Design],
    surrogate: Surrogate,
    acquisition: Acquisition,
    *,
    feasibility: FeasibilityModel,
    generator: torch.Generator,
) -> Score[Design]:
    """The surrogate and the feasibility model fitted to everything told.

    Args:
        history: With at least one complete reading.
        domain: Gives the features.
        surrogate: Recipe of the stand-in for the reward.
        acquisition: What is made of its posterior.
        feasibility: Recipe of the probability that a design has a reward.
        generator: For all that is random in the fits.

    Raises:
        NotEnoughDataError: If nothing complete was told.

    Example:
        >>> from seiko import zoo
        >>> from seiko.acquisitions import Mean
        >>> from seiko.records import Trial, TrialState
        >>> from seiko.surrogates import LastLayerLinear
        >>> domain = zoo.load("tfbind8-low")[1]
        >>> words = {"AAAAAAAA": 1.0, "CCCCCCCC": 0.0}
        >>> told = [Trial(i, 0, w, w, TrialState.COMPLETE, y) for i, (w, y) in enumerate(words.items())]
        >>> parts = {"feasibility": FeasibilityModel(), "generator": torch.Generator().manual_seed(0)}
        >>> score = fit_score(History(tuple(told)), domain, LastLayerLinear(), Mean(), **parts)
        >>> bool(score(["AAAAAAAC"]) > score(["CCCCCCCA"]))
        True
    """
    data = observations(history.complete, domain)
    model = surrogate.fit(data, generator=generator)
    bound = acquisition.bind(model, best_value=float(data.values.max()), generator=generator)
    if not history.infeasible:
        return Score(domain, model, bound)
    refused: Any = domain.features([trial.design for trial in history.infeasible])
    labels = torch.arange(len(data) + len(refused)) < len(data)
    feasible = feasibility.fit(torch.cat([data.features, refused]), labels, generator=generator)
    return Score(domain, model, bound, feasible, float(data.values.std(unbiased=False)))
