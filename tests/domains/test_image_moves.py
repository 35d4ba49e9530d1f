"""Moves of images: of the same kind, seldom the same, and made of their parents."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from seiko.domains.image_moves import crossover_image, mutate_image


def picture(mode: str, seed: int) -> Image.Image:
    shape = (12, 10, 3) if mode == "RGB" else (12, 10)
    pixels = np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)
    return Image.fromarray(pixels, mode)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_mutants_are_images_of_the_same_kind_and_mostly_new(mode):
    one, rng = picture(mode, 0), np.random.default_rng(1)
    before = one.tobytes()
    mutants = [mutate_image(one, rng) for _ in range(60)]
    assert all((m.size, m.mode) == (one.size, one.mode) for m in mutants)
    assert len({m.tobytes() for m in mutants}) > 30 and one.tobytes() == before
    again = np.random.default_rng(1)
    assert [m.tobytes() for m in mutants] == [mutate_image(one, again).tobytes() for _ in range(60)]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_crossing_has_every_pixel_from_a_parent(mode):
    a, b, rng = picture(mode, 0), picture(mode, 1), np.random.default_rng(2)
    shares = []
    for _ in range(200):
        child = np.asarray(crossover_image(a, b, rng))
        from_a, from_b = child == np.asarray(a), child == np.asarray(b)
        assert (from_a | from_b).all()
        shares.append(1 - from_a.mean())
    assert 0.05 < np.mean(shares) < 0.35
