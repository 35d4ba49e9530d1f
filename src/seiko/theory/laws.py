"""Laws on a finite space, held as natural logarithms [design]: the exact tilt, divergences, the objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seiko.errors import ParameterError, ShapeError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pull:
    """A penalty ``weight * KL(p || reference)``.

    Attributes:
        log_reference: The logarithms of a law, [design].
        weight: In reward units a nat, 0 or more.
    """

    log_reference: Array
    weight: float

    def __post_init__(self) -> None:
        if not (self.weight >= 0 and math.isfinite(self.weight)):
            raise ParameterError(f"`weight` of a pull must be a finite number >= 0; got {self.weight!r}.")


def normalised(log_weights: Array) -> Array:
    """Logarithms of the law in proportion to ``exp(log_weights)``, [design]; -inf stays outside the support.

    Raises:
        ParameterError: If nothing has a finite weight, or a weight is NaN or +inf.

    Example:
        >>> np.exp(normalised(np.array([0.0, 0.0, -np.inf]))).tolist()
        [0.5, 0.5, 0.0]
    """
    highest = np.max(log_weights)
    if not np.isfinite(highest):
        raise ParameterError(
            f"A law needs log-weights below +inf, at least one of them finite; the highest is {highest}."
        )
    shifted = log_weights - highest
    return shifted - np.log(np.exp(shifted).sum())


def tilted(value: Array, pulls: Sequence[Pull]) -> Array:
    """The law with the highest `objective`, in closed form.

    With w the sum of the pulls' weights ``w_j``::

        p  proportional to  exp(value / w) * prod_j reference_j^(w_j / w)

    Its support is what all references with a positive weight share.

    Args:
        value: What is climbed, in reward units, [design].
        pulls: The penalties; at least one weight is positive.

    Returns:
        Logarithms of the law, [design].

    Raises:
        ParameterError: If no weight is positive, so that the maximum is a single point.
        ShapeError: If a reference has another shape than `value`.

    Example:
        >>> flat = normalised(np.zeros(2))
        >>> np.exp(tilted(np.array([0.0, math.log(3)]), [Pull(flat, 1.0)])).round(3).tolist()
        [0.25, 0.75]
    """
    total = sum(pull.weight for pull in pulls)
    if not total > 0:
        raise ParameterError(
            "The tilt needs a pull with a positive weight; the weights sum to 0.",
            hint="Without one the maximum is all mass on the best design.",
        )
    log_law = value / total
    for pull in pulls:
        if pull.log_reference.shape != value.shape:
            raise ShapeError(
                f"A reference must have the value's shape {value.shape}; got {pull.log_reference.shape}."
            )
        if pull.weight > 0:
            log_law = log_law + (pull.weight / total) * pull.log_reference
    return normalised(log_law)


def mean(log_law: Array, value: Array) -> float:
    """``E_p[value]``; values outside the support do not count, whatever they are."""
    inside = np.isfinite(log_law)
    return float(np.exp(log_law[inside]) @ value[inside])


def divergence(log_law: Array, log_reference: Array) -> float:
    """``KL(p || reference)`` in nats; infinite where p has support that the reference lacks.

    Example:
        >>> half, all_on_first = np.log([0.5, 0.5]), np.array([0.0, -np.inf])
        >>> round(divergence(all_on_first, half), 4), divergence(half, all_on_first)
        (0.6931, inf)
    """
    inside = np.isfinite(log_law)
    return max(0.0, float(np.exp(log_law[inside]) @ (log_law[inside] - log_reference[inside])))


def objective(log_law: Array, value: Array, pulls: Sequence[Pull]) -> float:
    """``E_p[value] - sum_j w_j KL(p || reference_j)``, in reward units; a pull of weight 0 is free.

    For the maximum ``p*`` of `tilted` and any law q the three-point identity holds exactly::

        objective(p*) - objective(q) = (sum_j w_j) KL(q || p*)
    """
    cost = sum(p.weight * divergence(log_law, p.log_reference) for p in pulls if p.weight > 0)
    return mean(log_law, value) - cost
