"""What an updater maximises, and what it reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from seiko import shares, tree
from seiko.chain import C, Chain, SupportsLoss, frozen, rollout, sample
from seiko.errors import ObservationError, ParameterError, ShapeError
from seiko.typing import Condition, State


def _none(batch_size: int, generator: torch.Generator | None = None) -> None:
    return None


@dataclass(frozen=True)
class KLPenalty:
    """``weight * KL(p || reference)`` between path laws.

    Attributes:
        reference: The chain that is held near; it is never trained.
        weight: In reward units per nat, >= 0; relative to the other penalties when there is a target.
        name: For reports and targets: "pretrained", "previous".
    """

    reference: Chain
    weight: float
    name: str = "pretrained"

    def __post_init__(self) -> None:
        if not (isinstance(self.weight, int | float) and math.isfinite(self.weight) and self.weight >= 0):
            raise ParameterError(
                f"The KL weight of `{self.name}` must be a finite number >= 0, in reward units per nat; got "
                f"{self.weight!r}."
            )


@dataclass(frozen=True)
class KLTarget:
    """Keep the divergence to one reference at `nats` by scaling all KL weights together.

    Attributes:
        nats: Wanted KL to the reference, > 0.
        name: The penalty whose divergence is kept.
    """

    nats: float
    name: str = "pretrained"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.nats) and self.nats > 0):
            raise ParameterError(f"A KL target must be a finite number of nats > 0; got {self.nats!r}.")


@dataclass(frozen=True)
class ShareOfEntropy:
    """A KL target that suits the chain: a share of how many nats its designs can differ by.

    The entropy of the designs is taken for the chain's own training loss on its samples, which for
    categorical chains is the bound ``E[-log p(x)] <= E[loss]``, in nats. Uniform 8-mers of DNA have 11.

    Attributes:
        share: In (0, 1).
        least: The target is never lower, in nats.

    Example:
        >>> ShareOfEntropy(0.45).least
        4.0
    """

    share: float
    least: float = 4.0

    def __post_init__(self) -> None:
        if not (0 < self.share < 1 and self.least > 0):
            raise ParameterError(f"`share` must be in (0, 1) and `least` > 0; got {self!r}.")

    @torch.no_grad()
    def nats(
        self,
        chain: Chain,
        condition: Callable[[int, torch.Generator | None], Condition],
        num_samples: int = 256,
    ) -> float:
        """The target for a chain; the same every time.

        Raises:
            ParameterError: If the chain has no loss.
        """
        if not isinstance(chain, SupportsLoss):
            raise ParameterError(
                "A share of the entropy needs a chain with `loss`.", hint="Give `kl_target` in nats."
            )
        generator = torch.Generator().manual_seed(0)
        given = condition(num_samples, generator)
        data = sample(chain, num_samples, condition=given, generator=generator)
        return max(self.least, self.share * float(chain.loss(data, given, generator).mean()))


def check_kl_target(target: float | ShareOfEntropy | None) -> None:
    """Raise `ParameterError` if it is a number that no divergence can be kept at."""
    if target is not None and not isinstance(target, ShareOfEntropy):
        KLTarget(target)


def kl_target_nats(
    target: float | ShareOfEntropy | None,
    chain: Chain,
    condition: Callable[[int, torch.Generator | None], Condition],
) -> float | None:
    """A wanted divergence in nats; a share of the entropy is one of this chain's."""
    return target.nats(chain, condition) if isinstance(target, ShareOfEntropy) else target


@dataclass(frozen=True)
class Objective:
    """``E[value(s_K)] - multiplier * sum_j weight_j KL(p || reference_j)``, to be maximised.

    With w = multiplier * sum_j weight_j the maximum is reached by the law

    ``p proportional to exp(value / w) * prod_j reference_j^(multiplier * weight_j / w)``.

    Attributes:
        value: ``(state, condition) -> [batch]``, in reward units; -inf where a state is no feasible design.
        penalties: The divergences.
        condition: ``(batch_size, generator) -> condition``.
        differentiable: Whether gradients may be sent through `value`.
        feasible: ``(state, condition) -> bool [batch]``, asked of final states beside `value` where that has
            a number for every state; None where `value` says it all.
        target: If given, `multiplier` is only the start: updaters keep the divergence at the target.
        multiplier: Common factor of all KL weights.
        seed: The same in all updates of a campaign: of what an updater draws once for them all.
    """

    value: Callable[[State, Condition], Tensor]
    penalties: tuple[KLPenalty, ...] = ()
    condition: Callable[[int, torch.Generator | None], Condition] = _none
    differentiable: bool = True
    feasible: Callable[[State, Condition], Tensor] | None = None
    target: KLTarget | None = None
    multiplier: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        names = [penalty.name for penalty in self.penalties]
        if len(set(names)) < len(names):
            raise ParameterError(f"The KL penalties must have different names; got {names}.")
        if self.target is not None and self.target.name not in names:
            raise ParameterError(
                f"The KL target's name must be one of the penalties {names}; got {self.target.name!r}."
            )
        if not self.multiplier > 0:
            raise ParameterError(f"`multiplier` must be > 0; got {self.multiplier!r}.")

    def with_frozen_references(self) -> Objective:
        """The same objective, with references that no gradient can reach."""
        penalties = tuple(replace(p, reference=frozen(p.reference)) for p in self.penalties)
        return replace(self, penalties=penalties)

    def values(self, state: State, condition: Condition, *, final: bool = True) -> Tensor:
        """`value`, checked: one number a row, never NaN; -inf where a state is not feasible.

        Args:
            state: [batch, ...].
            condition: Of the rows.
            final: Whether the states are designs; the clean states expected on the way are not, and
                `feasible` is not asked of them.

        Raises:
            ShapeError: If the shape is not [batch].
            ObservationError: If a value is NaN or +inf.
        """
        values = self.value(state, condition)
        batch = tree.batch_size(state)
        if not isinstance(values, Tensor) or values.shape != (batch,):
            given = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise ShapeError(
                f"An objective's value must be a tensor [{batch}], one number a row; got {given}."
            )
        if (torch.isnan(values) | (values == math.inf)).any():
            row = int((torch.isnan(values) | (values == math.inf)).nonzero()[0, 0])
            raise ObservationError(
                f"The objective's value of row {row} is {float(values.detach()[row])}; it must be finite, or "
                "-inf for a state that is no feasible design.",
                hint="Look at the acquisition and the features of that design.",
            )
        if self.feasible is None or not final:
            return values
        return values.masked_fill(~self.feasible(state, condition).to(values.device), -math.inf)


@dataclass(frozen=True)
class UpdateReport:
    """What an update did.

    Attributes:
        objective: Value minus weighted divergences, in reward units, on the updated chain's samples.
        value: Mean value of feasible samples, in reward units.
        feasible: Fraction of samples whose value is not -inf.
        kl: Path divergence to each reference, in nats.
        effective_sample_size: Share of the samples that carried the update, in (0, 1].
        gradient_norm: Norm of the last gradient, before clipping.
        multiplier: Factor of the KL weights in the end; where the next round may start.
        weighted_nats: Divergence of the weighted samples that were fitted to their own law, in nats, where it
            is this that a target holds; the divergence of paths then says little.
        trace: Numbers of each iteration, for plots.
    """

    objective: float
    value: float
    feasible: float
    kl: Mapping[str, float]
    effective_sample_size: float
    gradient_norm: float
    multiplier: float
    weighted_nats: float | None = None
    trace: tuple[Mapping[str, float], ...] = field(default=(), repr=False)


class Updater(Protocol):
    """Moves a chain towards an objective's maximum; never changes the chain it is given."""

    def update(
        self, chain: C, objective: Objective, *, generator: torch.Generator
    ) -> tuple[C, UpdateReport]: ...


def penalty_total(objective: Objective, multiplier: float, kl: Mapping[str, Tensor]) -> Tensor:
    """``multiplier * sum_j weight_j KL_j``, a row at a time, [batch]; 0 without penalties."""
    terms = [multiplier * penalty.weight * kl[penalty.name] for penalty in objective.penalties]
    return torch.stack(terms).sum(0) if terms else torch.zeros(())


def lowest_where_infeasible(values: Tensor) -> Tensor:
    """Values with -inf replaced by the lowest finite one of the batch, as a constant."""
    finite = values.detach()[torch.isfinite(values)]
    return torch.where(torch.isfinite(values), values, finite.min() if len(finite) else values.new_zeros(()))


def measure(
    chain: Chain, objective: Objective, num_samples: int, *, generator: torch.Generator, batch_size: int = 256
) -> tuple[Tensor, dict[str, Tensor]]:
    """Values [n] and path divergences to each reference [n] of fresh samples, without gradients."""
    work = lambda size, own: _measure(chain, objective, size, own, batch_size)  # noqa: E731
    parts = shares.current().each(num_samples, generator, work)
    names = parts[0][1]
    return torch.cat([values for values, _ in parts]), {
        n: torch.cat([kl[n] for _, kl in parts]) for n in names
    }


def _measure(
    chain: Chain, objective: Objective, num_samples: int, generator: torch.Generator, batch_size: int
) -> tuple[Tensor, dict[str, Tensor]]:
    values, kls = [], []
    for start in range(0, num_samples, batch_size):
        size = min(batch_size, num_samples - start)
        condition = objective.condition(size, generator)
        kl = start_kl(chain, objective, size, condition)
        for step in rollout(chain, size, condition=condition, generator=generator):
            with torch.no_grad():
                for penalty in objective.penalties:
                    law = penalty.reference.transition(step.state, step.index, condition)
                    kl[penalty.name] = kl[penalty.name] + step.transition.kl(law)
        with torch.no_grad():
            values.append(objective.values(step.next_state, condition))
        kls.append(kl)
    return torch.cat(values), {name: torch.cat([kl[name] for kl in kls]) for name in kls[0]}


def start_kl(chain: Chain, objective: Objective, size: int, condition: Condition) -> dict[str, Tensor]:
    """Divergence of the start laws to each reference, [size]."""
    start = chain.initial(size, condition)
    return {p.name: start.kl(p.reference.initial(size, condition)) for p in objective.penalties}


def summarize(
    objective: Objective,
    values: Tensor,
    kl: Mapping[str, Tensor],
    *,
    multiplier: float,
    gradient_norm: float,
    effective_sample_size: float = 1.0,
    trace: Iterable[Mapping[str, float]] = (),
) -> UpdateReport:
    """A report from fresh samples' values and divergences."""
    feasible = torch.isfinite(values)
    mean = float(values[feasible].mean()) if feasible.any() else -math.inf
    means = {name: float(rows.mean()) for name, rows in kl.items()}
    cost = multiplier * sum(p.weight * means[p.name] for p in objective.penalties)
    return UpdateReport(
        objective=mean - cost,
        value=mean,
        feasible=float(feasible.float().mean()),
        kl=means,
        effective_sample_size=effective_sample_size,
        gradient_norm=gradient_norm,
        multiplier=multiplier,
        trace=tuple(trace),
    )
