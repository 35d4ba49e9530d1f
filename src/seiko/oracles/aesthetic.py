"""Rewards of images by learned networks: LAION's aesthetic score, and any classifier's logit."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from seiko.checkpoints import load_weights, read_tensors
from seiko.domains.image_features import CLIPFeatures
from seiko.domains.image_format import pillow
from seiko.errors import MissingDependencyError, ParameterError, WeightsError

if TYPE_CHECKING:
    from PIL.Image import Image

HEAD_SHA256 = "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0"
"""Of the published head ``sac+logos+ava1-l14-linearMSE.pth`` (Schuhmann 2022)."""

HEAD_ON_HUB = ("trl-lib/ddpo-aesthetic-predictor", "aesthetic-model.pth")
"""Repository and file on the hub, where no path is given."""


class AestheticHead(nn.Module):
    """The published head: 768 -> 1024 -> 128 -> 64 -> 16 -> 1, linear layers without non-linearities.

    Schuhmann 2022 (LAION-Aesthetics, "sac+logos+ava1-l14-linearMSE"); its dropout is off. It takes CLIP
    ViT-L/14 embeddings of length 1. As a whole it is one affine map, so a linear surrogate on the *same*
    embedding fits it with 769 readings: give the surrogate other features.

    Shape:
        [n, 768] -> [n].
    """

    def __init__(self, widths: Sequence[int] = (768, 1024, 128, 64, 16, 1)) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.layers = nn.Sequential(*(nn.Linear(into, out) for into, out in pairs))

    def forward(self, embedding: Tensor) -> Tensor:
        if embedding.shape[-1] != self.layers[0].in_features:
            raise ParameterError(
                f"The aesthetic head takes embeddings of {self.layers[0].in_features} numbers; got "
                f"{embedding.shape[-1]}.",
                hint="It belongs to CLIP ViT-L/14 (openai/clip-vit-large-patch14).",
            )
        return self.layers(embedding)[..., 0]


PUBLISHED_NAMES = {0: 0, 2: 1, 4: 2, 6: 3, 7: 4}
"""Positions of the linear layers in the published file, where dropout layers count, and here."""


def load_head(path: Path | str | None = None) -> AestheticHead:
    """The published head, from a file or from the hub.

    Args:
        path: The published ``.pth`` file, or the same tensors as safetensors; None fetches it from the hub.
            A ``.pth`` file must be the published one: no other is opened.

    Raises:
        WeightsError: If the file is missing, cannot be fetched, or is not the published head.
    """
    file = Path(path) if path is not None else _from_hub()
    if file.suffix == ".safetensors":
        tensors, _ = read_tensors(file)
    else:
        tensors = _published(file)
    try:
        named = {
            f"layers.{PUBLISHED_NAMES[int(name.split('.')[1])]}.{name.split('.')[2]}": tensor
            for name, tensor in tensors.items()
        }
    except (KeyError, IndexError, ValueError) as error:
        raise WeightsError(
            f"{file} does not hold the aesthetic head: {sorted(tensors)[:3]}.", hint="Check the path."
        ) from error
    head = AestheticHead()
    load_weights(head, named, source=str(file))
    return head.eval().requires_grad_(False)


def _from_hub() -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise MissingDependencyError(
            "The hub needs the package huggingface_hub, which cannot be imported.",
            hint="Install seiko with the extra `images`, or give the head's path.",
        ) from error
    try:
        return Path(hf_hub_download(*HEAD_ON_HUB))
    except Exception as error:  # the hub's client raises a dozen kinds, all of them: not there
        raise WeightsError(
            f"The aesthetic head cannot be fetched from the hub ({HEAD_ON_HUB[0]}): {error}",
            hint="Give its path, `head=`, or fetch it once where there is a network.",
        ) from error


def _published(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise WeightsError(f"There is no file {file}.", hint="Give the path of the published head.")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != HEAD_SHA256:
        raise WeightsError(
            f"{file} is not the published head: its sha256 is {digest}, not {HEAD_SHA256}.",
            hint="For another head, save its tensors as safetensors.",
        )
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError) as error:
        raise WeightsError(f"{file} cannot be read: {error}.", hint="Fetch it again.") from error


def levels_of(images: Sequence[Image]) -> Tensor:
    """Images of one size as levels in [0, 1], [n, 3, height, width]."""
    for image in images:
        if not isinstance(image, pillow().Image):
            raise ParameterError(f"A reward of images needs PIL images; got {type(image).__name__}.")
    rows = [np.asarray(image.convert("RGB"), dtype=np.float32) for image in images]
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2) / 255


class AestheticScore:
    """LAION's aesthetic score of images, about 1 to 10: CLIP ViT-L/14 and the published head.

    A batched reward: ``CallableFeedback(AestheticScore(), batched=True)``.

    Args:
        clip: CLIP's embedding, or where its weights are: a folder or a name on the hub.
        head: A head, or the path of its file; None fetches the published one.
        device: Where to compute.
        rows_at_once: Images scored at once.

    Raises:
        WeightsError: If weights cannot be had.
    """

    def __init__(
        self,
        clip: CLIPFeatures | str | Path = "openai/clip-vit-large-patch14",
        *,
        head: nn.Module | Path | str | None = None,
        device: str | torch.device = "cpu",
        rows_at_once: int = 32,
    ) -> None:
        self.head = (head if isinstance(head, nn.Module) else load_head(head)).to(device)
        self.clip = (clip if isinstance(clip, CLIPFeatures) else CLIPFeatures(clip)).to(device)
        self.device, self.rows_at_once = device, rows_at_once

    @torch.no_grad()
    def __call__(self, images: Sequence[Image]) -> list[float]:
        scores = []
        for start in range(0, len(images), self.rows_at_once):
            levels = levels_of(images[start : start + self.rows_at_once]).to(self.device)
            scores += self.head(self.clip(levels)).tolist()
        return scores


class ClassifierLogit:
    """One class's logit of any image classifier, or its log-odds against the rest; a batched reward.

    Args:
        network: ``prepared pictures [n, ...] -> logits [n, classes]``, or an object with ``logits``, as
            transformers' classifiers give.
        label: The class's number.
        prepare: ``levels in [0, 1], [n, 3, height, width] -> what the network takes``, such as
            `VisionFeatures.prepared`.
        log_odds: Give ``log p / (1 - p)`` of the softmax, which a network cannot raise by raising all logits.

    Raises:
        ParameterError: If there is no such class.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Any],
        label: int,
        *,
        prepare: Callable[[Tensor], Tensor] = lambda levels: 2 * levels - 1,
        log_odds: bool = False,
    ) -> None:
        self.network, self.label, self.prepare, self.log_odds = network, label, prepare, log_odds
        if isinstance(network, nn.Module):
            network.eval()

    @torch.no_grad()
    def __call__(self, images: Sequence[Image]) -> list[float]:
        output = self.network(self.prepare(levels_of(images)))
        logits = (output if isinstance(output, Tensor) else output.logits).double()
        if not 0 <= self.label < logits.shape[1]:
            raise ParameterError(
                f"`label` must be from 0 to {logits.shape[1] - 1}, the classes of the network; got "
                f"{self.label!r}."
            )
        chosen = logits[:, self.label]
        if self.log_odds:
            rest = logits.index_fill(1, torch.tensor([self.label]), -torch.inf).logsumexp(1)
            return (chosen - rest).tolist()
        return chosen.tolist()
