"""Low-rank adapters by PEFT: one base network in memory, and small trained weights beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_bytes
from torch import nn

from seiko.checkpoints import read_tensors, write_atomically
from seiko.errors import MissingDependencyError, ParameterError, WeightsError

FILE_NAME = "pytorch_lora_weights.safetensors"
"""Where diffusers looks for an adapter in a folder."""


@dataclass(frozen=True)
class LoRA:
    """The settings of an adapter: every target layer W becomes ``W + alpha / rank * up @ down``.

    Hu et al. 2021, Eq. 3; `up` starts at 0, so the first law is the base's own.

    Attributes:
        rank: Inner dimension of the product.
        alpha: Numerator of the scale; None is `rank`, a scale of 1.
        targets: Ends of the names of the layers that get one: linear layers or convolutions.
        seed: Of the first weights.
    """

    rank: int = 8
    alpha: float | None = None
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise ParameterError(f"`rank` of LoRA must be an integer >= 1; got {self.rank!r}.")
        if not self.targets:
            raise ParameterError("`targets` of LoRA must name at least one layer; got none.")


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise MissingDependencyError(
            "LoRA needs the package peft, which cannot be imported.",
            hint="Install seiko with the extra `images`: pip install 'seiko[images]'.",
        ) from error
    return peft


def add_lora(model: nn.Module, lora: LoRA) -> nn.Module:
    """Freeze `model` and give it a trainable adapter, in place; its law does not change yet.

    A fork of a chain then shares the base's tensors and copies only the adapter, so the pre-trained, the
    previous and the current chain are three adapters on one base. The adapter is in single precision,
    whatever the base's.

    Args:
        model: A denoiser of diffusers, or any module.
        lora: The settings.

    Returns:
        The same module.

    Raises:
        ParameterError: If no layer has a target's name, or the model has an adapter already.
    """
    peft = _peft()
    if adapter_names(model):
        raise ParameterError(
            f"{type(model).__name__} has the adapter {adapter_names(model)[0]!r} already.",
            hint="Train that one, or start from a model without: `model.unload_lora()` of diffusers.",
        )
    model.requires_grad_(False)
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.rank if lora.alpha is None else lora.alpha,
        target_modules=list(lora.targets),
    )
    with torch.random.fork_rng():
        torch.manual_seed(lora.seed)
        try:
            peft.inject_adapter_in_model(config, model, "default")
        except ValueError as error:
            raise ParameterError(
                f"No layer of {type(model).__name__} can take the LoRA `targets` {lora.targets}: {error}",
                hint='A network without attention needs others, such as targets=("conv1", "conv2").',
            ) from error
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)
    if hasattr(type(model), "load_lora_adapter"):
        model._hf_peft_config_loaded = True  # type: ignore[assignment]
    return model


def adapter_names(model: nn.Module) -> list[str]:
    """The adapters that a model carries."""
    return sorted(getattr(model, "peft_config", {}))


def find_model(module: nn.Module) -> nn.Module:
    """The part of a chain or network that carries an adapter, or `module` itself if none does."""
    return next((part for part in module.modules() if adapter_names(part)), module)


def save_lora(module: nn.Module, folder: Path | str, *, component: str = "unet") -> Path:
    """Write a chain's adapter in the format of diffusers; a crash leaves the old file.

    A stock pipeline reads it with ``pipeline.load_lora_weights(folder)``.

    Args:
        module: A chain, network or denoiser with an adapter.
        folder: Where to write ``pytorch_lora_weights.safetensors``.
        component: The pipeline's part that it belongs to: "unet" or "transformer".

    Returns:
        The file.

    Raises:
        WeightsError: If there is no adapter.
    """
    peft, model = _peft(), find_model(module)
    if not adapter_names(model):
        raise WeightsError(
            f"{type(module).__name__} has no adapter to save.",
            hint="Load the pipeline with `train=LoRA()`; a full fine-tuning is saved by `save_pretrained`.",
        )
    name = adapter_names(model)[0]
    tensors = peft.get_peft_model_state_dict(model, adapter_name=name)
    plain = {f"{component}.{key}": t.detach().contiguous().cpu().clone() for key, t in tensors.items()}
    peft_config: Any = model.peft_config
    config = {k: sorted(v) if isinstance(v, set) else v for k, v in peft_config[name].to_dict().items()}
    described = {f"{component}.{key}": value for key, value in config.items()}
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(described, sort_keys=True, default=str)}
    path = Path(folder) / FILE_NAME
    write_atomically(path, save_bytes(plain, metadata=metadata))
    return path


def load_lora(module: nn.Module, folder: Path | str, *, component: str = "unet") -> None:
    """Put a saved adapter into a chain that has one of the same settings, in place.

    Raises:
        WeightsError: If the file is missing or corrupt, or belongs to an adapter of other settings.
    """
    peft, model = _peft(), find_model(module)
    path = Path(folder) / FILE_NAME
    tensors, _ = read_tensors(path)
    own = peft.get_peft_model_state_dict(model) if adapter_names(model) else {}
    given = {name.removeprefix(f"{component}."): tensor for name, tensor in tensors.items()}
    shapes, wanted = ({n: list(t.shape) for n, t in d.items()} for d in (given, own))
    if shapes != wanted:
        different = sorted(shapes.keys() ^ wanted.keys()) or [n for n in wanted if shapes[n] != wanted[n]]
        raise WeightsError(
            f"The adapter {path} does not belong to this network: {different[:2]} differ.",
            hint="Use the rank and targets that it was trained with.",
        )
    peft.set_peft_model_state_dict(model, given, adapter_name=adapter_names(model)[0])
