"""Sequences as designs: the codec, features of designs and states, the domain, its bad input."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from seiko.chain import sample
from seiko.domains.sequence import DNA, PROTEIN, RNA, Alphabet, SequenceSpace, sequence_domain
from seiko.domains.sequence_constraints import (
    FixedPositions,
    GCContent,
    MaxHomopolymer,
    MaxMutations,
    NoStopCodon,
)
from seiko.domains.sequence_features import LearnedFeatures, SequenceFeatures
from seiko.domains.sequence_motifs import ForbiddenMotifs, no_restriction_sites
from seiko.domains.sequence_moves import crossover_sequence, mutate_sequence
from seiko.errors import ParameterError, ShapeError
from seiko.networks import VectorMLP
from seiko.testing import check_domain
from seiko.zoo.sequences import sequence_network, uniform_sequences

FIXED, VARIABLE = SequenceSpace(DNA, 6), SequenceSpace(RNA, 6, min_length=2)


def states(space: SequenceSpace, process: str = "masked", count: int = 24) -> torch.Tensor:
    chain = uniform_sequences(space, process=process, num_steps=3)
    return sample(chain, count, generator=torch.Generator().manual_seed(0))


# --- the codec


@pytest.mark.parametrize(
    "space", [FIXED, VARIABLE, SequenceSpace(PROTEIN, 3), SequenceSpace(DNA, 4, 1)], ids=str
)
def test_round_trip(space):
    rng = np.random.default_rng(0)
    sizes = rng.integers(space.shortest, space.length + 1, 30)
    sequences = ["".join(rng.choice(list(space.alphabet.letters), size)) for size in sizes]
    kinds = space.encode(sequences)
    assert kinds.dtype == torch.uint8 and kinds.shape == (30, space.length)
    assert space.decode(space.one_hot(kinds)) == sequences
    masked = torch.nn.functional.pad(space.one_hot(kinds), (0, 1))
    assert space.decode(masked) == sequences
    assert space.decode(0.6 * masked + 0.4 / masked.shape[-1]) == sequences


def test_the_first_end_symbol_ends_a_sequence():
    state = VARIABLE.one_hot(torch.tensor([[0, 1, 4, 2, 3, 4], [4, 0, 0, 0, 0, 0], [0, 1, 2, 3, 0, 1]]))
    assert VARIABLE.decode(state) == ["AC", "", "ACGUAC"]
    assert VARIABLE.letter_weights(state).sum((1, 2)).tolist() == [2, 0, 6]


def test_masked_positions_are_told():
    state = torch.zeros(1, 6, 5)
    state[0, :, 0] = 1
    state[0, 2] = torch.tensor([0.0, 0, 0, 0, 1])
    domain = sequence_domain(FIXED)
    assert domain.decode(state, None) == ["AA?AAA"]
    assert domain.why_invalid("AA?AAA") == "position 3 is still masked"


def test_what_does_not_belong():
    with pytest.raises(ParameterError, match="Sequence 1 is not one of DNA of 6 letters: 3 letters, not 6"):
        FIXED.encode(["ACGTAC", "ACG"])
    with pytest.raises(ParameterError, match="1 letters, not 2 to 6"):
        VARIABLE.read("A")
    for wrong in ((0, None), (3, 4), (3, 0)):
        with pytest.raises(ParameterError, match="min_length"):
            SequenceSpace(DNA, *wrong)
    for shape in ((2, 5, 4), (2, 6, 3), (2, 6, 6), (6, 4)):
        with pytest.raises(ShapeError, match="A state of DNA of 6 letters"):
            FIXED.decode(torch.zeros(shape))
    with pytest.raises(ShapeError, match="dict"):
        FIXED.decode({"a": torch.zeros(2, 6, 4)})
    assert FIXED.encode([]).shape == (0, 6) and FIXED.decode(torch.zeros(0, 6, 4)) == []


# --- features


FEATURES = {
    "one-hot": SequenceFeatures(FIXED),
    "pairs": SequenceFeatures(FIXED, one_hot=False, pairs=(1, 3)),
    "words": SequenceFeatures(FIXED, words=(1, 2, 3), gapped=(2,)),
    "both strands": SequenceFeatures(FIXED, pairs=(2,), words=(1, 3), gapped=(1,), both_strands=True),
    "parent": SequenceFeatures(FIXED, parent="ACGTAC"),
    "variable": SequenceFeatures(VARIABLE, words=(1, 2), gapped=(3,)),
    "variable, both strands": SequenceFeatures(VARIABLE, one_hot=False, words=(2,), both_strands=True),
}


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("process", ["masked", "mutation"])
def test_soft_features_are_those_of_the_design(name, process):
    features = FEATURES[name]
    check_domain(sequence_domain(features.space, features=features), states(features.space, process))


@pytest.mark.parametrize("kind", ["mlp", "transformer", "convolution"])
@pytest.mark.parametrize(("space", "process"), [(FIXED, "masked"), (VARIABLE, "mutation")])
def test_learned_features(kind, space, process):
    network = sequence_network(space, process, {"kind": kind, "width": 16, "num_layers": 1})
    features = LearnedFeatures(network, space)
    before = features(
        ["ACGU".replace("U", space.alphabet.letters[-1]) * 2][:0] or [space.decode(states(space))[0]]
    )
    with torch.no_grad():
        next(network.parameters()).add_(1)
    after = features([space.decode(states(space))[0]])
    assert torch.equal(before, after) and before.shape == (1, 16)
    check_domain(sequence_domain(space, features=features), states(space, process))


def test_features_of_both_strands_from_a_network_are_the_same_for_both():
    network = sequence_network(FIXED, "masked", {"kind": "convolution", "width": 8, "num_layers": 1})
    domain = sequence_domain(FIXED, both_strands=True, network=network)
    design = FIXED.decode(states(FIXED))[0]
    other = FIXED.alphabet.reverse_complement(design)
    one, two = domain.features([design, other])
    assert torch.allclose(one, two, atol=1e-6)
    alone = LearnedFeatures(network, FIXED)([design, other])
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    assert torch.allclose(one[-8:], alone.mean(0), atol=1e-6)


def test_a_network_joins_the_default_features_and_its_domain_compares_by_distance():
    network = sequence_network(FIXED, "masked", {"kind": "mlp", "width": 16, "num_layers": 1})
    domain, plain = sequence_domain(FIXED, network=network), sequence_domain(FIXED)
    assert (plain.feature_kind, domain.feature_kind) == ("additive", "learned")
    design = FIXED.decode(states(FIXED))[:1]
    assert torch.equal(domain.features(design)[:, :-16], plain.features(design))
    assert torch.equal(domain.features(design)[:, -16:], LearnedFeatures(network, FIXED)(design))
    check_domain(domain, states(FIXED, "masked"))
    with pytest.raises(ParameterError, match="joins the default features"):
        sequence_domain(FIXED, network=network, features=SequenceFeatures(FIXED))


def test_weights_may_be_loaded_until_learned_features_are_asked_for():
    network = sequence_network(FIXED, "masked", {"kind": "mlp", "width": 16, "num_layers": 1})
    early, design = LearnedFeatures(network, FIXED), FIXED.decode(states(FIXED))[:1]
    with torch.no_grad():
        next(network.parameters()).add_(1)
    assert torch.equal(early(design), LearnedFeatures(network, FIXED)(design))


def test_words_by_hand():
    words = SequenceFeatures(FIXED, one_hot=False, words=(2,))
    row = words(["AACAAC"])[0].view(4, 4)
    assert row.nonzero().tolist() == [[0, 0], [0, 1], [1, 0]]
    assert row[0, 0] == 2 and row[0, 1] == 2 and row[1, 0] == 1


def test_words_are_counted_as_by_a_plain_loop():
    letters = "ACGT"
    for k in (1, 2, 3, 4):
        row = SequenceFeatures(FIXED, one_hot=False, words=(k,))(["GATTAC"])[0]
        plain = [
            sum("GATTAC"[j : j + k] == w for j in range(7 - k))
            for w in map("".join, product(letters, repeat=k))
        ]
        assert row.tolist() == plain
    row = SequenceFeatures(FIXED, one_hot=False, gapped=(2,))(["GATTAC"])[0]
    pairs = ["GATTAC"[j] + "GATTAC"[j + 2] for j in range(4)]
    assert row.tolist() == [pairs.count(w) for w in map("".join, product(letters, repeat=2))]


def test_both_strands_have_the_same_features():
    features = FEATURES["both strands"]
    sequences = ["ACGGTA", "AAAAAA", "GATTAC"]
    others = [DNA.reverse_complement(s) for s in sequences]
    torch.testing.assert_close(features(sequences), features(others))
    assert not torch.equal(SequenceFeatures(FIXED)(sequences), SequenceFeatures(FIXED)(others))


def test_the_parent_has_no_features():
    features = FEATURES["parent"]
    assert features(["ACGTAC"]).abs().sum() == 0
    assert features(["ACGTAT", "TCGTAG"]).sum(1).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"one_hot": False}, "Choose some features"),
        ({"pairs": (6,)}, r"`pairs` must be in 1 ... 5; got \(6,\)"),
        ({"words": (0,)}, "`words`"),
        ({"gapped": (-1,)}, "`gapped`"),
        ({"words": (6,), "space": SequenceSpace(PROTEIN, 8)}, "at most 20000"),
        ({"parent": "ACG"}, "3 letters, not 6"),
        ({"parent": "ACG", "space": VARIABLE}, "one length"),
        ({"both_strands": True, "space": VARIABLE}, "one length"),
        ({"both_strands": True, "space": SequenceSpace(PROTEIN, 8)}, "no complements"),
    ],
)
def test_features_that_cannot_be(options, message):
    with pytest.raises(ParameterError, match=message):
        SequenceFeatures(**({"space": FIXED} | options))


def test_a_network_without_hidden_features_is_refused():
    with pytest.raises(ParameterError, match="VectorMLP has no method"):
        LearnedFeatures(VectorMLP(3), FIXED)
    network = VectorMLP(3)
    network.hidden = network.forward
    with pytest.raises(ParameterError, match="number of `kinds`"):
        LearnedFeatures(network, FIXED)


def test_a_network_of_other_kinds_is_refused():
    network = sequence_network(SequenceSpace(PROTEIN, 6), "masked", {"kind": "mlp", "width": 8})
    with pytest.raises(ParameterError, match=r"is of 21 kinds; those of .* are 4, and a mask"):
        LearnedFeatures(network, FIXED)
    network = sequence_network(VARIABLE, "masked", {"kind": "mlp", "width": 8})
    with pytest.raises(ParameterError, match="one length"):
        LearnedFeatures(network, VARIABLE, both_strands=True)


# --- the domain


DOMAINS = {
    "plain": sequence_domain(FIXED),
    "variable": sequence_domain(VARIABLE),
    "custom": sequence_domain(SequenceSpace(Alphabet("polarity", "HP"), 6)),
    "constrained": sequence_domain(FIXED, constraints=[GCContent(0.3, 0.7), MaxHomopolymer(3)]),
    "both strands": sequence_domain(FIXED, both_strands=True, constraints=[no_restriction_sites("EcoRI")]),
    "parent": sequence_domain(
        FIXED, parent="ACGTAC", constraints=[MaxMutations("ACGTAC", 5)], reference=["ACGTAC"], motifs=["GR"]
    ),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_domains_keep_the_rules(name):
    space = {"variable": VARIABLE, "custom": SequenceSpace(Alphabet("polarity", "HP"), 6)}.get(name, FIXED)
    check_domain(DOMAINS[name], states(space))


def test_a_sequence_and_its_reverse_complement_are_one_design():
    domain = DOMAINS["both strands"]
    assert domain.key("GTACGT") == domain.key("acgtac") == "ACGTAC"
    assert DOMAINS["plain"].key("GTACGT") != DOMAINS["plain"].key("ACGTAC")
    assert domain.metrics["distinct"](["GTACGT", "ACGTAC"]) == 0.5


def test_case_and_u_do_not_make_another_design():
    domain = DOMAINS["plain"]
    assert domain.key("acguac") == "ACGTAC" and domain.is_valid("acguac")
    assert torch.equal(domain.features(["acguac"]), domain.features(["ACGTAC"]))
    assert not domain.is_valid("ACguac") and "mixed" in domain.why_invalid("ACguac")


def test_a_design_is_stored_and_drawn_in_capitals():
    domain = DOMAINS["parent"]
    assert domain.to_bytes("acguag") == b"ACGTAG" and domain.from_bytes(b"acguag") == "ACGTAG"
    assert domain.render("acguag") == domain.render("ACGTAG")
    assert domain.from_bytes(domain.to_bytes("ACgu?-")) == "ACgu?-"  # what is none stays as it is


def test_reasons_come_from_letters_lengths_and_constraints():
    domain = sequence_domain(FIXED, constraints=[NoStopCodon(), MaxHomopolymer(3)])
    assert domain.why_invalid("TAGACG") == "stop codon TAG at position 1"
    assert domain.why_invalid("CCCCAG").startswith("C repeated 4 times")
    assert domain.why_invalid("ACG") == "3 letters, not 6"
    assert domain.why_invalid("ACGTA-") == "gap '-' at position 6"
    assert domain.why_invalid("") == "it is empty"


def test_metrics_by_hand():
    metrics = DOMAINS["parent"].metrics
    designs = ["ACGTAC", "ACGTAG", "ACGTA"]  # the last is not valid
    assert metrics["diversity"](designs) == pytest.approx(1 / 6)
    assert metrics["edit_diversity"](designs) == pytest.approx(1 / 6)
    assert metrics["mutations"](designs) == 0.5
    assert metrics["novelty"](designs) == 0.5
    assert metrics["enrichment of GR"](["GGGGGG"] * 9) == pytest.approx(np.log2(9.5 / 10) - np.log2(0.5 / 2))
    assert all(np.isfinite(metric([])) for metric in metrics.values())
    assert DOMAINS["variable"].metrics["diversity"](["ACG", "ACGU"]) == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"parent": "ACGTAG", "constraints": [FixedPositions({1: "T"})]},
            "breaks its own .* for instance TCGTAG",
        ),
        (
            {"constraints": [MaxMutations("AAAAAA", 2), MaxHomopolymer(2)]},
            "breaks its own constraints: A repeated 6 times .* for instance",
        ),
        (
            {"constraints": [MaxMutations("AAAAAA", 1), GCContent(0.5, 1)]},
            "breaks its own constraints: GC 0 %, outside of 50-100 %. Loosen the constraints, or choose",
        ),
        (
            {"constraints": [MaxMutations("AAAAAA", 1, parent_is_design=False), GCContent(0.5, 1)]},
            "No DNA of 6 letters keeps these constraints together: .* Without MaxMutations.* there are some",
        ),
        ({"constraints": [FixedPositions({9: "A"})]}, "Position 9 with 'A' is not one of DNA of 6 letters"),
        ({"constraints": [FixedPositions({1: "a"})]}, "Position 1 with 'a' .* letters are ACGT"),
        (
            {"constraints": [MaxMutations("acguac", 1)]},
            "must be written as designs are; got 'acguac'. .* `space.read",
        ),
        ({"constraints": [MaxMutations("ACG", 1)]}, "3 letters, not 6"),
        ({"parent": "ACGTAX"}, "letter 'X' at position 6"),
        ({"both_strands": True, "constraints": [NoStopCodon()]}, "holds for one strand"),
        ({"motifs": ["AA"]}, "needs `reference`"),
        ({"motifs": ["A1"], "reference": ["ACGTAC"]}, "neither a letter"),
    ],
)
def test_domains_that_cannot_be(options, message):
    with pytest.raises(ParameterError, match=message):
        sequence_domain(FIXED, **options)


@pytest.mark.parametrize(
    ("alphabet", "constraint", "message"),
    [
        (RNA, no_restriction_sites("EcoRI"), "written for DNA, but designs are RNA of 6 letters. Give it"),
        (PROTEIN, ForbiddenMotifs(("RGD",)), "written for DNA, but designs are protein of 6"),
        (DNA, ForbiddenMotifs(("RGD",), PROTEIN), "written for protein, but designs are DNA of 6"),
        (PROTEIN, NoStopCodon(), "is about DNA or RNA, but designs are protein of 6 letters. Leave it out"),
        (PROTEIN, GCContent(0.4, 0.6), "is about DNA or RNA"),
    ],
)
def test_constraints_of_other_letters(alphabet, constraint, message):
    with pytest.raises(ParameterError, match=message):
        sequence_domain(SequenceSpace(alphabet, 6), constraints=[constraint])


def test_constraints_of_the_same_letters():
    space = SequenceSpace(RNA, 12)
    domain = sequence_domain(
        space, constraints=[no_restriction_sites("EcoRI", alphabet=RNA), GCContent(0, 1)]
    )
    assert domain.why_invalid("AAAGAAUUCAAA") == "EcoRI site at position 4 (GAAUUC)"
    barcodes = SequenceSpace(Alphabet("barcode", "ACGT"), 6)  # the letters count, not the name
    domain = sequence_domain(barcodes, constraints=[no_restriction_sites("EcoRI"), GCContent(0, 1)])
    assert domain.why_invalid("GAATTC") == "EcoRI site at position 1 (GAATTC)"


def test_a_reference_may_be_in_lower_case():
    options = {"motifs": ["GGG"]}
    soft, plain = (
        sequence_domain(FIXED, reference=[r], **options).metrics["enrichment of GGG"](["GGGGGG"])
        for r in ("gggggg", "GGGGGG")
    )
    assert soft == plain == 0


def test_proteins_have_no_other_strand():
    with pytest.raises(ParameterError, match="no complements"):
        sequence_domain(SequenceSpace(PROTEIN, 5), both_strands=True)


def test_a_parent_that_must_be_repaired():
    broken = MaxMutations("AAAAAA", 2, parent_is_design=False)
    domain = sequence_domain(FIXED, constraints=[broken, MaxHomopolymer(2)])
    assert domain.is_valid("AACAAC") and not domain.is_valid("AAAAAA")


# --- moves of a genetic algorithm


@pytest.mark.parametrize("space", [FIXED, VARIABLE], ids=str)
def test_moves_stay_in_the_space_and_change_something(space):
    rng = np.random.default_rng(0)
    design, others, lengths = space.decode(states(space))[0], set(), set()
    for _ in range(200):
        child = mutate_sequence(design, rng, space=space)
        if child is not None:
            assert space.parse(child) == (child, "") and child != design
            others.add(child)
            lengths.add(len(child))
            design = child
    assert len(others) > 50 and lengths == set(range(space.shortest, space.length + 1))


def test_moves_read_designs_first():
    for seed in range(9):
        rngs = [np.random.default_rng(seed) for _ in range(4)]
        assert DOMAINS["plain"].crossover("acguac", "GGTCGC", rngs[0]) == crossover_sequence(
            "ACGTAC", "GGTCGC", rngs[1], space=FIXED
        )
        soft = DOMAINS["plain"].mutate("acguac", rngs[2])
        assert soft == mutate_sequence("ACGTAC", rngs[3], space=FIXED)
        assert FIXED.parse(soft) == (soft, "")
    with pytest.raises(ParameterError, match="letter 'X' at position 6"):
        crossover_sequence("ACGTAC", "ACGTAX", rngs[0], space=FIXED)


def test_crossover():
    rng = np.random.default_rng(0)
    children = {crossover_sequence("AAAAAA", "CCCCCC", rng, space=FIXED) for _ in range(300)}
    assert len(children) > 50 and set("".join(children)) == set("AC")
    children = [crossover_sequence("AAAAAA", "CC", rng, space=VARIABLE) for _ in range(100)]
    assert all(child is None or VARIABLE.parse(child)[1] == "" for child in children)
    assert any(child and {"A", "C"} == set(child) for child in children)
