"""Weights in and out: safetensors and JSON only, always checked; a crash leaves the old file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor, nn

from seiko.errors import WeightsError


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all: temporary file, flush to disk, rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def tensors_to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> bytes:
    """Named tensors as a safetensors file, with a JSON object and a digest of everything in its header."""
    plain = {name: tensor.detach().contiguous().cpu().clone() for name, tensor in tensors.items()}
    given = json.loads(json.dumps(metadata or {}, allow_nan=False))  # as it will be read again
    sealed = given | {_DIGEST: _digest(plain, given)}
    return save_bytes(plain, metadata={"json": json.dumps(sealed, allow_nan=False)})


_DIGEST = "sha256"  # safetensors has no checksum of its own: a flipped bit would be another weight


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    """sha256 of names, kinds, shapes, values and metadata."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True, allow_nan=False).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def tensors_from_bytes(content: bytes, source: str = "weights") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `tensors_to_bytes`.

    Args:
        content: A safetensors file; one that was made elsewhere has no digest and is checked for form only.
        source: What to call it in errors.

    Raises:
        WeightsError: If the bytes are not a whole safetensors file, or not what was written.
    """
    try:
        tensors = load_bytes(content)
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        metadata = dict(json.loads((header.get("__metadata__") or {}).get("json", "{}")))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{source} is not a whole safetensors file ({len(content)} bytes): {error}.",
            hint="Restore it from a copy, or make it again.",
        ) from error
    recorded = metadata.pop(_DIGEST, None)
    if recorded is not None and recorded != _digest(tensors, metadata):
        raise WeightsError(
            f"{source} is damaged: its values are not those that were written ({len(content)} bytes).",
            hint="Restore it from a copy, or make it again.",
        )
    return tensors, metadata


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Named tensors and metadata of a safetensors file.

    Raises:
        WeightsError: If the file is missing or corrupt.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"There is no weight file {path}.", hint="Check the path or the installation.")
    return tensors_from_bytes(path.read_bytes(), source=str(path))


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], source: str = "weights") -> None:
    """Put `tensors` into `network`, in place; every name and shape must fit.

    Raises:
        WeightsError: Naming the first misfit: the file belongs to another network.
    """
    own = network.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    wrong = [
        f"`{name}` is {list(tensors[name].shape)}, not {list(own[name].shape)}"
        for name in own.keys() & tensors.keys()
        if own[name].shape != tensors[name].shape
    ]
    if missing or unknown or wrong:
        reason = (wrong or [f"missing {missing[:3]}" if missing else f"unknown {unknown[:3]}"])[0]
        raise WeightsError(
            f"{source} does not belong to this network ({type(network).__name__}): {reason}.",
            hint="Build the network with the sizes it was trained with.",
        )
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise WeightsError(
            f"{source} holds values that are not finite, in `{bad[0]}`.", hint="Restore it from a copy."
        )
    network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in tensors.items()})
