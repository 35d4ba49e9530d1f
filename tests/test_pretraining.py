from __future__ import annotations

import itertools
import json

import pytest
import torch

from chain_families import FAMILIES, generator, seeded
from seiko.chains import DiffusionChain, Masked, one_hot
from seiko.checkpoints import read_tensors, tensors_to_bytes
from seiko.errors import ParameterError, WeightsError
from seiko.networks import SequenceMLP
from seiko.pretraining import Pretraining, pretrain

ALL = torch.tensor(list(itertools.product(range(4), repeat=3)))  # [64, 3]
LAW = torch.randn(64, generator=generator(5)).mul(1.5).softmax(0)


def _chain(seed: int = 0, width: int = 32) -> DiffusionChain:
    make = lambda: DiffusionChain(SequenceMLP(3, 5, outputs=4, width=width, num_layers=1), Masked(3, 4))  # noqa: E731
    return seeded(make, seed).float()


def _data(rows: int = 4000) -> torch.Tensor:
    return ALL[torch.multinomial(LAW, rows, True, generator=generator())]


def _prepare(kinds: torch.Tensor) -> torch.Tensor:
    return one_hot(kinds, 4)


def _exact_bound(chain: DiffusionChain) -> float:
    """The evidence bound under `LAW`, in nats, over every set of masked positions."""
    total, data = 0.0, one_hot(ALL, 4)
    for step in range(3):
        sets = list(itertools.combinations(range(3), 3 - step))
        for masked in sets:
            state = torch.nn.functional.pad(data, (0, 1)).clone()
            state[:, list(masked)] = torch.tensor([0, 0, 0, 0, 1.0])
            steps = torch.full((64,), step)
            with torch.no_grad():
                prediction = chain.network(state, chain.process.time(steps, state), None)
            total += float((LAW * chain.process.loss(prediction, data, state, steps)).sum()) / len(sets) / 3
    return total


def test_a_small_law_is_learned_until_the_bound_is_its_entropy():
    chain = _chain(width=64)
    before = _exact_bound(chain)
    settings = Pretraining(700, batch_size=256, learning_rate=5e-3, warmup=50, ema_decay=0.99)
    report = pretrain(chain, _data(20000), settings, prepare=_prepare)
    entropy = -float((LAW * LAW.log()).sum())
    after = _exact_bound(chain)
    assert before > entropy + 0.3
    assert entropy - 1e-4 < after < entropy + 0.04
    assert abs(report["loss"] - entropy) < 0.15
    assert report["iterations"] == 700 and report["seconds"] > 0


SHORT = Pretraining(30, batch_size=16, warmup=5, ema_decay=0.9, checkpoint_every=10, seed=3)


def _weights(chain):
    return torch.cat([p.detach().flatten() for p in chain.parameters()])


class _Killed(Exception):
    pass


@pytest.mark.parametrize("name", ["between", "at a checkpoint"])
def test_a_killed_run_goes_on_to_the_bit(tmp_path, name):
    path = tmp_path / "run.safetensors"
    whole, broken = _chain(), _chain()
    pretrain(whole, _data(), SHORT, prepare=_prepare)
    calls = 0

    def kill_in_prepare(rows):
        nonlocal calls
        calls += 1
        if name == "between" and calls == 17:
            raise _Killed
        return _prepare(rows)

    def kill_at_checkpoint(iteration, loss):
        if name == "at a checkpoint" and iteration == 20:
            raise _Killed

    with pytest.raises(_Killed):
        pretrain(
            broken, _data(), SHORT, prepare=kill_in_prepare, checkpoint=path, on_checkpoint=kill_at_checkpoint
        )
    resumed, seen = _chain(seed=8), []
    pretrain(
        resumed, _data(), SHORT, prepare=_prepare, checkpoint=path, on_checkpoint=lambda i, _: seen.append(i)
    )
    assert torch.equal(_weights(whole), _weights(resumed))
    assert seen == ([20, 30] if name == "between" else [30])


def test_a_finished_run_is_not_run_again(tmp_path):
    path = tmp_path / "run.safetensors"
    first, second = _chain(), _chain(seed=8)
    report = pretrain(first, _data(), SHORT, prepare=_prepare, checkpoint=path)

    def fail(rows):
        raise AssertionError("drew data")

    again = pretrain(second, _data(), SHORT, prepare=fail, checkpoint=path)
    assert torch.equal(_weights(first), _weights(second)) and again["loss"] == report["loss"]


def test_the_run_returns_the_moving_average(tmp_path):
    path = tmp_path / "run.safetensors"
    chain = _chain()
    pretrain(chain, _data(), SHORT, prepare=_prepare, checkpoint=path)
    tensors, _ = read_tensors(path)
    for name, parameter in chain.named_parameters():
        assert torch.equal(parameter.detach(), tensors[f"average/{name}"])
    assert not torch.equal(
        _weights(chain), torch.cat([tensors[f"weights/{n}"].flatten() for n, _ in chain.named_parameters()])
    )


def test_without_averaging_the_average_is_the_last_weight(tmp_path):
    path = tmp_path / "run.safetensors"
    chain = _chain()
    settings = Pretraining(5, batch_size=8, ema_decay=0.0)
    pretrain(chain, _data(), settings, prepare=_prepare, checkpoint=path)
    tensors, _ = read_tensors(path)
    for name, parameter in chain.named_parameters():
        torch.testing.assert_close(parameter.detach(), tensors[f"weights/{name}"])


def test_the_global_generator_is_untouched_and_the_seed_decides():
    before = torch.get_rng_state()
    runs = []
    for seed in (3, 3, 4):
        torch.randn(1 + seed)
        chain = _chain()
        state = torch.get_rng_state()
        pretrain(chain, _data(), Pretraining(5, batch_size=8, seed=seed), prepare=_prepare)
        assert torch.equal(state, torch.get_rng_state())
        runs.append(_weights(chain))
    torch.set_rng_state(before)
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_frozen_parameters_stay():
    chain = _chain()
    chain.network.into.requires_grad_(False)
    before = chain.network.into.weight.clone()
    pretrain(chain, _data(), Pretraining(5, batch_size=8), prepare=_prepare)
    assert torch.equal(before, chain.network.into.weight)


def test_joint_data_are_drawn_row_by_row():
    chain = FAMILIES["mixed"](1).float()
    data = {"types": torch.randint(2, (9, 3), generator=generator()), "positions": torch.zeros(9, 3, 2)}
    seen = []

    def prepare(rows):
        seen.append(len(rows["types"]))
        return {"types": one_hot(rows["types"], 2), "positions": rows["positions"]}

    pretrain(chain, data, Pretraining(2, batch_size=5), prepare=prepare)
    assert seen == [5, 5]


# ----------------------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    pretrain(_chain(), _data(), SHORT, prepare=_prepare, checkpoint=path)
    return path


def _resume(path, chain=None, settings=SHORT):
    return pretrain(chain or _chain(), _data(), settings, prepare=_prepare, checkpoint=path)


def test_a_run_may_go_on_on_another_kind_of_device(tmp_path):
    """Its generator has a state of another length: the draws are others, the weights go on."""
    path, seen = tmp_path / "run.safetensors", []
    halfway = {}

    def keep(iteration, loss):
        halfway.setdefault(iteration, path.read_bytes())

    pretrain(_chain(), _data(), SHORT, prepare=_prepare, checkpoint=path, on_checkpoint=keep)
    path.write_bytes(halfway[20])
    tensors, metadata = read_tensors(path)
    path.write_bytes(tensors_to_bytes(tensors | {"generator": torch.zeros(16, dtype=torch.uint8)}, metadata))
    pretrain(
        _chain(), _data(), SHORT, prepare=_prepare, checkpoint=path, on_checkpoint=lambda i, _: seen.append(i)
    )
    assert seen == [30]
    after = read_tensors(path)[0]
    far = [
        float((after[name] - tensors[name]).abs().max()) for name in tensors if name.startswith("weights/")
    ]
    assert 0 < max(far) < 10 * 10 * SHORT.learning_rate  # ten small steps, not a new start


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_checkpoint_is_named(checkpoint, damage):
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 4
    spoilt = {"cut": content[:-5], "flipped": content, "empty": b"", "text": b"not weights"}[damage]
    checkpoint.write_bytes(bytes(spoilt))
    with pytest.raises(WeightsError, match=r"run\.safetensors"):
        _resume(checkpoint)


def test_a_checkpoint_of_other_settings_is_refused(checkpoint):
    with pytest.raises(WeightsError, match="other settings"):
        _resume(checkpoint, settings=Pretraining(31, batch_size=16))


@pytest.mark.parametrize("width", [16, 64])
def test_a_checkpoint_of_another_network_is_refused(checkpoint, width):
    with pytest.raises(WeightsError, match=r"run\.safetensors does not belong"):
        _resume(checkpoint, chain=_chain(width=width))


@pytest.mark.parametrize("lost", ["generator", "average/network.into.bias", "adam/step/network.into.bias"])
def test_an_incomplete_checkpoint_is_refused(checkpoint, lost):
    tensors, metadata = read_tensors(checkpoint)
    del tensors[lost]
    checkpoint.write_bytes(tensors_to_bytes(tensors, metadata))
    with pytest.raises(WeightsError, match=r"run\.safetensors does not hold"):
        _resume(checkpoint)


def test_weights_of_some_other_origin_are_no_checkpoint(checkpoint):
    checkpoint.write_bytes(tensors_to_bytes(_chain().state_dict()))
    with pytest.raises(WeightsError, match=r"run\.safetensors"):
        _resume(checkpoint)


def test_checkpoint_metadata_is_plain_json(checkpoint):
    _, metadata = read_tensors(checkpoint)
    assert metadata["iteration"] == 30
    assert json.loads(json.dumps(metadata["settings"]))["num_iterations"] == 30


@pytest.mark.parametrize(
    "bad",
    [
        {"num_iterations": 0},
        {"batch_size": 0},
        {"checkpoint_every": 0},
        {"learning_rate": 0.0},
        {"ema_decay": 1.0},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        Pretraining(**{"num_iterations": 5} | bad)


def test_the_learning_rate_warms_up_and_falls_to_a_hundredth():
    settings = Pretraining(100, learning_rate=1.0, warmup=10)
    rates = [settings.rate(i) for i in range(100)]
    assert rates[0] == 0.1 and max(rates) == rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True) and abs(settings.rate(100) - 0.01) < 1e-12
