"""Features of molecular graphs with gradients: counts of small patterns, smooth in one-hot rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seiko.errors import ParameterError, ShapeError

MAX_DEGREE = 4
MAX_UNSATURATION = 2
WALKS = (3, 4, 5, 6, 7)
"""Lengths of the closed walks among the features."""


def cardinal(x: Tensor, last: int) -> Tensor:
    """Indicators of 0 ... `last` for numbers that are integers at the corners, [..., last + 1].

    Keys' cubic kernel with a = -1/2 (IEEE Trans. ASSP 29:1153, 1981): 1 at its integer, 0 at all others,
    continuously differentiable, with the slope of a central difference. Larger numbers count as `last`.
    """
    near = x.clamp(max=last).unsqueeze(-1) - torch.arange(last + 1, dtype=x.dtype, device=x.device)
    d = near.abs()
    inner = 1.5 * d**3 - 2.5 * d**2 + 1
    outer = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return torch.where(d <= 1, inner, torch.where(d <= 2, outer, torch.zeros_like(d)))


@dataclass(frozen=True)
class GraphCounts:
    """Counts of patterns of a molecular graph, from rows of the simplex, with gradients.

    At the corners, where a graph is one molecule, they are whole numbers that depend neither on the order of
    atoms nor on the choice of a Kekulé form: of bonds they use which there are, and at each atom how many
    double bonds meet (a triple bond counts twice). With E atom kinds they are

    - atoms of each kind by their bonds (0 ... 4) and their double bonds (0 ... 2), 15 E;
    - bonds between each two kinds, E (E + 1) / 2;
    - paths of three atoms: kind of the middle one, kinds of the ends, E^2 (E + 1) / 2;
    - bonds weighted by the number of bonds, and of double bonds, at their two ends, 2;
    - bonds less atoms plus one, the number of independent rings;
    - closed walks of 3 ... 7 steps that never turn back, over twice their length: rings, once each, with
      their tails, 5.

    Args:
        num_kinds: Number of atom kinds E.

    Raises:
        ParameterError: If there is no atom kind.
    """

    num_kinds: int

    def __post_init__(self) -> None:
        if self.num_kinds < 1:
            raise ParameterError(f"`num_kinds` must be at least 1; got {self.num_kinds}.")

    @property
    def width(self) -> int:
        """Number of features."""
        e = self.num_kinds
        labels = e * (MAX_DEGREE + 1) * (MAX_UNSATURATION + 1)
        return labels + (e + 1) * (e * (e + 1) // 2) + 3 + len(WALKS)

    def __call__(self, atoms: Tensor, bonds: Tensor) -> Tensor:
        """Features [B, width] of atoms [B, N, 1 + E or more] and bonds [B, N(N-1)/2, 4 or more].

        Atom kind 0 is none and kinds after E are ignored, as are bond kinds after none, single, double and
        triple. Pairs are in the order of ``torch.triu_indices(N, N, 1)``.

        Raises:
            ShapeError: If the shapes do not fit.
        """
        batch, n = atoms.shape[:2]
        if (
            atoms.ndim != 3
            or atoms.shape[-1] <= self.num_kinds
            or bonds.shape[:2] != (batch, n * (n - 1) // 2)
        ):
            raise ShapeError(
                f"Graph counts of {self.num_kinds} kinds need atoms [B, N, {self.num_kinds + 1} or more] and "
                f"bonds [B, N(N-1)/2, 4 or more]; got {list(atoms.shape)} and {list(bonds.shape)}."
            )
        kinds = atoms[..., 1 : 1 + self.num_kinds]  # [B, N, E]
        linked = square(bonds[..., 1:4].sum(-1), n)  # [B, N, N]
        doubled = square(bonds[..., 2] + 2 * bonds[..., 3], n)
        degree, unsaturated = linked.sum(-1), doubled.sum(-1)  # [B, N]
        labels = torch.einsum(
            "bne,bnd,bnu->bedu",
            kinds,
            cardinal(degree, MAX_DEGREE),
            cardinal(unsaturated, MAX_UNSATURATION),
        )
        upper = torch.triu_indices(self.num_kinds, self.num_kinds, device=atoms.device)
        around = linked @ kinds  # [B, N, E] neighbours of each kind
        ends = kinds.transpose(1, 2) @ around  # [B, E, E], a bond of two of a kind twice
        pairs = around.unsqueeze(-1) * around.unsqueeze(-2)  # [B, N, E, E]
        same = torch.diag_embed(around)
        paths = torch.einsum("bne,bnxy->bexy", kinds, pairs - same)
        halved = torch.where(upper[0] == upper[1], 0.5, 1.0)
        along = [torch.einsum("bij,bi,bj->b", linked, x, x) / 2 for x in (degree, unsaturated)]
        num_bonds, num_atoms = degree.sum(1) / 2, kinds.sum((1, 2))
        numbers = torch.stack([*along, num_bonds - num_atoms + 1, *closed_walks(linked, degree)], dim=1)
        bonded, bent = ends[:, upper[0], upper[1]] * halved, paths[:, :, upper[0], upper[1]] * halved
        return torch.cat([labels.flatten(1), bonded, bent.flatten(1), numbers], dim=1)


def square(pairs: Tensor, n: int) -> Tensor:
    """The symmetric matrix [B, N, N] with zero diagonal of its upper triangle [B, N(N-1)/2]."""
    i, j = torch.triu_indices(n, n, 1, device=pairs.device)
    upper = pairs.new_zeros(len(pairs), n, n).index_put((slice_rows(pairs), i, j), pairs)
    return upper + upper.transpose(1, 2)


def slice_rows(pairs: Tensor) -> Tensor:
    """Row numbers [B, 1], to index a batch of matrices."""
    return torch.arange(len(pairs), device=pairs.device).unsqueeze(1)


def closed_walks(linked: Tensor, degree: Tensor) -> list[Tensor]:
    """Closed walks that never turn back, over twice their length, one tensor [B] for each of `WALKS`.

    With P_1 = A and P_2 = A^2 - D: P_{k+1} = A P_k - (D - 1) P_{k-1} (Alon et al., Commun. Contemp. Math.
    9:585, 2007); the count is the trace of P_k.
    """
    before, walks = linked, linked @ linked - torch.diag_embed(degree)
    found = []
    for length in range(3, max(WALKS) + 1):
        before, walks = walks, linked @ walks - (degree - 1).unsqueeze(-1) * before
        if length in WALKS:
            found.append(walks.diagonal(dim1=1, dim2=2).sum(-1) / (2 * length))
    return found
