"""Small pixel diffusions of the zoo: `icons-32` and `fashion-28`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from seiko.chains import DiffusionChain
from seiko.chains.schedulers import process_from_scheduler
from seiko.domains.base import Domain
from seiko.domains.image import image_domain
from seiko.domains.image_features import ChainFeatures
from seiko.domains.image_format import ImageFormat
from seiko.errors import MissingDependencyError
from seiko.networks.adapters import DiffusersNetwork
from seiko.networks.guidance import ClassifierFreeGuidance

if TYPE_CHECKING:
    from PIL.Image import Image


def folded(levels: Tensor, patch: int) -> Tensor:
    """Levels in [0, 1], [n, channel, height, width], as states: in [-1, 1], squares of pixels as channels."""
    return nn.functional.pixel_unshuffle(2 * levels - 1, patch)


def build(card: Mapping[str, Any], num_steps: int, *, seed: int = 0) -> tuple[DiffusionChain, Domain[Image]]:
    """Chain and domain of a card, with weights that are drawn from `seed` and not trained.

    The domain's features are the channels of the denoiser's first block, averaged over the picture.

    A state is the picture with each ``patch x patch`` square of pixels folded into channels: the same
    diffusion of pixels, on a grid with fewer cells, which a CPU runs several times faster.

    Args:
        card: ``image`` (width, height, mode), ``patch``, ``unet`` and ``scheduler`` (configurations of
            diffusers), and for classes ``class_names`` and ``guidance_scale``.
        num_steps: Sampling steps.
        seed: Of the first weights.

    Raises:
        MissingDependencyError: If diffusers is not installed.
    """
    try:
        from diffusers.models.unets.unet_2d import UNet2DModel
    except ImportError as error:
        raise MissingDependencyError(
            "This chain's network is one of diffusers, which cannot be imported.",
            hint="Install seiko with the extra `images`: pip install 'seiko[images]'.",
        ) from error
    form, patch = ImageFormat(**card["image"]), card["patch"]
    channels = form.shape[0] * patch**2
    shape = (channels, form.height // patch, form.width // patch)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet2DModel(sample_size=shape[1:], in_channels=channels, out_channels=channels, **card["unet"])
    denoiser = DiffusersNetwork(unet)
    network: nn.Module = denoiser
    names = tuple(card.get("class_names", ()))
    no_class = torch.tensor([len(names)]) if names else None
    if no_class is not None:
        network = ClassifierFreeGuidance(network, card["guidance_scale"], no_class)
    features = ChainFeatures(
        denoiser,
        unet.down_blocks[0],
        encode=lambda levels: folded(levels, patch),
        condition=no_class,
    )
    process = process_from_scheduler(card["scheduler"], num_steps, shape)
    domain = image_domain(form, decoder=nn.PixelShuffle(patch), embed=features, prompts=names)
    return DiffusionChain(network, process), domain
