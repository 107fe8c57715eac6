"""CLIPScore and RefCLIPScore against the published formulas written out, their properties, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from fullclip.search.scores import PAPER_TEMPLATES, clip_score, ref_clip_score
from fullclip.zeroshot.prompts import check_templates

NUMBERS = st.floats(-10, 10).map(lambda number: number if abs(number) > 1e-3 else 1.0)


def rows(number: int, embed: int = 4):
    return arrays(np.float64, (number, embed), elements=NUMBERS)


def cosine(a, b) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def naive_clip_score(image, text) -> float:
    return 2.5 * max(cosine(text, image), 0)


def naive_ref_clip_score(image, text, references) -> float:
    fit, likeness = naive_clip_score(image, text), max(max(cosine(text, one) for one in references), 0)
    return 0.0 if fit == 0 or likeness == 0 else 2 / (1 / fit + 1 / likeness)


@given(rows(3), rows(3))
def test_clip_score_is_the_formula(images, texts):
    expected = [naive_clip_score(image, text) for image, text in zip(images, texts, strict=True)]
    np.testing.assert_allclose(clip_score(images, texts), expected, atol=1e-12)


@given(rows(3), rows(3), rows(2), rows(5))
def test_ref_clip_score_is_the_formula_with_the_factor_within(images, texts, few, many):
    references = [few, many, few[:1]]
    cases = list(zip(images, texts, references, strict=True))
    np.testing.assert_allclose(
        ref_clip_score(images, texts, references), [naive_ref_clip_score(*case) for case in cases], atol=1e-7
    )
    np.testing.assert_array_equal(ref_clip_score(images, texts, many), ref_clip_score(images, texts, [many] * 3))


@given(rows(4), rows(4), rows(3), st.floats(1e-3, 1e3))
def test_length_does_not_count_and_scores_stay_in_their_range(images, texts, references, factor):
    fit, compared = clip_score(images, texts), ref_clip_score(images, texts, references)
    assert ((fit >= 0) & (fit <= 2.5)).all()
    assert ((compared >= 0) & (compared <= 10 / 7 + 1e-12)).all()  # 2ab / (a + b) at a = 2.5, b = 1
    np.testing.assert_allclose(clip_score(images * factor, texts), fit, atol=1e-12)
    np.testing.assert_allclose(ref_clip_score(images, texts * factor, references), compared, atol=1e-7)


@given(rows(4), rows(4), rows(3), rows(2))
def test_one_more_reference_never_lowers_a_score(images, texts, references, more):
    before = ref_clip_score(images, texts, references)
    assert (ref_clip_score(images, texts, np.concatenate([references, more])) >= before - 1e-12).all()


def test_the_ends_of_the_scale():
    right, up = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert clip_score(right, right).tolist() == [2.5]
    assert clip_score(right, up).tolist() == clip_score(right, -right).tolist() == [0.0]
    assert ref_clip_score(right, right, right).tolist() == [pytest.approx(2 * 2.5 / 3.5)]
    assert ref_clip_score(right, right, up).tolist() == ref_clip_score(up, right, right).tolist() == [0.0]


def test_one_caption_for_all_pictures_and_one_picture_for_all_captions():
    random = np.random.default_rng(0)
    many, one = random.normal(size=(5, 8)).astype(np.float32), random.normal(size=8).astype(np.float32)
    expected = clip_score(many, np.tile(one, (5, 1)))
    np.testing.assert_array_equal(clip_score(many, one), expected)
    np.testing.assert_array_equal(clip_score(one[None], many), expected)
    np.testing.assert_allclose(ref_clip_score(many, one, many[:2]), ref_clip_score(many, np.tile(one, (5, 1)), many[:2]))


def test_numbers_that_float32_cannot_square():
    tiny = np.array([[3e-30, 4e-30]], dtype=np.float32)
    assert clip_score(tiny, np.array([[3.0, 4.0]])).tolist() == pytest.approx([2.5])


def test_no_rows_have_no_scores():
    assert clip_score(np.zeros((0, 4)), np.ones((1, 4))).shape == (0,)
    assert ref_clip_score(np.zeros((0, 4)), np.ones((1, 4)), np.ones((2, 4))).shape == (0,)


@pytest.mark.parametrize(
    ("images", "texts", "words"),
    [
        (np.ones((3, 4)), np.ones((2, 4)), "3 and 2 embeddings"),
        (np.ones((3, 4)), np.ones((3, 5)), "4 and 5 wide"),
        (np.array([[1.0, np.nan]]), np.ones((1, 2)), "images hold numbers that are not finite"),
        (np.ones((1, 2)), np.array([[np.inf, 1.0]]), "texts hold numbers that are not finite"),
        (np.zeros((1, 2)), np.ones((1, 2)), "all zeros"),
    ],
)
def test_what_has_no_score_is_refused(images, texts, words):
    with pytest.raises(ValueError, match=words):
        clip_score(images, texts)


def test_references_are_there_for_each_row():
    with pytest.raises(ValueError, match="1 groups of references for 2 rows"):
        ref_clip_score(np.ones((2, 3)), np.ones((2, 3)), [np.ones((1, 3))])
    with pytest.raises(ValueError, match="no reference"):
        ref_clip_score(np.ones((2, 3)), np.ones((2, 3)), np.ones((0, 3)))


def test_the_papers_prefix_is_a_template():
    check_templates(PAPER_TEMPLATES)
    assert [template.replace("{}", "two cats") for template in PAPER_TEMPLATES] == ["A photo depicts two cats"]
