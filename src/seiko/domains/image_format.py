"""One size and mode of images: tensors to PIL images and back, PNG bytes, identity, and folders of files."""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from seiko.checkpoints import write_atomically
from seiko.errors import MissingDependencyError, ParameterError, ShapeError

if TYPE_CHECKING:
    from PIL.Image import Image

PROMPT = "prompt"
"""Under this name an image carries its prompt, in memory (``image.info``) and in a PNG's text."""

CHANNELS: Mapping[str, int] = {"RGB": 3, "L": 1}


def pillow(name: str = "PIL.Image") -> Any:
    """A module of Pillow, imported when it is first needed; MissingDependencyError where it cannot be."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"Images need the package pillow, but {name} cannot be imported.",
            hint="Install seiko with the extra `images`: pip install 'seiko[images]'.",
        ) from error


@dataclass(frozen=True)
class ImageFormat:
    """Size and mode of all images of a domain, and the way between tensors and images.

    Attributes:
        width: In pixels.
        height: In pixels.
        mode: "RGB", or "L" for grey.

    Raises:
        ParameterError: If a size is below 1 or the mode is unknown.

    Example:
        >>> form = ImageFormat(2, 1, mode="L")
        >>> form.to_images(torch.tensor([[[[-1.0, 1.0]]]]))[0].tobytes()
        b'\\x00\\xff'
    """

    width: int
    height: int
    mode: Literal["RGB", "L"] = "RGB"

    def __post_init__(self) -> None:
        if self.mode not in CHANNELS:
            raise ParameterError(f"`mode` must be one of {sorted(CHANNELS)}; got {self.mode!r}.")
        if self.width < 1 or self.height < 1:
            raise ParameterError(f"An image must have at least one pixel; got {self.width} x {self.height}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return (CHANNELS[self.mode], self.height, self.width)

    def misfit(self, design: object) -> str:
        """Why a thing is no image of this format, in words; empty if it is one."""
        if not isinstance(design, pillow().Image):
            return f"a {type(design).__name__}, not a PIL image"
        if design.mode != self.mode:
            return f"mode {design.mode}, not {self.mode}"
        if design.size != (self.width, self.height):
            return f"size {design.size[0]} x {design.size[1]}, not {self.width} x {self.height}"
        return ""

    def quantised(self, pixels: Tensor) -> Tensor:
        """Pixels in [-1, 1] as the images' own levels in [0, 1], [batch, channel, height, width].

        The values are those of `to_images`; the gradient is that of an identity (straight-through), also
        where a pixel is saturated, so that a reward can bring it back.

        Raises:
            ShapeError: If the shape is not that of a batch of images.
            ParameterError: If a pixel is not finite.
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != self.shape:
            raise ShapeError(f"Pixels must be [batch, {self.shape}]; got {list(pixels.shape)}.")
        if not torch.isfinite(pixels).all():
            raise ParameterError(
                "A decoded image has pixels that are not finite.",
                hint="Half precision overflows in some decoders: use torch.bfloat16 or torch.float32.",
            )
        unit = pixels.float() / 2 + 0.5
        levels = (unit.clamp(0, 1) * 255).round() / 255
        return unit + (levels - unit).detach() if unit.requires_grad else levels.detach()

    def to_images(self, pixels: Tensor, prompts: Sequence[str] | None = None) -> list[Image]:
        """PIL images of pixels in [-1, 1], [batch, channel, height, width], each with its prompt if given."""
        levels = (self.quantised(pixels.detach()) * 255).round().to(torch.uint8).cpu()
        rows = levels.permute(0, 2, 3, 1).numpy()
        images = [pillow().fromarray(row if self.mode == "RGB" else row[..., 0]) for row in rows]
        for image, prompt in zip(images, prompts or (), strict=False):
            image.info[PROMPT] = prompt
        return images

    def to_levels(self, images: Sequence[Image]) -> Tensor:
        """Images as levels in [0, 1], [n, channel, height, width].

        Raises:
            ShapeError: If one is not of this format; names its row.
        """
        for row, image in enumerate(images):
            if reason := self.misfit(image):
                raise ShapeError(
                    f"Image {row} is {reason}.", hint="Convert it with `image.convert` and `image.resize`."
                )
        stacked = np.stack([np.asarray(image) for image in images])
        return torch.from_numpy(stacked).reshape(len(images), *self.shape[1:], -1).permute(0, 3, 1, 2) / 255


def image_key(image: Image) -> str:
    """32 hexadecimal digits of the sha256 of mode, size, prompt and pixels."""
    head = f"{image.mode} {image.size[0]} {image.size[1]} {image.info.get(PROMPT, '')}\n"
    return hashlib.sha256(head.encode() + image.tobytes()).hexdigest()[:32]


def to_png(image: Image) -> bytes:
    """A PNG file of the pixels and the prompt; nothing else that the image carries.

    Raises:
        ShapeError: If it is no PIL image, or of a mode that a PNG file cannot have.
    """
    if not isinstance(image, pillow().Image):
        raise ShapeError(f"An image design must be a PIL image; got {type(image).__name__}.")
    text = pillow("PIL.PngImagePlugin").PngInfo()
    if PROMPT in image.info:
        text.add_itxt(PROMPT, image.info[PROMPT])
    buffer = io.BytesIO()
    try:
        image.save(buffer, format="PNG", pnginfo=text)
    except OSError as error:
        raise ShapeError(
            f"An image of mode {image.mode} cannot be a PNG file: {error}.",
            hint='Convert it: image.convert("RGB").',
        ) from error
    return buffer.getvalue()


def from_png(content: bytes, source: str = "The image") -> Image:
    """The inverse of `to_png`.

    Raises:
        ParameterError: If the bytes are not a whole image file.
    """
    try:
        image = pillow().open(io.BytesIO(content))
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ParameterError(
            f"{source} cannot be read ({len(content)} bytes): {error}.", hint="Is it a whole PNG file?"
        ) from error
    plain = pillow().frombytes(image.mode, image.size, image.tobytes())
    if PROMPT in image.info:
        plain.info[PROMPT] = str(image.info[PROMPT])
    return plain


def draw_image(image: Image, *, least: int = 128) -> str:
    """An ``<img>`` element that holds the picture; a small one is shown `least` pixels wide, unsmoothed."""
    content = base64.b64encode(to_png(image)).decode()
    factor = max(1, -(-least // image.size[0]))
    width, height = (factor * length for length in image.size)
    title = html.escape(image.info.get(PROMPT, "image"), quote=True)
    style = ' style="image-rendering:pixelated"' if factor > 1 else ""
    return (
        f'<img src="data:image/png;base64,{content}" width="{width}" height="{height}" alt="{title}"{style}>'
    )


def save_images(folder: Path | str, images: Sequence[Image]) -> list[Path]:
    """Write images as PNG files ``00000-<first digits of the key>.png`` in order.

    Returns:
        The files.
    """
    paths = [Path(folder) / f"{row:05d}-{image_key(image)[:8]}.png" for row, image in enumerate(images)]
    for path, image in zip(paths, images, strict=True):
        write_atomically(path, to_png(image))
    return paths


def contact_sheet(images: Sequence[Image], columns: int = 12, factor: int = 2) -> Image:
    """Images of one size side by side, row by row, enlarged by whole pixels.

    Raises:
        ParameterError: If there is no image.

    Example:
        >>> from PIL import Image
        >>> contact_sheet([Image.new("RGB", (32, 32))] * 5, columns=3).size
        (192, 128)
    """
    if not images:
        raise ParameterError("A contact sheet needs at least one image; got none.")
    width, height = images[0].size
    sheet = pillow().new(images[0].mode, (columns * width, -(-len(images) // columns) * height), "white")
    for place, image in enumerate(images):
        sheet.paste(image, (place % columns * width, place // columns * height))
    return sheet.resize((sheet.width * factor, sheet.height * factor), 0)


def load_images(folder: Path | str, form: ImageFormat | None = None) -> list[Image]:
    """The PNG files of a folder in the order of their names.

    Args:
        folder: Where they are.
        form: If given, what all of them must be.

    Raises:
        ParameterError: If there is no PNG file, or one cannot be read; names it.
        ShapeError: If one is of another size or mode; names it.
    """
    paths = sorted(Path(folder).glob("*.png"))
    if not paths:
        raise ParameterError(f"There are no PNG files in {folder}.", hint="Check the path.")
    images = [from_png(path.read_bytes(), str(path)) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if form is not None and (reason := form.misfit(image)):
            raise ShapeError(f"{path} is {reason}.", hint="Convert it, or leave it out.")
    return images
