"""The examples on molecules run, with a small chain in the place of the trained one."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from rdkit import Chem

import token_world
from script_module import load_script
from seiko.oracles.docking import Fidelity
from seiko.surrogates.gp import GaussianProcess
from seiko.updaters.reward_weighted import RewardWeighted

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = {
    "updater": RewardWeighted(
        num_refreshes=1,
        pool_size=40,
        fit_iterations=3,
        batch_size=16,
        likelihood="denoising",
        measure_samples=20,
    ),
    "final_updater": None,
    "pool_size": 40,
    "surrogate": GaussianProcess("tanimoto"),
}


def example(name: str) -> ModuleType:
    return load_script(f"examples/{name}.py")


@pytest.fixture(autouse=True)
def small_chain(monkeypatch):
    token_world.install(monkeypatch)


def test_drug_likeness_under_similarity(tmp_path, capsys):
    report = example("drug_likeness_similarity").main(tmp_path / "run", rounds=2, num_queries=6, **QUICK)
    assert report.exists() and "lead: QED" in capsys.readouterr().out


def test_lead_optimisation_keeps_the_scaffold(tmp_path, capsys):
    module = example("lead_optimisation")
    report = module.main(tmp_path / "run", rounds=2, num_queries=6, **QUICK)
    said = capsys.readouterr().out.splitlines()
    core = Chem.MolFromSmarts("c1cc2ncnc(N)c2cc1")
    best = [line.split(": ")[1] for line in said if line[:2] == "0."]
    assert report.exists() and len(best) == 5
    assert all(Chem.MolFromSmiles(design).HasSubstructMatch(core) for design in best)
    assert any(line.startswith("fine-tuned: ") for line in said)


@pytest.mark.data
@pytest.mark.slow
def test_docking(tmp_path, monkeypatch, capsys, measured):
    pytest.importorskip("vina")
    module = example("docking_parp1")
    domain = module.token_domain()  # the small chain's molecules pass none of the filters
    monkeypatch.setattr(module, "token_domain", lambda filters: domain)
    module.main(tmp_path / "run", rounds=1, num_queries=3, final=Fidelity(1, 5000), **QUICK)
    assert (tmp_path / "run" / "winners.sdf").exists()
    assert "kcal/mol" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) <= 60
