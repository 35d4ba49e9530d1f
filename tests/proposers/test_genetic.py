"""The genetic algorithm: selection, purity, no repeats; and the moves of molecules it is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")

from seiko.domains import molecule_moves
from seiko.domains.base import Domain
from seiko.domains.molecule import MoleculeGraph, molecule_domain, read_molecule
from seiko.domains.molecule_identity import MoleculeRules
from seiko.domains.molecule_moves import crossover_molecule, mutate_molecule
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.proposers.genetic import GeneticAlgorithm
from seiko.records import History, Trial, TrialState

GRAPH = MoleculeGraph()
SMILES = [
    "CCO",
    "CC(C)(C)C",
    "C1CC1C",
    "c1ccccc1",
    "O=C1CC2CCC1C2",
    "NC(=O)c1ccn[nH]1",
    "C1CC2CC2C1",
    "CN=C(N)N",
]

WORDS = Domain(  # words of 6 letters a-d; a word that begins with d is invalid
    name="words",
    decode=lambda state, condition: [],
    features=lambda designs: torch.zeros(len(designs), 1),
    is_valid=lambda word: not word.startswith("d"),
    key=str.lower,
    to_bytes=str.encode,
    from_bytes=bytes.decode,
    render=str,
)


def random_words(count: int, generator: torch.Generator) -> list[str]:
    letters = torch.randint(4, (count, 6), generator=generator).tolist()
    return ["".join("abcd"[k] for k in row) for row in letters]


def mutate_word(word: str, rng: np.random.Generator) -> str:
    place = rng.integers(6)
    return word[:place] + "abcd"[rng.integers(4)] + word[place + 1 :]


def cross_words(a: str, b: str, rng: np.random.Generator) -> str:
    place = rng.integers(1, 6)
    return a[:place] + b[place:]


GENETIC = GeneticAlgorithm(WORDS, random_words, mutate=mutate_word, crossover=cross_words)


def ask(proposer, history, count, seed=0):
    return proposer.propose(history, count, resume={}, generator=torch.Generator().manual_seed(seed))


def told(values: dict[str, float], round_: int = 0, state: TrialState = TrialState.COMPLETE) -> History:
    return History(tuple(Trial(i, round_, w, w, state, v) for i, (w, v) in enumerate(values.items())))


def campaign(proposer, rounds=5, count=20, seed=0):
    history = History()
    for round_ in range(rounds):
        designs = ask(proposer, history, count, seed + round_).designs
        start = len(history.trials)
        new = [
            Trial(start + i, round_, w, WORDS.key(w), TrialState.COMPLETE, float(w.count("a")))
            for i, w in enumerate(designs)
        ]
        history = History((*history.trials, *new))
    return history


def test_first_round_is_samples_of_the_chain():
    designs = ask(GENETIC, History(), 10, seed=3).designs
    generator = torch.Generator().manual_seed(3)
    samples = [word for _ in range(3) for word in random_words(10, generator)]
    assert designs == list(dict.fromkeys(filter(WORDS.is_valid, samples)))[:10]


def test_never_repeats_and_never_invalid():
    history = campaign(GENETIC)
    assert len(history.trials) == 100 == len(history.keys)
    assert all(WORDS.is_valid(trial.design) for trial in history.trials)


def test_it_learns():
    values = np.array([trial.value for trial in campaign(GENETIC).trials])
    assert values[-20:].mean() > values[:20].mean() + 1.5 and values.max() == 6


def test_pure_in_history_and_generator():
    history = campaign(GENETIC, rounds=2)
    assert ask(GENETIC, history, 15, seed=7) == ask(GENETIC, history, 15, seed=7)
    assert ask(GENETIC, history, 15, seed=7).designs != ask(GENETIC, history, 15, seed=8).designs
    assert ask(GENETIC, history, 0).designs == []


def test_the_global_generators_do_not_matter():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    ask(GENETIC, campaign(GENETIC, rounds=1), 5)
    assert torch.equal(torch.get_rng_state(), state)


def test_parents_are_the_best_of_all_rounds():
    values = {"aaaaaa": 6.0, "bbbbbb": 5.0, "cccccc": 1.0, "abcabc": 0.0}
    history = told(values)
    assert replace(GENETIC, population_size=2)._population(history) == ["aaaaaa", "bbbbbb"]
    again = History((*history.trials, Trial(4, 1, "cabbac", "cabbac", TrialState.COMPLETE, 3.0)))
    assert replace(GENETIC, population_size=3)._population(again) == ["aaaaaa", "bbbbbb", "cabbac"]
    assert replace(GENETIC, elitist=False)._population(again) == ["cabbac"]


def test_a_design_told_twice_counts_with_its_mean():
    history = told({"aaaaaa": 6.0, "bbbbbb": 5.0})
    again = History((*history.trials, Trial(2, 1, "aaaaaa", "aaaaaa", TrialState.COMPLETE, 2.0)))
    assert GENETIC._population(again) == ["bbbbbb", "aaaaaa"]


def test_only_complete_readings_make_parents():
    history = told({"aaaaaa": None, "bbbbbb": None, "cccccc": None}, state=TrialState.INFEASIBLE)
    assert GENETIC._population(history) == []
    designs = ask(GENETIC, history, 10).designs  # from the chain again, and none of the infeasible ones
    assert len(designs) == 10 and not history.keys & set(designs)


def test_without_rates_the_children_are_pure_crossovers_or_pure_mutants():
    history = told({"aaaaaa": 1.0, "bbbbbb": 0.0})
    crossed = ask(replace(GENETIC, crossover_rate=1.0, mutation_rate=0.0), history, 10).designs
    assert all(w in {"a" * k + "b" * (6 - k) for k in range(7)} | {"b" * k + "a" * (6 - k) for k in range(7)}
               for w in crossed)  # fmt: skip
    mutants = ask(replace(GENETIC, crossover_rate=0.0), history, 10).designs
    assert all(max(w.count("a"), w.count("b")) == 5 for w in mutants)


def test_selection_pressure_prefers_the_best():
    words = dict.fromkeys(random_words(40, torch.Generator().manual_seed(0)))
    history = told({w: -float(i) for i, w in enumerate(words)})
    best = next(iter(words))

    def share(pressure):
        proposer = replace(GENETIC, population_size=40, selection_pressure=pressure, crossover_rate=0.0)
        near = [
            sum(x != y for x, y in zip(w, best, strict=True)) == 1 for w in ask(proposer, history, 12).designs
        ]
        return sum(near)

    assert share(100.0) > share(0.0)


def test_too_few_designs_is_an_error_with_a_hint():
    stuck = replace(GENETIC, mutate=lambda word, rng: None, crossover=lambda a, b, rng: a, max_tries=5)
    with pytest.raises(NotEnoughDesignsError, match="max_tries"):
        ask(stuck, told({"aaaaaa": 1.0, "bbbbbb": 0.0}), 3)
    with pytest.raises(NotEnoughDesignsError, match="15 candidates held 0"):
        ask(replace(stuck, initial=lambda count, generator: ["dddddd"] * count), History(), 3)
    with pytest.raises(NotEnoughDesignsError):
        ask(replace(stuck, initial=lambda count, generator: []), History(), 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"population_size": 1},
        {"max_tries": 0},
        {"selection_pressure": -1.0},
        {"selection_pressure": float("nan")},
        {"mutation_rate": 1.5},
        {"crossover_rate": float("nan")},
    ],
)
def test_bad_numbers(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        replace(GENETIC, **wrong)
    with pytest.raises(ParameterError, match="num_queries"):
        ask(GENETIC, History(), -1)


def test_molecules_end_to_end():
    domain = molecule_domain(GRAPH)
    samples = ["C" * k + "O" * j for k in range(1, 5) for j in range(2)]
    proposer = GeneticAlgorithm(
        domain, lambda count, generator: samples, mutate=mutate_molecule, crossover=crossover_molecule
    )
    history = History()
    for round_ in range(3):
        designs = ask(proposer, history, 8, seed=round_).designs
        start = len(history.trials)
        new = [
            Trial(start + i, round_, d, domain.key(d), TrialState.COMPLETE, float(d.count("F")))
            for i, d in enumerate(designs)
        ]
        history = History((*history.trials, *new))
    assert len(history.keys) == 24 and all(map(domain.is_valid, history.keys))


# --- the moves


def test_moves_stay_in_the_design_space():
    rng = np.random.default_rng(0)
    changed = 0
    for round_ in range(8):
        for a in SMILES:
            b = SMILES[rng.integers(len(SMILES))]
            for child in (mutate_molecule(a, rng), crossover_molecule(a, b, rng)):
                if child is not None:
                    assert read_molecule(child, GRAPH) == (child, ""), (round_, a, b)
                    changed += 1
    assert changed > 100


def test_moves_are_determined_by_the_generator():
    def children(seed):
        rng = np.random.default_rng(seed)
        return [(mutate_molecule(a, rng), crossover_molecule(a, "CC1CCC1", rng)) for a in SMILES]

    assert children(1) == children(1) != children(2)


def test_mutations_change_the_molecule_and_obey_the_limits():
    rng = np.random.default_rng(0)
    for _ in range(100):
        child = mutate_molecule("CCO", rng, num_atoms=4, elements=("C", "O"))
        assert child is None or (child != "CCO" and read_molecule(child, MoleculeGraph(4, ("C", "O")))[0])


def test_all_neighbours_of_methane():
    """One move from C: another element, or one more atom by a bond that both ends can carry."""
    rng = np.random.default_rng(0)
    found = {mutate_molecule("C", rng) for _ in range(400)} - {None}
    assert found == {"N", "O", "F", "CC", "CN", "CO", "CF", "C=C", "C=N", "C=O", "C#C", "C#N"}


@pytest.mark.parametrize(
    ("move", "smiles", "results"),
    [
        ("delete_atom", "CCO", {"CO", "CC"}),
        ("insert_atom", "CC", {"CCC", "CNC", "COC"}),
        ("change_bond", "CC", {"C=C", "C#C"}),
        ("close_ring", "CCC", {"C1CC1"}),
        ("open_ring", "C1CC1", {"CCC"}),
        ("change_element", "CC", {"CN", "CO", "CF"}),
    ],
)
def test_single_moves(move, smiles, results, monkeypatch):
    monkeypatch.setattr(molecule_moves, "MOVES", (getattr(molecule_moves, move),))
    rng = np.random.default_rng(0)
    assert {mutate_molecule(smiles, rng) for _ in range(60)} - {None} == results


def test_moves_without_a_place_give_none(monkeypatch):
    rng = np.random.default_rng(0)
    for move in ("delete_atom", "insert_atom", "change_bond", "close_ring", "open_ring"):
        monkeypatch.setattr(molecule_moves, "MOVES", (getattr(molecule_moves, move),))
        assert mutate_molecule("C", rng) is None
    assert mutate_molecule("C", rng, num_atoms=1, elements=("C",)) is None
    assert crossover_molecule("C", "CC", rng) is None


@pytest.mark.parametrize("salt", ["[Na+].[Cl-]", "C1CC2CC1C2.[Na+]", "CC.CC"])
def test_parents_of_several_fragments_have_no_children(salt):
    allowed = {"num_atoms": None, "elements": ("C", "O", "Na", "Cl"), "charges": True}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert crossover_molecule(salt, "C1CC1O", rng, **allowed) is None
        assert crossover_molecule("C1CC1O", salt, rng, **allowed) is None


def test_crossover_joins_parts_of_both():
    rng = np.random.default_rng(0)
    assert {crossover_molecule("CC", "OO", rng) for _ in range(30)} - {None} == {"CO"}
    rings = {crossover_molecule("C1CC1", "N1NN1", rng) for _ in range(200)} - {None}
    assert rings == {"CN", "C1CN1", "C1NN1", "C1CNN1"}


def test_moves_refuse_what_rdkit_cannot_read():
    rng = np.random.default_rng(0)
    for call in (lambda: mutate_molecule("CC(", rng), lambda: crossover_molecule("C", "", rng)):
        with pytest.raises(ParameterError, match="cannot read"):
            call()


DRUGS = (
    "C[NH+]1CCC(c2ccc(Cl)cc2)CC1",
    "O=C([O-])c1ccc(NC(=O)C[NH+](C)C)cc1",
    "O=[N+]([O-])c1ccc2[nH]ccc2c1",
    "CS(=O)(=O)Nc1cccc(C(=O)N2CCOCC2)c1",
)


def test_moves_of_drug_size_keep_charges_where_they_are_allowed():
    rng = np.random.default_rng(0)
    elements = ("C", "N", "O", "F", "P", "S", "Cl", "Br", "I")
    limits = {"num_atoms": 38, "elements": elements}
    rules = MoleculeRules(elements, max_atoms=38)
    charged = 0
    for round_ in range(30):
        a, b = DRUGS[round_ % 4], DRUGS[(round_ // 4) % 4]
        for child in (
            mutate_molecule(a, rng, charges=True, **limits),
            crossover_molecule(a, b, rng, charges=True, **limits),
        ):
            assert child is not None and rules.why_not(child) == "", (a, b, child)
            charged += "+" in child or "-]" in child
    assert charged > 20
    neutral = [mutate_molecule(DRUGS[0], rng, **limits) for _ in range(10)]
    assert all(child is None or "+" not in child for child in neutral)
