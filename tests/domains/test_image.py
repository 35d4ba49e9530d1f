from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch

from seiko.domains.image import image_domain
from seiko.domains.image_format import (
    PROMPT,
    ImageFormat,
    contact_sheet,
    from_png,
    image_key,
    load_images,
    save_images,
    to_png,
)
from seiko.errors import ParameterError, ShapeError
from seiko.testing import check_domain

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra `images`)")
FORM = ImageFormat(8, 6)


def _states(count=5, shape=(3, 6, 8), seed=0):
    return 2 * torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) - 1


def _designs(count=5, seed=0):
    return image_domain(FORM).decode(_states(count, seed=seed), None)


# ---------------------------------------------------------------------------------------- tensors and images


def test_every_level_of_a_pixel_goes_to_an_image_and_back():
    form = ImageFormat(16, 16, mode="L")
    levels = torch.arange(256).reshape(1, 1, 16, 16) / 255
    image = form.to_images(2 * levels - 1)[0]
    assert np.asarray(image).flatten().tolist() == list(range(256))
    torch.testing.assert_close(form.to_levels([image]), levels)


def test_channels_and_axes_are_where_they_belong():
    state = -torch.ones(1, 3, 6, 8)
    state[0, 1, 2, 7] = 1.0
    image = FORM.to_images(state)[0]
    assert (
        image.size == (8, 6) and image.getpixel((7, 2)) == (0, 255, 0) and image.getpixel((2, 5)) == (0, 0, 0)
    )


def test_what_is_out_of_range_is_clipped_and_may_come_back():
    state = torch.tensor([-5.0, 0.3, 7.0]).reshape(1, 3, 1, 1).requires_grad_()
    levels = ImageFormat(1, 1).quantised(state)
    assert levels.flatten().tolist() == pytest.approx([0.0, round(0.65 * 255) / 255, 1.0])
    levels.sum().backward()
    assert state.grad.flatten().tolist() == [0.5, 0.5, 0.5]


def test_png_keeps_pixels_and_prompt_and_drops_the_rest():
    image = _designs(1)[0]
    image.info.update({PROMPT: 'a "cät" <b>', "exif": b"secret"})
    back = from_png(to_png(image))
    assert back.tobytes() == image.tobytes() and back.info == {PROMPT: 'a "cät" <b>'}


def test_the_key_is_that_of_the_pixels():
    one, other = _designs(2)
    again = from_png(to_png(one))
    assert image_key(one) == image_key(again) != image_key(other)
    assert image_key(one) != image_key(one.transpose(Image.Transpose.TRANSPOSE))
    again.info[PROMPT] = "cat"
    assert image_key(one) != image_key(again)


def test_the_picture_on_a_page_is_the_image():
    image = _designs(1)[0]
    image.info[PROMPT] = 'x" onload="alert(1)'
    drawing = image_domain(FORM).render(image)
    content = drawing.partition("base64,")[2].partition('"')[0]
    assert Image.open(io.BytesIO(base64.b64decode(content))).tobytes() == image.tobytes()
    assert drawing.startswith("<img ") and 'width="128" height="96"' in drawing and "pixelated" in drawing
    assert 'onload="' not in drawing


# ------------------------------------------------------------------------------------------------- the domain


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_it_keeps_the_rules_of_domains(mode):
    form = ImageFormat(8, 6, mode=mode)
    check_domain(image_domain(form), _states(shape=form.shape))


@pytest.mark.parametrize("prompt_features", ["shared", "separate"])
def test_with_prompts_it_keeps_the_rules_of_domains(prompt_features):
    domain = image_domain(FORM, prompts=["cat", "dog"], prompt_features=prompt_features)
    check_domain(domain, _states(), condition=torch.tensor([0, 1, 1, 0, 0]))


def test_designs_carry_their_prompts_and_separate_features_do_not_meet():
    plain = image_domain(FORM, prompts=["cat", "dog"])
    domain = image_domain(FORM, prompts=["cat", "dog"], prompt_features="separate")
    designs = domain.decode(_states(2), torch.tensor([1, 0]))
    assert [d.info[PROMPT] for d in designs] == ["dog", "cat"]
    separate, shared = domain.features(designs), plain.features(designs)
    width = shared.shape[1]
    assert torch.equal(separate[0, width:], shared[0]) and torch.equal(separate[1, :width], shared[1])
    assert not separate[0, :width].any() and not separate[1, width:].any()


def test_prompts_are_drawn_evenly_in_random_order():
    condition = image_domain(FORM, prompts=["a", "b", "c"]).condition
    generator = torch.Generator().manual_seed(0)
    assert torch.bincount(condition(30, generator)).tolist() == [10, 10, 10]
    assert not torch.equal(condition(30, generator), condition(30, generator))
    assert {int(condition(1, generator)) for _ in range(50)} == {0, 1, 2}


def test_metrics_of_known_images():
    metrics = image_domain(FORM).metrics
    black, white = (Image.new("RGB", (8, 6), value) for value in ("black", "white"))
    assert metrics["diversity"]([black, white]) == pytest.approx(1.0)
    assert metrics["diversity"]([black, black]) == 0.0
    assert metrics["feature_diversity"]([white, white]) == pytest.approx(0.0, abs=1e-12)
    assert metrics["distinct"]([black, white, black, black]) == 0.5
    assert metrics["diversity"]([black]) == 0.0
    assert 0 < metrics["feature_diversity"](_designs()) < 1


def test_features_are_the_same_a_row_at_a_time():
    designs = _designs(5)
    few, many = (image_domain(FORM, rows_at_once=rows).features(designs) for rows in (2, 32))
    torch.testing.assert_close(few, many)


# ------------------------------------------------------------------------------------------------- the folder


def test_a_contact_sheet_has_every_image_in_its_place():
    designs = _designs(5)
    sheet = np.asarray(contact_sheet(designs, columns=3, factor=2))
    assert sheet.shape == (2 * 2 * 6, 3 * 2 * 8, 3)
    for place, design in enumerate(designs):
        top, left = place // 3 * 12, place % 3 * 16
        assert (sheet[top : top + 12 : 2, left : left + 16 : 2] == np.asarray(design)).all()
    assert (sheet[12:, 32:] == 255).all()
    with pytest.raises(ParameterError, match="at least one image"):
        contact_sheet([])


def test_a_folder_of_images_comes_back(tmp_path):
    designs = _designs()
    paths = save_images(tmp_path / "out", designs)
    assert len(paths) == 5 and all(path.is_file() for path in paths)
    back = load_images(tmp_path / "out", FORM)
    assert [image_key(image) for image in back] == [image_key(image) for image in designs]


def test_files_that_are_no_images_of_the_domain_are_named(tmp_path):
    with pytest.raises(ParameterError, match="no PNG files"):
        load_images(tmp_path)
    paths = save_images(tmp_path, _designs(2))
    with pytest.raises(ShapeError, match="size 8 x 6, not 8 x 8"):
        load_images(tmp_path, ImageFormat(8, 8))
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    with pytest.raises(ParameterError, match=paths[1].name):
        load_images(tmp_path)


# -------------------------------------------------------------------------------------------- what is refused


def test_images_of_another_size_or_mode_are_invalid_and_say_why():
    domain, image = image_domain(FORM), _designs(1)[0]
    wrong = {
        "size 6 x 8, not 8 x 6": image.resize((6, 8)),
        "mode L, not RGB": image.convert("L"),
        "mode RGBA, not RGB": image.convert("RGBA"),
        "a str, not a PIL image": "cat.png",
    }
    for reason, design in wrong.items():
        assert not domain.is_valid(design) and domain.why_invalid(design) == reason
        with pytest.raises(ShapeError, match=f"Image 1 is {reason}"):
            domain.features([image, design])
    with pytest.raises(ShapeError, match="PIL image"):
        domain.to_bytes("cat.png")


def test_states_that_are_no_images_are_refused():
    domain = image_domain(FORM)
    with pytest.raises(ShapeError, match="Pixels must be"):
        domain.decode(_states(shape=(3, 8, 6)), None)
    broken = _states()
    broken[1, 0, 0, 0] = torch.nan
    with pytest.raises(ParameterError, match="not finite"):
        domain.decode(broken, None)


def test_other_bad_arguments_are_refused():
    with pytest.raises(ParameterError, match="mode"):
        ImageFormat(8, 8, mode="CMYK")
    with pytest.raises(ParameterError, match="at least one pixel"):
        ImageFormat(0, 8)
    with pytest.raises(ParameterError, match="different"):
        image_domain(FORM, prompts=["cat", "cat"])
    with pytest.raises(ParameterError, match="prompt_features"):
        image_domain(FORM, prompt_features="none")
    domain = image_domain(FORM, prompts=["cat", "dog"], prompt_features="separate")
    with pytest.raises(ParameterError, match="number of their prompt"):
        domain.decode(_states(), None)
    with pytest.raises(ParameterError, match="not among"):
        domain.features(_designs(1))
    with pytest.raises(ParameterError, match="cannot be read"):
        from_png(b"not a picture")
