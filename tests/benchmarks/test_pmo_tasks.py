"""The tasks of PMO-1K: budget, split, rewards, and a genetic algorithm for molecules of drug size."""

from __future__ import annotations

import pytest
import torch

from seiko import zoo
from seiko.benchmark.tasks import TASKS, pmo_task
from seiko.benchmark.tasks.pmo import DEVELOPMENT, PMO_TASKS
from seiko.chains import LeftToRight
from seiko.domains.molecule import smiles_domain
from seiko.errors import ParameterError
from seiko.networks import RecurrentSequence
from seiko.oracles.pmo import CELECOXIB, NAMES
from seiko.records import History, Trial, TrialState

ZINC = (
    "Cc1n[nH]c(C)c1NC(=O)C[NH+]1CCC[C@@H]1CNC(=O)OC(C)(C)C",
    "C[C@@H](OC(=O)[C@H]1Cc2ccccc2O1)c1ccccc1N(C)C",
    "C[C@@H]1CCCN(C(=O)CNc2ccc(Br)cc2)C1",
    "CSCCCCNC(=O)C(=O)Nc1ccccc1Cl",
)


def test_there_is_a_task_for_each_objective():
    words = [name.replace("_", "-") for name in NAMES]
    named = [f"{protocol}-{objective}" for protocol in ("pmo", "pmo10k") for objective in words]
    assert [task.name for task in PMO_TASKS] == named
    assert all(TASKS[task.name] is task for task in PMO_TASKS)
    assert all(task.budget == (10_000 if "10k" in task.name else 1_000) for task in PMO_TASKS)
    development = {task.reward_name.replace(" ", "_") for task in PMO_TASKS if task.split == "development"}
    assert development == set(DEVELOPMENT) and len(development) >= 5 and development < set(NAMES)
    assert pmo_task("celecoxib_rediscovery").reward(CELECOXIB) == 1
    with pytest.raises(ParameterError, match="no objective"):
        pmo_task("drd2")
    with pytest.raises(ParameterError, match="no protocol '2k'"):
        pmo_task("qed", protocol="2k")


def test_the_genetic_algorithm_changes_molecules_of_drug_size(monkeypatch):
    card = {"max_atoms": 38, "elements": ["C", "N", "O", "F", "P", "S", "Cl", "Br", "I"]}
    monkeypatch.setattr(zoo, "read_card", lambda name: card)
    chain = LeftToRight(RecurrentSequence(4, width=4, embedding=2), 3)
    domain = smiles_domain(lambda state, condition: ["C"] * len(state))
    task = TASKS["pmo-osimertinib-mpo"]
    proposer = task.method("genetic")(chain, domain)
    trials = [
        Trial(i, 0, design, domain.key(design), TrialState.COMPLETE, task.reward(design))
        for i, design in enumerate(ZINC)
    ]
    generator = torch.Generator().manual_seed(0)
    proposal = proposer.propose(History(tuple(trials)), 30, resume={}, generator=generator)
    assert len(set(proposal.designs)) == 30 and not set(proposal.designs) & set(ZINC)
    assert all(domain.is_valid(design) for design in proposal.designs)
    assert any("+" in design for design in proposal.designs)
