from __future__ import annotations

import io
import math

import numpy as np
import pytest

from seiko.errors import ParameterError
from seiko.oracles.image_properties import (
    REWARDS,
    brightness,
    colourfulness,
    contrast,
    jpeg_compressibility,
    jpeg_size,
)

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra `images`)")


def _noise(seed=0, size=(16, 16)):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))


def test_colourfulness_is_the_papers_formula_pixel_by_pixel():
    image = _noise()
    rg = [r - g for r, g, b in image.getdata()]
    yb = [(r + g) / 2 - b for r, g, b in image.getdata()]

    def mean(values):
        return sum(values) / len(values)

    def std(values):
        return math.sqrt(mean([(v - mean(values)) ** 2 for v in values]))

    expected = math.hypot(std(rg), std(yb)) + 0.3 * math.hypot(mean(rg), mean(yb))
    assert colourfulness(image) == pytest.approx(expected, rel=1e-12)


def test_colourfulness_of_plain_colours():
    """Red: rg = 255, yb = 127.5, nothing varies."""
    assert colourfulness(Image.new("RGB", (3, 3), "red")) == pytest.approx(0.3 * math.hypot(255, 127.5))
    assert colourfulness(Image.new("RGB", (3, 3), "white")) == 0.0


def test_contrast_and_brightness_of_known_images():
    half = Image.new("RGB", (4, 2), "black")
    half.paste((255, 255, 255), (0, 0, 2, 2))
    assert contrast(half) == pytest.approx(0.5) and brightness(half) == pytest.approx(0.5)
    assert contrast(Image.new("RGB", (4, 4), "red")) == pytest.approx(0.0)
    assert brightness(Image.new("RGB", (4, 4), (0, 255, 0))) == pytest.approx(0.587)


def test_jpeg_size_is_that_of_the_file():
    image = _noise()
    for quality in (50, 95):
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=quality)
        assert jpeg_size(image, quality=quality) == buffer.tell() / 1000
    assert jpeg_size(image) > jpeg_size(Image.new("RGB", (16, 16), "red"))
    assert jpeg_compressibility(image) == -jpeg_size(image)
    assert jpeg_size(image.convert("RGBA")) == jpeg_size(image)


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_is_a_float_and_refuses_what_is_no_image(name):
    assert isinstance(REWARDS[name](_noise()), float) and isinstance(
        REWARDS[name](_noise().convert("L")), float
    )
    with pytest.raises(ParameterError, match="PIL image; got str"):
        REWARDS[name]("cat.png")


@pytest.mark.parametrize("quality", [0, 101])
def test_bad_quality_is_refused(quality):
    with pytest.raises(ParameterError, match="quality"):
        jpeg_size(_noise(), quality=quality)
