"""Rewards of images that need no network: plain functions of one PIL image; larger is better."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from seiko.domains.image_format import pillow
from seiko.errors import ParameterError

if TYPE_CHECKING:
    from PIL.Image import Image


def _checked(image: Any) -> Any:
    if not isinstance(image, pillow().Image):
        raise ParameterError(f"A reward of images needs a PIL image; got {type(image).__name__}.")
    return image


def _colours(image: Any) -> np.ndarray:
    """Red, green and blue in 0 ... 255, [3, pixels]."""
    return np.asarray(_checked(image).convert("RGB"), dtype=np.float64).reshape(-1, 3).T


def jpeg_size(image: Image, *, quality: int = 95) -> float:
    """Size of the image as a JPEG file, in thousands of bytes: incompressibility, in DDPO's sense.

    Black et al. 2023 (arXiv:2305.13301), section 5.1, measure it at quality 95. For compressibility take
    `jpeg_compressibility`, its negative.

    Args:
        image: The image.
        quality: 1 to 100.

    Raises:
        ParameterError: If it is no image or the quality is out of range.

    Example:
        >>> from PIL import Image
        >>> jpeg_size(Image.new("RGB", (32, 32))) < 1
        True
    """
    if not 1 <= quality <= 100:
        raise ParameterError(f"`quality` must be an integer from 1 to 100; got {quality!r}.")
    buffer = io.BytesIO()
    _checked(image).convert("RGB").save(buffer, format="JPEG", quality=quality)
    return len(buffer.getvalue()) / 1000


def jpeg_compressibility(image: Image, *, quality: int = 95) -> float:
    """Minus `jpeg_size`: smooth images score high, in thousands of bytes."""
    return -jpeg_size(image, quality=quality)


def colourfulness(image: Image) -> float:
    """How colourful people find an image: Hasler & Süsstrunk 2003, "Measuring colourfulness", section 7.

    With ``rg = R - G`` and ``yb = (R + G) / 2 - B`` over all pixels, in 0 ... 255,

    ``sqrt(std(rg)^2 + std(yb)^2) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2)``.

    0 is grey; the authors call 15 slightly, 45 averagely, 82 highly and 109 extremely colourful.

    Example:
        >>> from PIL import Image
        >>> colourfulness(Image.new("L", (4, 4), 90)), colourfulness(Image.new("RGB", (4, 4), (255, 255, 0)))
        (0.0, 76.5)
    """
    red, green, blue = _colours(image)
    opponents = np.stack([red - green, 0.5 * (red + green) - blue])
    spread = float(np.sqrt(np.square(opponents.std(1)).sum()))
    return spread + 0.3 * float(np.sqrt(np.square(opponents.mean(1)).sum()))


def contrast(image: Image) -> float:
    """Root-mean-square contrast: the standard deviation of luma, in [0, 0.5] (Peli 1990, Eq. 2).

    Luma is ``0.299 R + 0.587 G + 0.114 B`` (ITU-R BT.601) in [0, 1].
    """
    red, green, blue = _colours(image)
    return float((0.299 * red + 0.587 * green + 0.114 * blue).std() / 255)


def brightness(image: Image) -> float:
    """Mean luma in [0, 1]."""
    red, green, blue = _colours(image)
    return float((0.299 * red + 0.587 * green + 0.114 * blue).mean() / 255)


REWARDS: Mapping[str, Callable[[Any], float]] = MappingProxyType(
    {
        "jpeg_incompressibility": jpeg_size,
        "jpeg_compressibility": jpeg_compressibility,
        "colourfulness": colourfulness,
        "contrast": contrast,
        "brightness": brightness,
    }
)
"""Rewards by name; larger is better."""
