"""Work cut into shares and spread over processes: the same outcome, and each query asked once."""

from __future__ import annotations

import doctest
import json
import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed (extra `images`)")
pytest.importorskip("PIL", reason="pillow is not installed (extra `images`)")

from launched_campaign import proposer, run_campaign, world  # noqa: E402
from seiko import Campaign, Observation, parallel, shares  # noqa: E402
from seiko.chain import fork, rollout  # noqa: E402
from seiko.checkpoints import tensors_from_bytes  # noqa: E402
from seiko.errors import CampaignError, ObservationError, ParameterError  # noqa: E402
from seiko.proposers.online import WEIGHTS  # noqa: E402
from seiko.proposers.sampling import draw_designs  # noqa: E402
from seiko.shares import Team, working  # noqa: E402
from seiko.updaters import fewer_steps  # noqa: E402
from seiko.updaters.training import Descent  # noqa: E402

HERE = Path(__file__).parent


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def alone(**options):
    """What stands for an accelerator of one process."""
    given = {"num_processes": 1, "process_index": 0, "mixed_precision": "no", "autocast": nullcontext}
    return SimpleNamespace(**(given | options))


def test_shares_are_nearly_equal_and_none_is_empty():
    assert Team(shares=4).sizes(10) == [3, 3, 2, 2]
    assert Team(shares=4).sizes(2) == [1, 1]
    assert sum(Team(shares=7).sizes(100)) == 100


def test_one_share_is_the_work_itself_with_the_same_random_numbers():
    chain, domain = world()
    plain = draw_designs(chain, domain, 5, generator())
    with working(Team(1, alone())):
        assert [d.tobytes() for d in draw_designs(chain, domain, 5, generator())] == [
            d.tobytes() for d in plain
        ]


def test_each_share_has_its_own_random_numbers_and_the_common_ones_go_on():
    common, jobs = generator(), Team(shares=3).jobs(6, generator())
    Team(shares=3).jobs(6, common)
    drawn = [torch.rand(4, generator=own) for _, own in jobs]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(torch.rand(4, generator=common), torch.rand(4, generator=generator()))


def test_processes_divide_the_shares_among_them():
    owned = [[i for i, _ in Team(5, alone(num_processes=2, process_index=r)).own("abcde")] for r in (0, 1)]
    assert owned == [[0, 2, 4], [1, 3]]


def test_gradients_of_shares_add_up_to_that_of_the_whole_batch():
    chain, _ = world()
    states = torch.randn(7, 48, generator=generator())

    def weights_after(team):
        student = fork(chain)
        descent = Descent(student, learning_rate=0.1, num_iterations=3, clip_norm=1.0)
        loss = lambda rows, _: student.transition(states[rows], 1).mean.square().sum(1).mean()  # noqa: E731
        with working(team):
            value = descent.step(7, loss, generator())
        return value, descent.norm, torch.cat([p.flatten() for p in student.parameters()])

    whole, cut = weights_after(Team(1)), weights_after(Team(3))
    assert whole[0] == pytest.approx(cut[0], rel=1e-5)
    assert whole[1] == pytest.approx(cut[1], rel=1e-5)
    # Adam's first step is the gradient's sign: weights whose gradient is 0 but for rounding may differ
    assert float(((whole[2] - cut[2]).abs() < 1e-3).float().mean()) > 0.99


@pytest.fixture
def fresh_accelerate():
    """No state of an accelerator that something else made in this process, and none left behind."""
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    yield
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("fresh_accelerate")
def test_mixed_precision_is_for_networks_and_states_stay_single():
    chain, _ = world()
    seen = []
    chain.network.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    state = torch.randn(5, 48, generator=generator())
    exact = chain.transition(state, 3)
    with working(Team(1, accelerate.Accelerator(cpu=True, mixed_precision="bf16"))):
        law = chain.transition(state, 3)
        steps = list(rollout(chain, 3, generator=generator()))
    assert seen[0] == torch.float32 and set(seen[1:]) == {torch.bfloat16}
    assert law.mean.dtype == torch.float32
    assert all(step.next_state.dtype == torch.float32 for step in steps)
    assert 0 < (law.mean - exact.mean).abs().max() < 0.02
    with pytest.raises(ParameterError, match="bf16"):
        Team(1, alone(mixed_precision="fp16"))
    with pytest.raises(ParameterError, match="`shares` must be an integer >= 1; got 0"):
        Team(0)


def test_a_feedback_that_leaves_designs_out_is_refused_and_they_stay_awaited(tmp_path):
    class Short:
        def evaluate(self, designs):
            return [Observation(1.0) for _ in designs][1:]

    chain, domain = world()

    def make(shared):
        return Campaign.create(tmp_path / "run", domain=domain, proposer=shared, budget=4, num_queries=4)

    arguments = (make, proposer(chain, domain), Short())
    with pytest.raises(ObservationError, match="3 observations for 4 designs"):
        parallel.run(*arguments, accelerator=alone())
    again = Campaign.open(tmp_path / "run", domain=domain, proposer=proposer(chain, domain))
    assert len(again.history.open) == 4
    with pytest.raises(ParameterError, match="`block` must be an integer >= 1; got 0"):
        parallel.run(*arguments, accelerator=alone(), block=0)


@pytest.mark.parametrize("module", [shares, fewer_steps])
def test_examples(module):
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _launch(folder, processes=2):
    path = os.pathsep.join([str(HERE), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")])
    launched = subprocess.run(
        [
            sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--mixed_precision", "no",
            "--num_processes", str(processes), "--num_machines", "1", "--dynamo_backend", "no",
            "--main_process_port", str(_free_port()), str(HERE / "launched_campaign.py"), str(folder),
        ],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=500,
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr[-3000:]


def _opened(folder):
    chain, domain = world()
    return Campaign.open(folder / "campaign", domain=domain, proposer=proposer(chain, domain))


def test_two_processes_finish_the_same_campaign_and_split_its_queries(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    report = run_campaign(one, alone())
    _launch(two)
    campaigns = [_opened(folder) for folder in (one, two)]
    keys = [[trial.key for trial in campaign.trials] for campaign in campaigns]

    asked = [(two / f"rank-{rank}.txt").read_text().split() for rank in (0, 1)]
    assert sorted(asked[0] + asked[1]) == sorted(keys[1]) and len(keys[1]) == 20  # each once, none left out
    assert min(map(len, asked)) >= 8

    values = [[trial.value for trial in campaign.trials] for campaign in campaigns]
    assert values[1] == pytest.approx(values[0], abs=1e-3)
    weights = [tensors_from_bytes(c.artifacts[WEIGHTS], source="")[0] for c in campaigns]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-4, rtol=1e-3)
    for rank in (0, 1):
        told = json.loads((two / f"report-{rank}.json").read_text())
        assert told["kl/pretrained_nats"] == pytest.approx(report["kl/pretrained_nats"], rel=1e-3)
        assert "gloo" not in (two / f"threads-{rank}.txt").read_text()


def test_an_error_of_the_campaign_is_raised_and_the_team_is_dismissed(tmp_path):
    run_campaign(tmp_path, alone(), budget=10)
    with pytest.raises(CampaignError):
        run_campaign(tmp_path, alone())
    assert shares.current().accelerator is None
