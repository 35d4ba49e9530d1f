from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from seiko import checkpoints
from seiko.checkpoints import (
    load_weights,
    read_tensors,
    tensors_from_bytes,
    tensors_to_bytes,
    write_atomically,
)
from seiko.errors import WeightsError


def _network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))


TENSORS = {
    "single": torch.tensor([[1.5, -2.0], [0.0, 1e-30]]),
    "double": torch.tensor([torch.pi], dtype=torch.float64),
    "half": torch.tensor([0.5, 3.0], dtype=torch.bfloat16),
    "scalar": torch.tensor(3.0),
    "empty": torch.zeros(0, 2),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "flags": torch.tensor([True, False]),
}
METADATA = {"iteration": 3, "loss": 0.1, "settings": {"rate": 1e-3, "names": ["a", "b"]}, "none": None}
CONTENT = tensors_to_bytes(TENSORS, METADATA)


def test_round_trip_is_exact(tmp_path):
    write_atomically(tmp_path / "deep" / "weights.safetensors", CONTENT)
    tensors, metadata = read_tensors(tmp_path / "deep" / "weights.safetensors")
    assert metadata == METADATA and tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)


def test_the_same_tensors_give_the_same_bytes():
    assert tensors_to_bytes(dict(reversed(TENSORS.items())), METADATA) == CONTENT


def test_views_and_graphs_are_saved_as_plain_values():
    base = torch.arange(6.0).reshape(2, 3).requires_grad_()
    tensors, _ = tensors_from_bytes(tensors_to_bytes({"view": base.T, "again": base.T}))
    assert torch.equal(tensors["view"], base.detach().T) and not tensors["view"].requires_grad


def test_a_file_made_elsewhere_is_read():
    tensors, metadata = tensors_from_bytes(save({"a": torch.ones(2)}))
    assert torch.equal(tensors["a"], torch.ones(2)) and metadata == {}


@pytest.mark.parametrize("length", [0, 1, 8, 100, len(CONTENT) // 2, len(CONTENT) - 1])
def test_a_truncated_file_is_named(tmp_path, length):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(CONTENT[:length])
    with pytest.raises(WeightsError, match=r"cut\.safetensors"):
        read_tensors(path)


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "flipped.safetensors"
    noticed = 0
    for position in range(len(CONTENT)):
        damaged = bytearray(CONTENT)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(bytes(damaged))
        try:
            tensors, metadata = read_tensors(path)
        except WeightsError as error:
            assert "flipped.safetensors" in str(error)
            noticed += 1
        else:  # only the names of the digest and of the metadata can be hit without notice
            assert metadata == {} or {k: v for k, v in metadata.items() if k in METADATA} == METADATA
            assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert noticed > len(CONTENT) - 20


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_file_are_refused(content):
    with pytest.raises(WeightsError):
        tensors_from_bytes(content)


@pytest.mark.parametrize("metadata", [b"[1]", b"3", b"{", b'"text"'])
def test_metadata_that_is_no_object_is_refused(metadata):
    with pytest.raises(WeightsError, match="not a whole"):
        tensors_from_bytes(save({"a": torch.ones(1)}, metadata={"json": metadata.decode()}))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weight file .*nowhere\.safetensors"):
        read_tensors(tmp_path / "nowhere.safetensors")


def test_values_that_json_cannot_hold_are_refused():
    with pytest.raises(ValueError):
        tensors_to_bytes({}, {"loss": float("nan")})


# -------------------------------------------------------------------------------------------- into a network


def test_weights_are_loaded_in_place():
    source, target = _network(), _network()
    with torch.no_grad():
        source[0].weight.add_(1)
    load_weights(target, {name: tensor.double() for name, tensor in source.state_dict().items()})
    assert torch.equal(source[0].weight, target[0].weight) and target[0].weight.dtype == torch.float32


def _spoilt(change: str) -> dict[str, torch.Tensor]:
    tensors = _network().state_dict()
    if change == "missing":
        del tensors["0.bias"]
    elif change == "unknown":
        tensors["2.bias"] = torch.zeros(2)
    elif change == "shape":
        tensors["0.bias"] = torch.zeros(5)
    else:
        tensors["0.bias"] = torch.tensor([1.0, float(change), 0.0, 0.0])
    return tensors


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("missing", r"0\.bias"),
        ("unknown", r"2\.bias"),
        ("shape", r"\[5\], not \[4\]"),
        ("nan", "finite"),
        ("inf", "finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_changes(change, reason):
    network = _network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=reason) as error:
        load_weights(network, _spoilt(change), source="model.safetensors")
    assert "model.safetensors" in str(error.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


# -------------------------------------------------------------------------------------------- atomic writing


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, failing):
    path = tmp_path / "weights"
    write_atomically(path, b"old")

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        if failing == "fsync":
            patch.setattr(checkpoints.os, "fsync", fail)
        else:
            patch.setattr(type(path), "replace", fail)
        with pytest.raises(OSError, match="no space"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["weights"]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["weights"]


def test_metadata_is_what_json_makes_of_it():
    _, metadata = tensors_from_bytes(tensors_to_bytes({}, {"counts": {10: 1, 9: (2, 3)}}))
    assert metadata == {"counts": {"10": 1, "9": [2, 3]}}
