"""Transcription rate of E. coli sigma-70 promoters, predicted by networks trained on a measured library."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seiko.errors import ParameterError
from seiko.oracles.base import DNA, SequenceOracle, check_designs, letter_indices
from seiko.oracles.predictors import Ensemble, load_predictor, predict

TRANSCRIBED = "CTCTACCTTAGTTTGTACGTT"
"""What follows the promoter in the library of La Fleur et al. (2022): designs are measured in front of it."""

REPLICATE_STD = 0.0692
"""Standard deviation of one replicate, log10: root mean square over the library's 13,481 promoters."""

NO_LETTER = len(DNA)
"""Index of no letter, for padding behind a sequence."""

_SPACERS = (15, 16, 17, 18, 19)
_ELEMENT, _UPSTREAM, _INSIDE, _EXTENDED, _DOWNSTREAM = 6, 20, 10, 6, 28


class PromoterNetwork(nn.Module):
    """Where RNA polymerase may bind, and how well: a soft maximum over all placements of its two elements.

    A placement is a start of the -35 hexamer and a spacer of 15 to 19 letters before the -10 hexamer. Its
    score is a small function of the sum of learned vectors for both hexamers, the spacer's length, and the
    letters around: 20 before the -35, 10 behind it, 6 before the -10, 28 behind it. With scores z, and one
    z_0 for no promoter at all::

        log10 rate = a + b log(exp z_0 + sum over placements exp z)

    so a promoter is read wherever it lies in a sequence.

    Args:
        channels: Size of the vectors.
        hidden: Hidden units for a hexamer.
        context: Hidden units for the letters around.

    Shape:
        Letter indices [batch, length], `NO_LETTER` behind shorter sequences -> log10 rate [batch].
    """

    hexamers: Tensor

    def __init__(self, channels: int = 6, *, hidden: int = 48, context: int = 24) -> None:
        super().__init__()
        codes = torch.arange(4**_ELEMENT)[:, None] >> torch.arange(2 * _ELEMENT - 2, -1, -2) & 3
        self.register_buffer("hexamers", nn.functional.one_hot(codes, 4).flatten(1).float(), persistent=False)
        self.minus35, self.minus10 = _element(channels, hidden), _element(channels, hidden)
        self.upstream = _surroundings(_UPSTREAM, channels, context)
        self.inside = _surroundings(_INSIDE, channels, context)
        self.extended = _surroundings(_EXTENDED, channels, context)
        self.downstream = _surroundings(_DOWNSTREAM, channels, context)
        self.spacer = nn.Parameter(torch.zeros(channels, len(_SPACERS)))
        self.linear = nn.Linear(channels, 1)
        self.deep = nn.Sequential(nn.SiLU(), nn.Linear(channels, 16), nn.SiLU(), nn.Linear(16, 1))
        self.nothing = nn.Parameter(torch.tensor(-1.0))
        self.readout = nn.Parameter(torch.tensor([-0.5, 0.5]))

    def forward(self, letters: Tensor) -> Tensor:
        scores = self.scores(letters).flatten(1)
        nothing = self.nothing.expand(len(scores), 1)
        start, slope = self.readout
        return start + slope * torch.cat([nothing, scores], 1).logsumexp(1)

    def at(self, letters: Tensor, starts: Tensor, spacers: Tensor) -> Tensor:
        """log10 rate [batch] if there were only one placement: a start of the -35, and an index of a spacer.

        Two hundred times cheaper than all placements, for training on promoters whose elements are known.
        """
        before, behind = _UPSTREAM, _ELEMENT + _DOWNSTREAM
        letters = nn.functional.pad(letters.long(), (before, behind), value=NO_LETTER)
        one_hot = nn.functional.one_hot(letters, NO_LETTER + 1)[..., :NO_LETTER].to(self.nothing)

        def window(first: Tensor, width: int) -> Tensor:
            rows = first[:, None] + before + torch.arange(width)
            return one_hot.gather(1, rows[..., None].expand(-1, -1, NO_LETTER))

        seconds = starts + _ELEMENT + torch.tensor(_SPACERS)[spacers]
        around = (
            self.upstream(window(starts - _UPSTREAM, _UPSTREAM).transpose(1, 2))
            + self.inside(window(starts + _ELEMENT, _INSIDE).transpose(1, 2))
            + self.extended(window(seconds - _EXTENDED, _EXTENDED).transpose(1, 2))
            + self.downstream(window(seconds + _ELEMENT, _DOWNSTREAM).transpose(1, 2))
        )
        elements = self.minus35(window(starts, _ELEMENT).flatten(1)) + self.minus10(
            window(seconds, _ELEMENT).flatten(1)
        )
        vector = around[..., 0] + elements + self.spacer.T[spacers]
        score = (self.linear(vector) + self.deep(vector))[:, 0]
        start, slope = self.readout
        return start + slope * torch.logaddexp(self.nothing, score)

    def scores(self, letters: Tensor) -> Tensor:
        """Scores of all placements [batch, start of the -35, spacer], -inf where they do not fit."""
        letters = letters.long()
        starts = letters.shape[1] - 2 * _ELEMENT - _SPACERS[0] + 1
        codes, whole = _hexamer_codes(letters)
        one_hot = (
            nn.functional.one_hot(letters, NO_LETTER + 1)[..., :NO_LETTER].transpose(1, 2).to(self.nothing)
        )
        first = nn.functional.embedding(codes[:, :starts], self.minus35(self.hexamers)).transpose(1, 2)
        first = first + self.upstream(nn.functional.pad(one_hot, (_UPSTREAM, 0)))[..., :starts]
        first = first + self.inside(nn.functional.pad(one_hot, (0, _INSIDE)))[..., _ELEMENT:][..., :starts]
        second = nn.functional.embedding(codes, self.minus10(self.hexamers)).transpose(1, 2)
        second = second + self.extended(nn.functional.pad(one_hot, (_EXTENDED, 0)))[..., : codes.shape[1]]
        second = second + self.downstream(nn.functional.pad(one_hot, (0, _DOWNSTREAM)))[..., _ELEMENT:]
        second = nn.functional.pad(second, (0, _SPACERS[-1] - _SPACERS[0]))
        fits = nn.functional.pad(whole, (0, _SPACERS[-1] - _SPACERS[0]))
        shifts = [slice(_ELEMENT + spacer, _ELEMENT + spacer + starts) for spacer in _SPACERS]
        pairs = first[..., None] + torch.stack([second[..., s] for s in shifts], -1) + self.spacer[:, None]
        pairs = pairs.permute(0, 2, 3, 1)
        scores = (self.linear(pairs) + self.deep(pairs))[..., 0]
        return scores.masked_fill(~torch.stack([fits[:, s] for s in shifts], -1), -math.inf)


def _element(channels: int, hidden: int) -> nn.Sequential:
    inside = nn.Linear(hidden, hidden)
    return nn.Sequential(
        nn.Linear(4 * _ELEMENT, hidden), nn.SiLU(), inside, nn.SiLU(), nn.Linear(hidden, channels)
    )


def _surroundings(width: int, channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(4, hidden, width), nn.SiLU(), nn.Conv1d(hidden, channels, 1))


def _hexamer_codes(letters: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers to base 4 of all hexamers [batch, length - 5], and whether they are whole."""
    windows = letters.unfold(1, _ELEMENT, 1)
    whole = (windows < NO_LETTER).all(2)
    places = 4 ** torch.arange(_ELEMENT - 1, -1, -1, device=letters.device)
    return (windows * places).sum(2) * whole, whole


@dataclass(frozen=True)
class PromoterStrength(SequenceOracle):
    """Predicted log10 transcription rate of promoters in E. coli, in the library's relative units.

    A design is the promoter up to the start of transcription, 5' to 3': in the library, the last 14 letters
    of the upstream element, -35 hexamer, spacer of 17, -10 hexamer and discriminator of 7. It is scored in
    front of the library's transcribed region. The library ranges from -1.24 to 0.85 with mean -0.18; what is
    far from all of its promoters is a guess.

    Attributes:
        length: Letters of a design.
        replicates: None for the prediction itself. A number adds to every reading the noise of a mean of so
            many replicates, which follows from the design and the seed alone.
        seed: Of that noise.

    Raises:
        ParameterError: If `length` has no room for both elements, or `replicates` is less than 1.
        WeightsError: If the package's weights are damaged.
    """

    length: int = 50
    replicates: int | None = None
    seed: int = 0
    alphabet = DNA

    def __post_init__(self) -> None:
        least = 2 * _ELEMENT + _SPACERS[0]
        if self.length < least:
            raise ParameterError(
                f"`length` must be at least {least}, for two elements and a spacer; got {self.length!r}."
            )
        if self.replicates is not None and self.replicates < 1:
            raise ParameterError(
                f"`replicates` must be at least 1; got {self.replicates!r}.", hint="None gives no noise."
            )

    @property
    def noise_std(self) -> float | None:  # type: ignore[override]
        """Standard deviation of a reading, log10; None without replicates."""
        return None if self.replicates is None else REPLICATE_STD / math.sqrt(self.replicates)

    def values(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """Predicted log10 rates [n]; errors as of `SequenceOracle.values`."""
        check_designs(designs, DNA, self.length)
        return predicted_rates([design + TRANSCRIBED for design in designs])

    def readings(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """Predicted log10 rates with the noise of the replicates [n]."""
        exact = self.values(designs)
        if self.noise_std is None:
            return exact
        return exact + self.noise_std * np.array([_standard_normal(self.seed, d) for d in designs])


def predicted_rates(sequences: Sequence[str]) -> NDArray[np.float64]:
    """Predicted log10 rates [n] of whole constructs as they are, of any lengths, in front of nothing else.

    Raises:
        ParameterError: If a sequence is empty or not DNA.
    """
    return predict(_network(), padded_letters(sequences)).double().numpy()


def padded_letters(sequences: Sequence[str]) -> Tensor:
    """Letter indices [n, longest], `NO_LETTER` behind shorter ones; errors as of `predicted_rates`."""
    check_designs(sequences, DNA)
    longest = max([2 * _ELEMENT + _SPACERS[0], *map(len, sequences)])
    rows = np.full((len(sequences), longest), NO_LETTER, dtype=np.uint8)
    for row, sequence in zip(rows, sequences, strict=True):
        row[: len(sequence)] = letter_indices([sequence], DNA, len(sequence))[0]
    return torch.from_numpy(rows)


@cache
def _network() -> Ensemble:
    return load_predictor("promoter-strength", PromoterNetwork)


def _standard_normal(seed: int, design: str) -> float:
    digest = hashlib.sha256(f"{seed} {design}".encode()).digest()
    return float(np.random.default_rng(int.from_bytes(digest[:16], "little")).standard_normal())
