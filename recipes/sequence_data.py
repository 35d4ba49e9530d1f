"""The data of the sequence chains: what each is trained on, and what is held out."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

LANDSCAPE = "SIX6_REF_R1"
DARK = 2.5


@dataclass(frozen=True)
class Data:
    """Sequences to train on and to hold out.

    Attributes:
        train, held_out: Sequences; none of one is a near relative of one of the other.
        text: Where they are from and how they were chosen, for the card.
        sha256: Of the file they were read from.
        facts: More for the card.
    """

    train: Sequence[str]
    held_out: Sequence[str]
    text: str
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _split(groups: Sequence[Sequence[str]], share: float) -> tuple[list[str], list[str]]:
    """Whole groups, in random order, to one side or the other."""
    order = np.random.default_rng(0).permutation(len(groups))
    total, held_out, train = sum(map(len, groups)), [], []
    for row in order:
        (held_out if len(held_out) < share * total else train).extend(groups[row])
    return train, held_out


def _relatives(sequences: Sequence[str], word: int) -> list[list[str]]:
    """Groups of sequences that hang together by shared words of `word` letters, at any offset."""
    parent = list(range(len(sequences)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    first: dict[str, int] = {}
    for row, sequence in enumerate(sequences):
        for start in range(len(sequence) - word + 1):
            other = first.setdefault(sequence[start : start + word], row)
            parent[root(row)] = root(other)
    groups = defaultdict(list)
    for row, sequence in enumerate(sequences):
        groups[root(row)].append(sequence)
    return list(groups.values())


def tfbind8_low(folder: Path) -> Data:
    """8-mers below the median of one landscape; a word and its reverse complement stay together."""
    path = folder / "tfbind8" / "tfbind8_ref.npz"
    with np.load(path) as file:
        column = list(file["landscape"]).index(LANDSCAPE)
        score = file["e_score_x1e5"][:, column]
        words, twins = file["kmer"].astype(str), file["kmer_rc"].astype(str)
    # Palindromes stand once in the table and once among all 8-mers, other words for two.
    copies = np.where(words == twins, 1, 2)
    median = int(np.median(np.repeat(score, copies)))
    low = score < median
    groups = [sorted({a, b}) for a, b in zip(words[low], twins[low], strict=True)]
    train, held_out = _split(groups, 0.1)
    text = (
        f"TFBind8 (Barrera et al., Science 351:1450, 2016), landscape {LANDSCAPE}: all 8-mers with an "
        f"E-score below the median of all 65,536, {median / 1e5:.5f}"
    )
    return Data(train, held_out, text, _digest(path), {"landscape": LANDSCAPE, "below": median / 1e5})


def utr5_natural(folder: Path) -> Data:
    """50-nt human 5'UTRs and their natural variants; families are split whole."""
    path = folder / "utr5_mrl" / "human_5utr_snv_mrl.csv.gz"
    groups = _relatives([row["utr"].upper() for row in _rows(path)], 20)
    train, held_out = _split(groups, 0.1)
    text = (
        "50 nt before the start codon of human genes and their known variants (Sample et al., Nat. "
        f"Biotechnol. 37:803, 2019, GEO GSE114002), {len(groups)} families with no word of 20 nt in common"
    )
    return Data(train, held_out, text, _digest(path), {"families": len(groups)})


def promoters_ecoli(folder: Path) -> Data:
    """Natural 50-nt promoters; those that share 20 nt stay together."""
    path = folder / "ecoli_promoters" / "thomason2015_50bp.csv.gz"
    groups = _relatives([row["sequence"] for row in _rows(path)], 20)
    train, held_out = _split(groups, 0.1)
    text = (
        "50 nt upstream of transcription starts of E. coli (Thomason et al., J. Bacteriol. 197:18, 2015; "
        "as used by Wang et al., Nucleic Acids Res. 48:6403, 2020)"
    )
    return Data(train, held_out, text, _digest(path), {"families": len(groups)})


def mutated(parent: str, variant: str) -> str:
    """The sequence of a variant written like ``A108D,N144D``, positions from 0."""
    letters = list(parent)
    for change in variant.split(",") if variant != "WT" else []:
        position = int(change[1:-1])
        assert letters[position] == change[0], f"{variant} does not fit the parent at {position}"
        letters[position] = change[-1]
    return "".join(letters)


def gfp_variants(folder: Path) -> Data:
    """Dark variants of avGFP, without those that a stop codon cuts short."""
    path = folder / "gfp" / "gfp_sarkisyan2016.csv.gz"
    parent = (folder / "gfp" / "wild_type.txt").read_text().strip()
    rows = [row for row in _rows(path) if row["has_stop"] == "0"]
    dark = [mutated(parent, r["variant"]) for r in rows if float(r["log10_brightness"]) < DARK]
    train, held_out = _split([[sequence] for sequence in dark], 0.1)
    text = (
        "avGFP variants (Sarkisyan et al., Nature 533:397, 2016) with a log10 brightness below "
        f"{DARK} and no stop: {len(dark)} of {len(rows)}"
    )
    facts = {"parent": parent, "parent_name": "avGFP (UniProt P42212) with F64L, without M1", "below": DARK}
    return Data(train, held_out, text, _digest(path), facts)


DATA: Mapping[str, Callable[[Path], Data]] = {
    "tfbind8-low": tfbind8_low,
    "utr5-natural": utr5_natural,
    "promoters-ecoli": promoters_ecoli,
    "gfp-variants": gfp_variants,
}
