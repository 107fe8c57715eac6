"""How alike two pictures are once they lie on each other: where a cut-out lies is known, and must be found."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from fullclip.preprocess.alignment import align, colours_agree, flat_similarity, is_flat
from fullclip.preprocess.descriptor import SIDE
from overlaps import cropped, described, drawings

WHOLE = np.array([[0, 1, 0, 1]], dtype=np.float32)


def test_a_picture_is_like_itself_where_it_lies():
    found = described(drawings()[:8])
    similarities, places = align(found, found, WHOLE.repeat(8, axis=0))
    assert (similarities > 0.97).all()
    np.testing.assert_array_equal(places, WHOLE.repeat(8, axis=0))


@pytest.mark.parametrize("cut", [(0.1, 0.1, 0.1, 0.1), (0.15, 0.0, 0.05, 0.1), (0.0, 0.2, 0.0, 0.0)])
def test_where_a_part_lies_is_found_from_nearby(cut):
    left, upper, right, lower = cut
    pictures = drawings()[:10]
    wholes, parts = described(pictures), described([cropped(image, *cut) for image in pictures])
    lies = np.array([[left, 1 - right, upper, 1 - lower]], dtype=np.float32)
    near = lies + np.array([[0.03, -0.03, -0.03, 0.03]], dtype=np.float32)
    similarities, places = align(parts, wholes, near.repeat(10, axis=0))
    assert (similarities > 0.85).mean() >= 0.9
    np.testing.assert_allclose(np.median(places, axis=0), lies[0], atol=0.015)


def test_either_of_two_may_be_the_part():
    pictures = drawings()[:10]
    wholes, parts = described(pictures), described([cropped(image, 0.1, 0.1, 0.1, 0.1) for image in pictures])
    near = np.array([[0.12, 0.88, 0.12, 0.88]], dtype=np.float32).repeat(10, axis=0)
    width = 0.76
    turned = np.array([[-0.12 / width, 0.88 / width] * 2], dtype=np.float32).repeat(10, axis=0)
    one, _ = align(parts, wholes, near)
    other, _ = align(wholes, parts, turned)
    assert (one > 0.9).all()
    np.testing.assert_allclose(one, other, atol=0.03)


def test_different_pictures_are_not_alike():
    pictures = described(drawings()[:20])
    similarities, _ = align(pictures[:10], pictures[10:], WHOLE.repeat(10, axis=0))
    assert similarities.max() < 0.6


def test_nothing_to_compare_is_nothing():
    similarities, places = align(*(np.empty((0, 1056), dtype=np.uint8),) * 2, np.empty((0, 4), dtype=np.float32))
    assert similarities.shape == (0,)
    assert places.shape == (0, 4)


def blank(*levels: int) -> np.ndarray:
    return described([Image.new("RGB", (50, 40), (level, level, level)) for level in levels])


def test_pictures_without_structure_are_told_apart_by_their_levels():
    assert is_flat(blank(0, 128, 255)).all()
    assert not is_flat(described(drawings()[:20])).any()
    np.testing.assert_allclose(flat_similarity(blank(100, 101, 108, 255), blank(100)[0]), [1, 15 / 16, 0.5, 0])


def test_colours_agree_where_one_picture_is_another_in_other_light():
    pictures = drawings()[10:20]
    ours = described(pictures)
    paler = described([ImageEnhance.Color(image).enhance(0.6) for image in pictures])
    greys = described([image.convert("L").convert("RGB") for image in pictures])
    np.testing.assert_array_equal(colours_agree(ours, paler), 1)
    np.testing.assert_array_equal(colours_agree(ours, greys), 1)
    red, green = described([Image.new("RGB", (40, 40), colour) for colour in ("red", "lime")])[:, None]
    vectors = [part[0, SIDE * SIDE :].astype(float) - 128 for part in (red, green)]
    cosine = vectors[0] @ vectors[1] / np.prod([np.linalg.norm(vector) for vector in vectors])
    np.testing.assert_allclose(colours_agree(red, green), (cosine + 1) / 1.5, atol=1e-6)
    assert cosine < 0
