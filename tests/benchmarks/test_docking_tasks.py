"""The docking tasks: receptors, split, what is a design, and a reading of one of them."""

from __future__ import annotations

import pytest

import token_world
from measured_data import needed
from seiko.benchmark.tasks import TASKS, docking_task
from seiko.benchmark.tasks.docking import DEVELOPMENT, DOCKING_TASKS
from seiko.errors import ParameterError
from seiko.oracles.receptors import PUBLISHED
from seiko.records import TrialState


def test_there_is_a_task_for_each_receptor():
    assert [task.name for task in DOCKING_TASKS] == [f"dock-{name}" for name in PUBLISHED]
    assert all(TASKS[task.name] is task and task.budget == 300 for task in DOCKING_TASKS)
    assert {task.name for task in DOCKING_TASKS if task.split == "development"} == {
        f"dock-{name}" for name in DEVELOPMENT
    }
    with pytest.raises(ParameterError, match="no receptor 'drd2'"):
        docking_task("drd2")


def test_designs_are_drug_like_and_easy_to_make(monkeypatch):
    token_world.install(monkeypatch)
    chain, domain = TASKS["dock-parp1"].materials()
    assert domain.is_valid("O=C1NCc2ccccc2N1CCc1ccccc1") and chain.num_steps == 48
    assert "filter QED" in domain.why_invalid("CCCCCCCCCCCCCCCCCCCC")
    assert {"genetic", "seiko_ucb", "random"} <= set(TASKS["dock-parp1"].methods)


@pytest.mark.data
def test_a_ligand_is_docked_and_what_cannot_be_is_infeasible(monkeypatch):
    for package in ("vina", "meeko"):
        pytest.importorskip(package)
    monkeypatch.setenv("SEIKO_DATA", str(needed("docking").parent))
    reward = docking_task("parp1").reward
    docked, refused = reward("O=C1NCc2ccccc2N1CCc1ccccc1"), reward("CC[Mg]Br")
    assert docked.state is TrialState.COMPLETE and 4 < docked.value < 14 and docked.noise_std >= 0.05
    assert refused.state is TrialState.INFEASIBLE and refused.value is None
    reward.oracle.close()
