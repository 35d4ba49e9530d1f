"""Brightness of variants of the green fluorescent protein, predicted by networks trained on measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seiko.errors import ParameterError
from seiko.oracles.base import PROTEIN, SequenceOracle, letter_indices
from seiko.oracles.predictors import Ensemble, load_predictor, predict

WILD_TYPE = (
    "SKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTLVTTLSYGVQCFSRYPDHMKQH"
    "DFFKSAMPEGYVQERTIFFKDDGNYKTRAEVKFEGDTLVNRIELKGIDFKEDGNILGHKLEYNYNSHNVYIMADKQKNGI"
    "KVNFKIRHNIEDGSVQLADHYQQNTPIGDGPVLLPDNHYLSTQSALSKDPNEKRDHMVLLEFVTAAGITHGMDELYK"
)
"""avGFP as in Sarkisyan et al., Nature 533:397 (2016), without the first methionine; 237 residues."""

LENGTH = len(WILD_TYPE)
NONE = LENGTH * len(PROTEIN)
"""No substitution, in lists of substitutions."""

Predictor = Literal["main", "control"]


class BrightnessNetwork(nn.Module):
    """A saturating function of the summed effects of mutations: global epistasis.

    Every substitution, position p to residue a, has an effect vector ``R_a G_p + T_pa - (the same of the wild
    type)``. The product of residue and position factors says something about substitutions that were never
    measured; `T` adds what was. The sum over positions goes through a linear readout and, where `width` is
    not 0, a small network beside it, and at the end through a sigmoid between the two measured plateaus.

    Args:
        channels: Size of an effect.
        rank: Factors of a residue.
        width: Hidden units of the network beside the linear readout; 0 for none: effects then only add.

    Shape:
        Letter indices [batch, 237] -> log10 brightness [batch].
    """

    wild_type: Tensor

    def __init__(self, channels: int = 16, *, rank: int = 4, width: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        kinds = len(PROTEIN)
        self.residues = nn.Parameter(torch.randn(kinds, rank) * 0.5)
        self.positions = nn.Parameter(torch.randn(LENGTH, rank, channels) * 0.05)
        self.effects = nn.Parameter(torch.zeros(LENGTH, kinds, channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.linear = nn.Linear(channels, 1)
        self.deep = _small_network(channels, width, dropout) if width else nn.Sequential()
        self.plateaus = nn.Parameter(torch.tensor([1.3, 3.75]))
        given = torch.tensor([PROTEIN.index(letter) for letter in WILD_TYPE])
        self.register_buffer("wild_type", given, persistent=False)

    def forward(self, letters: Tensor) -> Tensor:
        return self.from_substitutions(letters.long() + torch.arange(LENGTH) * len(PROTEIN))

    def from_substitutions(self, rows: Tensor) -> Tensor:
        """log10 brightness [batch] of lists of substitutions [batch, n], each ``20 position + residue``.

        What the wild type has adds nothing, and neither does `NONE`: a list may leave it out, and be padded.
        """
        table = torch.einsum("ar,prc->pac", self.residues, self.positions) + self.effects
        table = table - table[torch.arange(LENGTH), self.wild_type][:, None]
        table = nn.functional.pad(table.flatten(0, 1), (0, 0, 0, 1))
        summed = nn.functional.embedding_bag(rows, table, mode="sum") + self.bias
        height = self.linear(summed)
        if len(self.deep):
            height = height + self.deep(summed)
        low, high = self.plateaus
        return low + (high - low) * torch.sigmoid(2 + height)[:, 0]


def _small_network(channels: int, width: int, dropout: float) -> nn.Sequential:
    before = [nn.SiLU(), nn.Dropout(dropout), nn.Linear(channels, width)]
    return nn.Sequential(*before, nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, 1))


@dataclass(frozen=True)
class GFPBrightness(SequenceOracle):
    """Predicted log10 brightness of a GFP of 237 residues; the wild type measured 3.72, dark variants 1.3.

    Attributes:
        predictor: ``main`` is an ensemble with interactions. ``control`` has purely additive effects and was
            trained on other variants: where a design is bright by one and dark by the other, trust neither.

    Raises:
        ParameterError: If there is no such predictor.
        WeightsError: If the package's weights are damaged.
    """

    predictor: Predictor = "main"
    alphabet = PROTEIN
    length = LENGTH

    def __post_init__(self) -> None:
        if self.predictor not in ("main", "control"):
            raise ParameterError(f"`predictor` must be main or control; got {self.predictor!r}.")

    def values(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """Predicted log10 brightness [n]; errors as of `SequenceOracle.values`."""
        letters = torch.from_numpy(letter_indices(designs, PROTEIN, LENGTH))
        return predict(_network(self.predictor), letters).double().numpy()


@cache
def _network(predictor: Predictor) -> Ensemble:
    return load_predictor(f"gfp-brightness-{predictor}", BrightnessNetwork)


def mutations(design: str) -> list[str]:
    """Where a design differs from the wild type, in the usual notation with positions of the full protein.

    The data leave out the first methionine, so residue 1 of the sequence here is residue 2.

    Raises:
        ParameterError: If it is not a protein of 237 residues.

    Example:
        >>> mutations("A" + WILD_TYPE[1:])
        ['S2A']
    """
    letter_indices([design], PROTEIN, LENGTH)
    pairs = enumerate(zip(WILD_TYPE, design, strict=True), 2)
    return [f"{wild}{position}{new}" for position, (wild, new) in pairs if wild != new]
