"""Images as designs: states to PIL images and back, PNG bytes, identity, and the domain."""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from seiko.checkpoints import write_atomically
from seiko.domains.base import Domain
from seiko.domains.image_features import PixelFeatures
from seiko.errors import MissingDependencyError, ParameterError, ShapeError
from seiko.typing import Condition

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
        ShapeError: If it is no PIL image.
    """
    if not isinstance(image, pillow().Image):
        raise ShapeError(f"An image design must be a PIL image; got {type(image).__name__}.")
    text = pillow("PIL.PngImagePlugin").PngInfo()
    if PROMPT in image.info:
        text.add_itxt(PROMPT, image.info[PROMPT])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=text)
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


def pixel_diversity(images: Sequence[Image], form: ImageFormat, *, most: int = 500) -> float:
    """Mean over pairs of the root mean squared difference of their pixels, in [0, 1]."""
    return _mean_distance(form.to_levels(_some(images, most)).flatten(1)) if len(images) > 1 else 0.0


def feature_diversity(
    images: Sequence[Image], features: Callable[[Sequence[Image]], Tensor], *, most: int = 500
) -> float:
    """Mean over pairs of ``1 - cos`` of their features, in [0, 2]; 0 for fewer than two images."""
    if len(images) < 2:
        return 0.0
    directions = torch.nn.functional.normalize(features(_some(images, most)).double(), dim=1)
    count = len(directions)
    alike = float((directions @ directions.T).sum()) - count
    return max(0.0, 1.0 - alike / (count * (count - 1)))


def _some(images: Sequence[Image], most: int) -> list[Image]:
    count = min(len(images), most)
    return [images[k * len(images) // count] for k in range(count)]


def _mean_distance(rows: Tensor) -> float:
    return float(torch.pdist(rows.double()).mean()) / rows.shape[1] ** 0.5


def cycled_prompts(num_prompts: int) -> Callable[[int, torch.Generator | None], Tensor]:
    """``(batch_size, generator) -> [batch_size]`` numbers of prompts: all equally often, in random order."""

    def draw(batch_size: int, generator: torch.Generator | None = None) -> Tensor:
        first = torch.randint(num_prompts, (), generator=generator)
        rows = (torch.arange(batch_size) + first) % num_prompts
        return rows[torch.randperm(batch_size, generator=generator)]

    return draw


def image_domain(
    form: ImageFormat,
    *,
    decoder: Callable[[Tensor], Tensor] | None = None,
    embed: Callable[[Tensor], Tensor] | None = None,
    prompts: Sequence[str] = (),
    prompt_features: Literal["shared", "separate"] = "shared",
    soft: bool = True,
    rows_at_once: int = 32,
    name: str = "image",
) -> Domain[Image]:
    """PIL images of one size and mode as designs.

    Metrics, of the valid designs: ``pixel_diversity``, ``feature_diversity`` and ``distinct``.

    Args:
        form: Size and mode.
        decoder: ``state -> pixels`` in [-1, 1], such as `VAEDecoder`; None if states are pixels already.
        embed: ``levels in [0, 1], [n, channel, height, width] -> [n, feature]`` with gradients: see
            `seiko.domains.image_features`. The default is `PixelFeatures`.
        prompts: If given, a state's condition is the number of its prompt, and a design carries the text.
        prompt_features: "shared": one surrogate for all prompts, of the image alone. "separate": features
            have a block for each prompt that is 0 for the others, so prompts share nothing in a linear
            surrogate and little in another.
        soft: Offer `soft_features`, which need gradients through decoder and features.
        rows_at_once: Images embedded at once; it bounds memory.
        name: Of the domain.

    Raises:
        ParameterError: If there are two equal prompts, or `prompt_features` is unknown.

    Example:
        >>> domain = image_domain(ImageFormat(4, 4))
        >>> design = domain.decode(torch.zeros(1, 3, 4, 4), None)[0]
        >>> domain.is_valid(design), domain.why_invalid(design.resize((2, 4)))
        (True, 'size 2 x 4, not 4 x 4')
    """
    if len(set(prompts)) < len(prompts):
        raise ParameterError(f"The prompts must be different; got {list(prompts)}.")
    if prompt_features not in ("shared", "separate"):
        raise ParameterError(f'`prompt_features` must be "shared" or "separate"; got {prompt_features!r}.')
    work = _ImageWork(
        form,
        decoder or _as_it_is,
        embed or PixelFeatures(),
        tuple(prompts),
        prompt_features == "separate" and len(prompts) > 1,
        rows_at_once,
    )
    fits = lambda designs: [d for d in designs if not form.misfit(d)]  # noqa: E731
    given: dict[str, Any] = {"condition": cycled_prompts(len(prompts))} if prompts else {}
    return Domain(
        name=name,
        decode=work.decode,
        features=work.features,
        is_valid=lambda design: not form.misfit(design),
        why_invalid=form.misfit,
        key=image_key,
        to_bytes=to_png,
        from_bytes=from_png,
        render=draw_image,
        media_type="image/png",
        soft_features=work.soft_features if soft else None,
        metrics={
            "pixel_diversity": lambda designs: pixel_diversity(fits(designs), form),
            "feature_diversity": lambda designs: feature_diversity(fits(designs), work.features),
            "distinct": lambda designs: len(set(map(image_key, fits(designs)))) / max(len(designs), 1),
        },
        **given,
    )


def _as_it_is(state: Tensor) -> Tensor:
    return state


@dataclass(frozen=True)
class _ImageWork:
    """Decoding and features of one image domain."""

    form: ImageFormat
    decoder: Callable[[Tensor], Tensor]
    embed: Callable[[Tensor], Tensor]
    prompts: tuple[str, ...]
    separate: bool
    rows_at_once: int

    def decode(self, state: Any, condition: Condition) -> list[Image]:
        numbers = self._numbers(condition)
        texts = None if numbers is None else [self.prompts[number] for number in numbers.tolist()]
        with torch.no_grad():
            return self.form.to_images(self.decoder(state), texts)

    def features(self, images: Sequence[Image]) -> Tensor:
        numbers = torch.tensor([self._number(image) for image in images]) if self.separate else None
        with torch.no_grad():
            return self._by_prompt(self._embedded(self.form.to_levels(images)), numbers)

    def soft_features(self, state: Any, condition: Condition) -> Tensor:
        embedded = self._embedded(self.form.quantised(self.decoder(state)))
        return self._by_prompt(embedded, self._numbers(condition) if self.separate else None)

    def _embedded(self, levels: Tensor) -> Tensor:
        parts = [self.embed(rows) for rows in levels.split(self.rows_at_once)]
        return torch.cat(parts).float()

    def _by_prompt(self, features: Tensor, numbers: Tensor | None) -> Tensor:
        if numbers is None:
            return features
        which = torch.nn.functional.one_hot(numbers, len(self.prompts)).to(features)
        return (which[:, :, None] * features[:, None, :]).flatten(1)

    def _numbers(self, condition: Condition) -> Tensor | None:
        if not self.prompts:
            return None
        if not isinstance(condition, Tensor):
            raise ParameterError(
                f"States of a domain with {len(self.prompts)} prompts come with the number of their prompt; "
                "got none.",
                hint="Pass the `condition` that they were sampled with.",
            )
        return condition

    def _number(self, image: Image) -> int:
        prompt = image.info.get(PROMPT)
        if prompt not in self.prompts:
            raise ParameterError(
                f"An image has the prompt {prompt!r}, which is not among {list(self.prompts)}.",
                hint=f'Set image.info["{PROMPT}"] to one of them.',
            )
        return self.prompts.index(prompt)
