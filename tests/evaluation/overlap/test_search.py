"""Copies of real pictures are found, other pictures are not; the two steps against all pairs of all views, one by one."""

import numpy as np
import pytest
from PIL import Image

from fullclip.evaluation.overlap.search import VIEWS, Search, _both_ways, _coefficients, _places, _products
from fullclip.evaluation.overlap.threshold import DEFAULT
from fullclip.preprocess.descriptor import cosines, evened, grey, mirrored
from overlaps import CHANGES, described, drawings


def similarities(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """[ours, theirs]; 0 where nothing was worth a look."""
    alike, found = Search(ours).look(theirs), np.zeros((len(ours), len(theirs)))
    found[alike.rows, alike.columns] = alike.similarities
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found_and_nothing_else(change):
    pictures = drawings()[:25]
    found = similarities(described(pictures), described([CHANGES[change](image) for image in pictures]))
    same = np.eye(len(pictures), dtype=bool)
    assert (found[same] >= DEFAULT).mean() >= (0.8 if change == "captioned" else 0.96)
    assert found[~same].max() < DEFAULT


def test_a_test_picture_that_is_a_part_of_the_training_picture_is_found():
    pictures = drawings()[:12]
    for change in ("cut by a fifth", "cut unevenly", "all at once"):
        found = similarities(described([CHANGES[change](image) for image in pictures]), described(pictures))
        assert (np.diag(found) >= DEFAULT).mean() >= 0.9


def test_the_products_are_the_best_of_all_views_one_by_one():
    ours, theirs = described(drawings()[:3]), described(drawings()[3:7])

    def seen(descriptor: np.ndarray, across: tuple, down: tuple) -> np.ndarray:
        part = evened(cosines(*down, 8) @ grey(descriptor[None])[0] @ cosines(*across, 8).T, 0.75)
        return part / np.sqrt((part**2).sum() + 16)

    whole, expected = ((0.0, 1.0), (0.0, 1.0)), np.empty((3, 4))
    for i, one in enumerate(ours):
        for j, other in enumerate(theirs):
            ways = [one, mirrored(one[None])[0]]
            parts = [seen(way, *view) @ seen(other, *whole) for way in ways for view in VIEWS]
            wholes = [seen(way, *whole) @ seen(other, *view) for way in ways for view in VIEWS]
            # mirrored views are those of the mirrored picture's other side
            flipped = [seen(ways[1], (1 - a[1], 1 - a[0]), d) @ seen(other, *whole) for a, d in VIEWS]
            expected[i, j] = max(parts[: len(VIEWS)] + flipped + wholes)
    (found,) = _products(_both_ways(_coefficients(ours)), _coefficients(theirs))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_place_belongs_to_each_view():
    places = _places()
    assert len(places) == 4 * len(VIEWS) - 2
    assert places[0] == ((0, 1, 0, 1), False)
    for (left, right, upper, lower), _ in places:
        assert left < right
        assert upper < lower


def test_pictures_found_do_not_depend_on_their_neighbours():
    pictures = drawings()[:30]
    ours, theirs = described(pictures[:10]), described([CHANGES["cut by a tenth"](image) for image in pictures])
    order = np.random.default_rng(0).permutation(30)
    one, other = similarities(ours, theirs), similarities(ours, theirs[order])
    np.testing.assert_allclose(one[:, order][one[:, order] > 0.6], other[one[:, order] > 0.6], atol=1e-4)


def test_many_copies_of_one_picture_are_all_found():
    picture, others = drawings()[0], drawings()[1:30]
    copies = described([change(picture) for change in list(CHANGES.values())[:10]])
    found = similarities(described([picture, *others]), np.concatenate([copies, described(others)]))
    assert (found[0, :10] >= DEFAULT).all()


def test_blank_pictures_are_like_those_of_their_level_only():
    blanks = [Image.new("RGB", (60, 40), (level,) * 3) for level in (255, 254, 0, 120)]
    pictures = list(drawings()[:10])
    found = similarities(described([*blanks, *pictures]), described([*blanks, *pictures]))
    np.testing.assert_array_equal(found[:4, :4] >= DEFAULT, np.abs(np.subtract.outer(*[[255, 254, 0, 120]] * 2)) <= 1)
    assert found[:4, 4:].max() == 0


def test_an_empty_block_has_no_pairs():
    alike = Search(described(drawings()[:2])).look(np.empty((0, 1056), dtype=np.uint8))
    assert len(alike.rows) == len(alike.similarities) == 0
