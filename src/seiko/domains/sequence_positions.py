"""Constraints on single positions, as what a chain can keep by itself."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from seiko.domains.sequence_constraints import Constraint, FixedPositions
from seiko.domains.sequence_space import SequenceSpace


def allowed_kinds(space: SequenceSpace, constraints: Sequence[Constraint]) -> Tensor:
    """Kinds that every `FixedPositions` among the constraints leaves, [length, kinds] bool.

    ``clamped(chain, allowed_kinds(space, constraints))`` is a chain that keeps them in every sample, and the
    shortest length too; other constraints are left to the domain.

    Raises:
        ParameterError: If a position or letter does not belong to the space.

    Example:
        >>> from seiko.domains.sequence_alphabet import RNA
        >>> allowed_kinds(SequenceSpace(RNA, 2), [FixedPositions({1: "AC"}), FixedPositions({1: "CG"})])
        tensor([[False,  True, False, False],
                [ True,  True,  True,  True]])
    """
    allowed = space.allowed()
    for constraint in constraints:
        if isinstance(constraint, FixedPositions):
            allowed &= space.allowed(constraint.letters)
    return allowed
