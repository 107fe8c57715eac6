"""A set's own threshold: right for drawings, raised where a set's pictures look alike, deaf to duplicates within it."""

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from sklearn.datasets import load_digits

from fullclip.data.drops import Drops
from fullclip.evaluation.overlap.pictures import Pictures
from fullclip.evaluation.overlap.threshold import (
    DEFAULT,
    HIGHEST,
    check_names,
    nearest_others,
    own_threshold,
    parse_thresholds,
    raised,
)
from fullclip.preprocess.descriptor import describe
from overlaps import as_pictures, drawings


def digits() -> Pictures:
    images = (load_digits().images[:120] / 16 * 255).astype(np.uint8)
    rows = np.stack([describe(Image.fromarray(image)) for image in images])
    return Pictures(name="digits", keys=tuple(map(str, range(120))), descriptors=rows, drops=Drops())


def test_drawings_have_the_default():
    assert own_threshold(as_pictures(drawings())) == DEFAULT
    assert own_threshold(as_pictures(drawings()[:1])) == DEFAULT


def test_digits_are_told_apart_by_a_higher_one():
    pictures = digits()
    threshold, near = own_threshold(pictures), nearest_others(pictures)
    assert threshold > DEFAULT + 0.1
    assert (near >= threshold).mean() <= 0.01
    assert (near >= DEFAULT).mean() > 0.2  # which the default would have called the same


def test_the_rule_is_one_in_10_000_of_a_normal():
    near = np.tanh(stats.norm.ppf(np.linspace(1e-4, 1 - 1e-4, 20_001), loc=0.9, scale=0.12)).astype(np.float32)
    expected = np.tanh(stats.norm.ppf(1 - 1e-4, loc=0.9, scale=0.12))
    assert raised(near) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_duplicates_within_a_set_hardly_raise_it(share):
    random = np.random.default_rng(0)
    near = np.tanh(random.normal(0.4, 0.1, 2000)).astype(np.float32)
    near[: int(share * 2000)] = 0.999
    assert raised(near) == DEFAULT


def test_pictures_that_nothing_is_like_do_not_raise_it():
    near = np.zeros(100, dtype=np.float32)
    near[:30] = 0.39
    assert raised(near) == DEFAULT


def test_it_stays_below_what_a_copy_reaches():
    assert raised(np.full(100, 0.9999, dtype=np.float32)) == HIGHEST
    assert raised(np.zeros(100, dtype=np.float32)) == DEFAULT


def test_thresholds_of_all_sets_and_of_one():
    assert parse_thresholds(["0.9", "cifar10=0.95", "a=b=1"]) == (0.9, {"cifar10": 0.95, "a=b": 1.0})
    assert parse_thresholds([]) == (None, {})


@pytest.mark.parametrize("word", ["0", "1.2", "-1", "nan", "much", "digits=", "digits=2"])
def test_a_threshold_out_of_range_is_an_error(word):
    with pytest.raises(ValueError, match=r"a number above 0 and up to 1 is needed, such as 0.9, or NAME=0.95"):
        parse_thresholds([word])


def test_a_threshold_twice_or_of_an_unknown_set_is_an_error():
    with pytest.raises(ValueError, match="digits had a threshold already"):
        parse_thresholds(["digits=0.9", "digits=0.8"])
    with pytest.raises(ValueError, match="no set 'digit' here"):
        check_names({"digit": 0.9}, ["digits"])
