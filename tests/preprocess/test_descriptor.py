"""Descriptors against SciPy's cosine transform, and against the same done to the picture itself."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from scipy.fft import dctn

from fullclip.preprocess.descriptor import LENGTH, SIDE, cosines, describe, emphasis, evened, grey, mirrored
from overlaps import described, drawings

random = np.random.default_rng(0)


def smoothed(number: int, side: int) -> np.ndarray:
    """A cosine averaged over each of `side` pixels is the one at its middle, times this."""
    return np.sinc(np.arange(number) / (2 * side))


@pytest.mark.parametrize(("start", "end"), [(0, 32), (8, 24), (0, 24)])
def test_coefficients_of_a_part_are_scipys_of_the_part(start, end):
    pixels, side, number = random.normal(size=(SIDE, SIDE)), end - start, 12
    basis = cosines(start / SIDE, end / SIDE, number)
    part = dctn(pixels[start:end, start:end], norm="ortho")[:number, :number] / side
    expected = part * np.outer(smoothed(number, side), smoothed(number, side))
    np.testing.assert_allclose(basis @ pixels @ basis.T, expected, atol=1e-6)


def test_a_mirrored_descriptor_is_that_of_the_mirrored_picture():
    images = [image.resize((96, 64)) for image in drawings()[:5]]
    np.testing.assert_array_equal(mirrored(described(images)), described([ImageOps.mirror(image) for image in images]))


def test_pixels_and_pictures_are_described_alike():
    image = drawings()[0]
    found = describe(image)
    assert found.shape == (LENGTH,)
    np.testing.assert_array_equal(found, describe(np.asarray(image)))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 5), (33, 31), (640, 480)])
def test_any_size_of_one_colour_is_that_colour(size):
    found = describe(np.full((*size, 3), (200, 30, 90), dtype=np.uint8))
    assert found[: SIDE * SIDE].std() == 0
    assert abs(int(found[0]) - (0.299 * 200 + 0.587 * 30 + 0.114 * 90)) <= 1


def test_evening_keeps_signs_and_takes_roots():
    coefficients = random.normal(size=(3, 8, 8))
    found, weighed = evened(coefficients, 0.75), (coefficients * emphasis(8, 0.75)).reshape(3, -1)
    for row, before in zip(found, weighed, strict=True):
        np.testing.assert_allclose(row * np.abs(row), before * np.sqrt(np.mean(before**2)), atol=1e-6)
    assert (found[:, 0] == 0).all()


def test_brightness_and_contrast_change_only_the_size():
    pixels = grey(described([drawings()[3]]))[0]
    basis = cosines(0.0, 1.0, 16)
    one, other = (evened(basis @ levels @ basis.T, 1.0) for levels in (pixels, 0.4 * pixels + 60))
    np.testing.assert_allclose(other, 0.4 * one, atol=1e-2)


def test_what_is_transparent_is_white_unless_nothing_would_be_seen():
    disc = Image.new("L", (64, 64))
    ImageDraw.Draw(disc).ellipse((8, 8, 56, 40), fill=255)
    for ink, paper in (("black", "white"), ("red", "white"), ("white", "black")):
        drawn = Image.new("RGBA", (64, 64))
        drawn.paste(Image.new("RGBA", (64, 64), ink), mask=disc)
        flattened = Image.new("RGB", (64, 64), paper)
        flattened.paste(Image.new("RGB", (64, 64), ink), mask=disc)
        np.testing.assert_array_equal(describe(drawn), describe(flattened))
