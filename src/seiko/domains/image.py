"""Images as designs: the domain, and how varied a set of images is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from seiko.domains.base import Domain
from seiko.domains.image_features import PixelFeatures
from seiko.domains.image_folder import FORMATS
from seiko.domains.image_format import PROMPT, ImageFormat, draw_image, from_png, image_key, to_png
from seiko.errors import ParameterError
from seiko.typing import Condition

if TYPE_CHECKING:
    from PIL.Image import Image


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

    Metrics, of the valid designs: ``diversity`` (`pixel_diversity`), ``feature_diversity`` and ``distinct``.

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
        always_valid=True,
        why_invalid=form.misfit,
        key=image_key,
        to_bytes=to_png,
        from_bytes=from_png,
        render=draw_image,
        media_type="image/png",
        formats=FORMATS,
        soft_features=work.soft_features if soft else None,
        metrics={
            "diversity": lambda designs: pixel_diversity(fits(designs), form),
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
