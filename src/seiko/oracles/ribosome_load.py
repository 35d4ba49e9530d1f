"""Mean ribosome load of a 50-nt 5'UTR, predicted by the published network Optimus 5-Prime."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seiko import data
from seiko.checkpoints import load_weights
from seiko.errors import ParameterError
from seiko.oracles.base import DNA, SequenceOracle, letter_indices
from seiko.oracles.predictors import predict

LENGTH = 50
CELLS = ("HEK293T", "T cells", "HepG2")
"""Cells of the network's three outputs, in their order."""

Cell = Literal["HEK293T", "T cells", "HepG2"]
_FILTERS, _WIDTH, _HIDDEN = 120, 8, 40


class Optimus5Prime(nn.Module):
    """Three convolutions, one hidden layer, three outputs (Sample et al., Nat. Biotechnol. 37:803, 2019).

    With several outputs as by Castillo-Hair et al., Nat. Commun. 15:5284 (2024). Every convolution keeps the
    length: 3 zeros before and 4 behind.

    Shape:
        One-hot [batch, 50, 4] in the order ACGT -> mean ribosome load [batch, 3] in the order of `CELLS`.
        Differentiable in its input.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = (len(DNA), _FILTERS, _FILTERS, _FILTERS)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, _WIDTH) for before, after in pairwise(channels)
        )
        self.hidden = nn.Linear(LENGTH * _FILTERS, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, len(CELLS))

    def forward(self, one_hot: Tensor) -> Tensor:
        state = one_hot.transpose(1, 2)
        for convolution in self.convolutions:
            state = convolution(nn.functional.pad(state, (3, 4))).relu()
        flat = state.transpose(1, 2).flatten(1)  # position by position, as the weights were trained
        return self.out(self.hidden(flat).relu())


def load_optimus() -> Optimus5Prime:
    """The network with the published weights.

    Raises:
        DataError: If the weights are in none of the data folders.
        WeightsError: If they are not those of this network.
    """
    with np.load(io.BytesIO(data.read("optimus-5-prime")), allow_pickle=False) as file:
        given = {name: torch.from_numpy(file[name]) for name in file.files if name[-4:] in ("rnel", "bias")}
    tensors = {}
    for number in (1, 2, 3):
        kernel = given[f"conv_{number}.kernel"]  # [width, in, out]
        tensors[f"convolutions.{number - 1}.weight"] = kernel.permute(2, 1, 0).contiguous()
        tensors[f"convolutions.{number - 1}.bias"] = given[f"conv_{number}.bias"]
    for layer, name in (("hidden", "dense_1"), ("out", "dense_2")):
        tensors[f"{layer}.weight"] = given[f"{name}.kernel"].T.contiguous()
        tensors[f"{layer}.bias"] = given[f"{name}.bias"]
    with torch.random.fork_rng(devices=[]):
        network = Optimus5Prime()
    load_weights(network, tensors, source="The published weights of Optimus 5-Prime")
    return network.eval().requires_grad_(False)


@dataclass(frozen=True)
class RibosomeLoad(SequenceOracle):
    """Predicted mean ribosome load of the mRNA with this 50-nt 5'UTR before a reporter; about 1 to 8.

    Designs are written as DNA, 5' to 3'; the last letter is the one before the start codon.

    Attributes:
        cell: Where it is measured, one of `CELLS`.

    Raises:
        ParameterError: If there is no such cell.
        DataError: At the first value, if the weights are in none of the data folders.
    """

    cell: Cell = "HEK293T"
    alphabet = DNA
    length = LENGTH

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ParameterError(f"`cell` must be one of {', '.join(CELLS)}; got {self.cell!r}.")

    def values(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """Predicted loads [n]; errors as of `SequenceOracle.values`."""
        letters = torch.from_numpy(letter_indices(designs, DNA, LENGTH)).long()
        return predict(_OneCell(_optimus(), CELLS.index(self.cell)), letters).double().numpy()


class _OneCell(nn.Module):
    def __init__(self, network: Optimus5Prime, output: int) -> None:
        super().__init__()
        self.network, self.output = network, output

    def forward(self, letters: Tensor) -> Tensor:
        return self.network(nn.functional.one_hot(letters, len(DNA)).float())[:, self.output]


@cache
def _optimus() -> Optimus5Prime:
    return load_optimus()
