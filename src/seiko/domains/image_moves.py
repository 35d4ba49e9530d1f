"""Random changes of images for genetic algorithms: one image in or two, one image out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


def mutate_image(design: Image, rng: np.random.Generator, *, strength: float = 0.3) -> Image:
    """A copy that is moved by up to a tenth, recoloured channel by channel, or overlaid with smooth noise.

    Args:
        design: An 8-bit image.
        rng: Source of randomness.
        strength: Standard deviation of the noise, and of the factors of the channels, as a share of white.

    Example:
        >>> from PIL import Image
        >>> mutate_image(Image.new("RGB", (8, 8), "red"), np.random.default_rng(0)).size
        (8, 8)
    """
    pixels = np.asarray(design, dtype=np.float64)
    kind = rng.integers(3)
    if kind == 0:
        reach = max(1, round(0.1 * max(design.size)))
        changed = np.roll(pixels, rng.integers(-reach, reach + 1, size=2), axis=(0, 1))
    elif kind == 1:
        changed = pixels * np.exp(rng.normal(0, strength, size=pixels.shape[2:]))
    else:
        coarse = rng.normal(0, 255 * strength, size=(4, 4, *pixels.shape[2:]))
        rows, columns = (np.arange(size) * 4 // size for size in pixels.shape[:2])
        changed = pixels + coarse[rows][:, columns]
    return _image(changed, design)


def crossover_image(a: Image, b: Image, rng: np.random.Generator) -> Image:
    """The first image with a rectangle of the second, of a quarter of the area in the mean.

    Example:
        >>> from PIL import Image
        >>> red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
        >>> len(crossover_image(red, blue, np.random.default_rng(0)).getcolors())
        2
    """
    pixels = np.array(a)
    rows, columns = (slice(*sorted(rng.choice(size + 1, size=2, replace=False))) for size in pixels.shape[:2])
    pixels[rows, columns] = np.asarray(b)[rows, columns]
    return _image(pixels, a)


def _image(pixels: NDArray[Any], like: Image) -> Image:
    from PIL import Image as module

    return module.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8), like.mode)
