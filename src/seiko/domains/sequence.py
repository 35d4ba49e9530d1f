"""DNA, RNA and proteins as designs: the domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

from torch import nn

from seiko.domains.base import Domain, FeatureKind
from seiko.domains.sequence_alphabet import DNA, PROTEIN, RNA, Alphabet
from seiko.domains.sequence_constraints import Constraint, FixedPositions, MaxMutations, NoStopCodon
from seiko.domains.sequence_drawing import draw_sequence
from seiko.domains.sequence_features import Features, JoinedFeatures, LearnedFeatures, SequenceFeatures
from seiko.domains.sequence_figures import sequence_figures
from seiko.domains.sequence_formats import FORMATS
from seiko.domains.sequence_metrics import (
    edit_diversity,
    hamming_distances,
    hamming_diversity,
    motif_enrichment,
    novelty,
)
from seiko.domains.sequence_moves import crossover_sequence, mutate_sequence
from seiko.domains.sequence_search import broken, check_constraints, check_parent
from seiko.domains.sequence_space import SequenceSpace
from seiko.errors import ParameterError

__all__ = ["DNA", "PROTEIN", "RNA", "Alphabet", "SequenceSpace", "sequence_domain"]

MOST_WORD_COUNTS = 1_500
"""Words of k letters are counted by default while there are no more of them."""

CARD = 20
"""Letters on a line of a drawn design: readable on a small card."""

STRANDED = (NoStopCodon, FixedPositions, MaxMutations)
"""Constraints that mean something on one strand only."""


def sequence_domain(
    space: SequenceSpace,
    *,
    constraints: Sequence[Constraint] = (),
    parent: str | None = None,
    both_strands: bool = False,
    network: nn.Module | None = None,
    features: Features | None = None,
    feature_kind: FeatureKind | None = None,
    reference: Sequence[str] = (),
    motifs: Sequence[str] = (),
) -> Domain[str]:
    """Sequences of one space as designs: texts in capital letters.

    A text that `Alphabet.read` puts right, such as one in lower case, is the same design: it is stored and
    drawn as that reads it.

    The metrics are, of the valid designs, ``diversity`` (mean share of differing positions over pairs, or
    for varying lengths mean edit distance over the longer one), ``edit_diversity`` and ``distinct``; with a
    parent ``mutations``, their mean number; with a reference ``novelty`` and the ``enrichment`` of each
    motif. The figures are those of `sequence_figures`.

    Args:
        space: Alphabet and lengths.
        constraints: What a design must keep, of `seiko.domains.sequence_constraints`.
        parent: A sequence that designs are drawn and measured against; it must keep the constraints.
        both_strands: Take a sequence and its reverse complement for one design, whose key is the
            alphabetically first.
        network: Of a chain that was pre-trained on sequences of this family, such as promoters: what it makes
            of a sequence joins the default features (`LearnedFeatures`).
        features: `default_features` if None.
        feature_kind: How those are compared; see `Domain`. "variants" with a parent, else "learned" with a
            network, else "additive".
        reference: Known sequences, for ``novelty`` and ``enrichment``.
        motifs: Whose enrichment over the reference is reported; see `Alphabet.motif`.

    Raises:
        ParameterError: If both `network` and `features` are given, a constraint is written for other
            letters, the parent breaks one, no sequence keeps all of them, or motifs are given without a
            reference.

    Example:
        >>> from seiko.domains.sequence_constraints import MaxHomopolymer
        >>> from seiko.domains.sequence_motifs import no_restriction_sites
        >>> domain = sequence_domain(
        ...     SequenceSpace(DNA, 8), constraints=[no_restriction_sites("EcoRI"), MaxHomopolymer(3)]
        ... )
        >>> domain.key("acgtacgt"), domain.why_invalid("AGAATTCA")
        ('ACGTACGT', 'EcoRI site at position 2 (GAATTC)')
    """
    constraints = tuple(constraints)
    _check(space, constraints, both_strands, reference, motifs)
    parent = None if parent is None else space.read(parent)
    if parent is not None:
        check_parent(space, parent, constraints)
    if features is not None and network is not None:
        raise ParameterError(
            "`network` joins the default features; with `features` of your own it has no use.",
            hint="Give JoinedFeatures((your features, LearnedFeatures(network, space))) as `features`.",
        )
    chosen = features or default_features(space, both_strands=both_strands, parent=parent, network=network)
    usual: FeatureKind = "variants" if parent is not None else "additive" if network is None else "learned"

    @lru_cache(maxsize=1 << 16)
    def why_invalid(design: str) -> str:
        sequence, reason = space.parse(design)
        return reason or broken(sequence, constraints)

    @lru_cache(maxsize=1 << 16)
    def key(design: str) -> str:
        sequence, reason = space.parse(design)
        if reason or not both_strands:
            return sequence
        return min(sequence, space.alphabet.reverse_complement(sequence))

    def read(design: str) -> str:
        sequence, reason = space.parse(design)
        return design if reason else sequence

    return Domain(
        name=f"{space.alphabet.name} sequence",
        decode=space.decode,
        encode=lambda designs: space.one_hot(space.encode(designs)),
        crossover=partial(crossover_sequence, space=space),
        mutate=partial(mutate_sequence, space=space),
        features=chosen.__call__,
        soft_features=chosen.soft,
        is_valid=lambda design: not why_invalid(design),
        why_invalid=why_invalid,
        key=key,
        to_bytes=lambda design: read(design).encode(),
        from_bytes=lambda content: read(content.decode()),
        render=lambda design: draw_sequence(read(design), parent=parent, width=CARD),
        feature_kind=feature_kind or usual,
        formats=FORMATS,
        figures=sequence_figures(space, parent, both_strands=both_strands),
        metrics=_metrics(space, parent, key, why_invalid, tuple(reference), tuple(motifs)),
    )


def default_features(
    space: SequenceSpace,
    *,
    both_strands: bool = False,
    parent: str | None = None,
    network: nn.Module | None = None,
) -> Features:
    """Letters at their positions, and counts of words of up to four letters, where there are few enough.

    Of variants of one parent no words; with a network what that makes of a sequence as well.
    """
    kinds = len(space.alphabet.letters)
    words = tuple(k for k in (1, 2, 3, 4) if k <= space.length and kinds**k <= MOST_WORD_COUNTS)
    if parent is not None and not space.is_variable:
        words = ()
    placed = not (space.is_variable and both_strands)
    written = SequenceFeatures(space, one_hot=placed, words=words, both_strands=both_strands)
    if network is None:
        return written
    return JoinedFeatures((written, LearnedFeatures(network, space, both_strands=both_strands)))


def _check(
    space: SequenceSpace,
    constraints: Sequence[Constraint],
    both_strands: bool,
    reference: Sequence[str],
    motifs: Sequence[str],
) -> None:
    stranded = [c for c in constraints if isinstance(c, STRANDED)]
    if both_strands:
        space.alphabet.reverse_complement("")  # refuses alphabets without complements
        if stranded:
            raise ParameterError(
                f"{stranded[0]!r} holds for one strand, but `both_strands` takes both for one design.",
                hint="Leave out one of the two.",
            )
    if motifs and not reference:
        raise ParameterError("Enrichment of `motifs` needs `reference` sequences to compare with.")
    for motif in motifs:
        space.alphabet.motif(motif)
    if constraints:
        check_constraints(space, constraints)


def _metrics(
    space: SequenceSpace,
    parent: str | None,
    key: Callable[[str], str],
    why_invalid: Callable[[str], str],
    reference: tuple[str, ...],
    motifs: tuple[str, ...],
) -> Mapping[str, Callable[[Sequence[str]], float]]:
    def valid(designs: Sequence[str]) -> list[str]:
        return [space.parse(design)[0] for design in designs if not why_invalid(design)]

    diversity = edit_diversity if space.is_variable else hamming_diversity
    metrics: dict[str, Callable[[Sequence[str]], float]] = {
        "diversity": lambda designs: diversity(valid(designs)),
        "edit_diversity": lambda designs: edit_diversity(valid(designs)),
        "distinct": lambda designs: len(set(map(key, designs))) / max(len(designs), 1),
    }
    if parent is not None and not space.is_variable:
        metrics["mutations"] = lambda designs: _mean_mutations(valid(designs), parent)
    if reference:
        keys = frozenset(map(key, reference))
        metrics["novelty"] = lambda designs: novelty([key(d) for d in valid(designs)], keys)
    known = [space.parse(sequence)[0] for sequence in reference]
    for motif in motifs:
        metrics[f"enrichment of {motif}"] = partial(_enrichment, valid, known, space.alphabet, motif)
    return metrics


def _mean_mutations(designs: Sequence[str], parent: str) -> float:
    return float(hamming_distances(designs, [parent]).mean()) if designs else 0.0


def _enrichment(
    valid: Callable[[Sequence[str]], list[str]],
    reference: Sequence[str],
    alphabet: Alphabet,
    motif: str,
    designs: Sequence[str],
) -> float:
    return motif_enrichment(valid(designs), reference, alphabet, motif)
