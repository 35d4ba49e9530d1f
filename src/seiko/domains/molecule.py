"""Molecules as designs: canonical SMILES, whatever the chain's state is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from torch import Tensor

from seiko.domains.base import Domain
from seiko.domains.molecule_drawing import draw_molecule
from seiko.domains.molecule_features import (
    NUM_WHOLE,
    counts_and_properties,
    molecule_features,
    morgan_counts,
)
from seiko.domains.molecule_files import FORMATS
from seiko.domains.molecule_filters import Check, first_refusal
from seiko.domains.molecule_graph import MAX_VALENCE, NUM_BOND_KINDS, MoleculeGraph, read_molecule
from seiko.domains.molecule_identity import INVALID, ORGANIC, MoleculeRules, rdkit_module, readable
from seiko.domains.molecule_metrics import (
    MoleculeReference,
    novelty,
    scaffold_diversity,
    tanimoto_diversity,
)
from seiko.domains.molecule_moves import crossover_molecule, mutate_molecule
from seiko.domains.molecule_soft import GraphCounts
from seiko.errors import ShapeError
from seiko.typing import Condition, State

__all__ = [
    "INVALID",
    "MAX_VALENCE",
    "NUM_BOND_KINDS",
    "NUM_WHOLE",
    "ORGANIC",
    "MoleculeGraph",
    "MoleculeReference",
    "MoleculeRules",
    "counts_and_properties",
    "draw_molecule",
    "molecule_domain",
    "molecule_features",
    "morgan_counts",
    "rdkit_module",
    "read_molecule",
    "smiles_domain",
    "tanimoto_diversity",
]


def smiles_domain(
    decode: Callable[[State, Condition], Sequence[str]],
    *,
    rules: MoleculeRules | None = None,
    read: Callable[[str], tuple[str, str]] | None = None,
    filters: Mapping[str, Check] | None = None,
    features: Callable[[Sequence[str]], Tensor] | None = None,
    soft_features: Callable[[State, Condition], Tensor] | None = None,
    encode: Callable[[Sequence[str]], State] | None = None,
    reference: MoleculeReference | None = None,
    name: str = "molecule",
) -> Domain[str]:
    """A domain of molecules as canonical SMILES, for any chain whose states decode to SMILES.

    Only `decode`, and `soft_features` where there are any, know the chain's state. The metrics are
    ``diversity`` and ``scaffolds`` (distinct over all) of the valid designs; ``distinct``, distinct designs
    over all; and with a reference set ``novelty`` and, for each property, its Wasserstein distance in
    standard deviations of the reference set, ``wasserstein logp`` for instance.

    Args:
        decode: States to SMILES, one a row; what cannot be decoded as ``"invalid: "`` and the reason.
        rules: Which molecules may be designs.
        read: A SMILES to its canonical form and the reason why it cannot be a design, instead of the rules.
        filters: Named checks of an RDKit molecule; a design that fails one is invalid: "filter", its name,
            and the check's reason where it gives one.
        features: Of valid designs, counts; `counts_and_properties` if None.
        soft_features: Of states, equal to `features` of what they decode to.
        encode: Designs to the states that decode to them; None where there is no such function.
        reference: Set of molecules to compare with, the training data for instance.
        name: For reports.

    Example:
        >>> from seiko.domains.molecule_filters import PropertyRange
        >>> large = {"weight": PropertyRange("weight", low=40)}
        >>> domain = smiles_domain(lambda state, _: ["CCO"] * len(state), filters=large)
        >>> domain.key("OCC"), domain.why_invalid("C"), domain.why_invalid("CC[Mg]Br")[:25]
        ('CCO', 'filter weight: weight 16.043 is below 40', 'element Mg is not among B')
    """
    rules = rules or MoleculeRules()
    read = read or rules.read
    checks = dict(filters or {})

    @lru_cache(maxsize=1 << 16)
    def why_invalid(design: str) -> str:
        canonical, reason = read(design)
        return reason or (first_refusal(readable(canonical), checks) if checks else "")

    def key(design: str) -> str:
        return read(design)[0] or design

    measures = _metrics(key, why_invalid, reference)
    allowed: dict[str, Any] = {
        "num_atoms": rules.max_atoms,
        "elements": rules.elements,
        "charges": rules.charges != "none",
    }
    return Domain(
        name=name,
        decode=decode,
        encode=encode,
        crossover=partial(crossover_molecule, **allowed),
        mutate=partial(mutate_molecule, **allowed),
        features=features or counts_and_properties,
        soft_features=soft_features,
        is_valid=lambda design: not why_invalid(design),
        why_invalid=why_invalid,
        key=key,
        to_bytes=str.encode,
        from_bytes=bytes.decode,
        render=draw_molecule,
        media_type="chemical/x-daylight-smiles",
        formats=FORMATS,
        feature_kind="counts" if features else "counts+properties",
        metrics=measures,
    )


def _metrics(
    key: Callable[[str], str], why_invalid: Callable[[str], str], reference: MoleculeReference | None
) -> dict[str, Callable[[Sequence[str]], float]]:
    def valid(designs: Sequence[str]) -> list[str]:
        return [design for design in designs if not why_invalid(design)]

    measures: dict[str, Callable[[Sequence[str]], float]] = {
        "diversity": lambda designs: tanimoto_diversity(valid(designs)),
        "scaffolds": lambda designs: scaffold_diversity(valid(designs)),
        "distinct": lambda designs: len(set(map(key, designs))) / max(len(designs), 1),
    }
    if reference is None:
        return measures

    def distance(designs: Sequence[str], name: str) -> float:
        kept = valid(designs)
        return reference.distances(kept, (name,))[name].relative if kept else float("inf")

    measures["novelty"] = lambda designs: novelty(list(map(key, valid(designs))), reference.keys)
    return measures | {f"wasserstein {name}": partial(distance, name=name) for name in reference.descriptors}


def molecule_domain(
    graph: MoleculeGraph,
    *,
    fingerprint_size: int = 512,
    radius: int = 1,
    filters: Mapping[str, Check] | None = None,
    soft: bool = False,
    reference: MoleculeReference | None = None,
) -> Domain[str]:
    """Molecules of one graph codec as designs: canonical SMILES without stereochemistry.

    A valid design fits the graph, so every method is held to the chain's design space.

    Args:
        graph: The codec.
        fingerprint_size, radius: Of `molecule_features`.
        filters: Named checks of an RDKit molecule; a design that fails one is invalid: "filter" and the name.
        soft: Take `GraphCounts` as features, which have gradients, instead of fingerprints.
        reference: As in `smiles_domain`.

    Example:
        >>> domain = molecule_domain(MoleculeGraph(), filters={"size": lambda mol: mol.GetNumAtoms() > 1})
        >>> domain.key("OCC"), domain.is_valid("CCO"), domain.why_invalid("C"), domain.why_invalid("C=S")
        ('CCO', True, 'filter size', 'element S is not among C, N, O, F')
    """
    counts = GraphCounts(len(graph.elements))

    def soft_features(state: State, condition: Condition = None) -> Tensor:
        if not isinstance(state, Mapping):
            raise ShapeError(
                f"A state of {graph} must be a dict of two leaves; got a {type(state).__name__}."
            )
        return counts(state["atoms"], state["bonds"])

    def graph_features(designs: Sequence[str]) -> Tensor:
        return soft_features(graph.one_hot(graph.encode(designs)))

    hard = partial(molecule_features, elements=graph.elements, size=fingerprint_size, radius=radius)
    return smiles_domain(
        graph.decode,
        encode=lambda designs: graph.one_hot(graph.encode(designs)),
        read=partial(read_molecule, graph=graph),
        filters=filters,
        features=graph_features if soft else hard,
        soft_features=soft_features if soft else None,
        reference=reference,
    )
