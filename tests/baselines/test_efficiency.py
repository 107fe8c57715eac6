"""How many fewer images: against curves whose crossing is known."""

import math

import numpy as np
import pytest

from fullclip.baselines.efficiency import Curve, curves_of, factor, factors
from fullclip.baselines.figure2 import sentences, write_page


def line(method, images, *, shift, seeds=(0.0,), rule="similarity"):
    """Accuracy grows by 10 points with each doubling; `shift` doublings earlier than the curve of 0."""
    accuracies = np.array([[0.1 * (math.log2(n / 1000) + shift) + seed for n in images] for seed in seeds])
    return Curve(method=method, rule=rule, images=tuple(images), accuracies=accuracies)


IMAGES = (1000, 2000, 4000, 8000)


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0, 1.7, 2.9])
def test_a_curve_that_is_shifted_by_doublings_saves_their_power_of_two(shift):
    found = factor(line("a", IMAGES, shift=0), line("b", IMAGES, shift=shift))
    assert found.value == pytest.approx(2**shift)
    assert found.said == f"{2**shift:.2g} times"


def test_marks_need_not_be_the_same():
    found = factor(line("a", (1000, 3000), shift=0), line("b", (500, 2000, 9000), shift=1))
    assert found.value == pytest.approx(2)


def test_what_is_never_reached_and_what_is_reached_at_once():
    slow = factor(line("a", IMAGES, shift=0), line("b", IMAGES, shift=-1))
    assert math.isnan(slow.value)
    assert slow.said == "not reached"
    quick = factor(line("a", IMAGES, shift=0), line("b", IMAGES, shift=5))
    assert math.isinf(quick.value)
    assert quick.said == "over 8 times"


def test_seeds_are_paired_and_those_that_fail_are_counted():
    """The base is alike in both seeds; the better one is 2 doublings ahead in one and 1 behind in the other."""
    base = line("a", IMAGES, shift=0, seeds=(0.0, 0.0))
    found = factor(base, line("b", IMAGES, shift=0.5, seeds=(0.15, -0.15)))
    assert found.value == pytest.approx(2**0.5)
    assert found.by_seed[0] == pytest.approx(4)
    assert math.isnan(found.by_seed[1])
    assert found.said == "1.4 times (4 to 4, not reached by 1 of 2 seeds)"


def row(method, rule, seed, images, value):
    return {
        "method": method,
        "rule": rule,
        "seed": seed,
        "images": images,
        "value": value,
        "interval": [value - 0.01, value + 0.01],
        "n": 1000,
        "unknown_classes": 2,
        "task": "walls",
        "metric": "accuracy",
    }


def rows():
    """Each way is a doubling ahead of the one before; ratios half a doubling ahead of likelihoods."""
    order = ("caption-lm", "bag-of-words", "contrastive-bag", "contrastive")
    return [
        row(method, rule, seed, images, 0.1 * (math.log2(images / 1000) + place + half) + 0.001 * seed)
        for place, method in enumerate(order)
        for rule, half in ((("similarity", 0),) if place > 1 else (("likelihood", 0), ("ratio", 0.5)))
        for seed in (0, 1)
        for images in IMAGES
    ]


def test_rows_become_curves_by_way_and_rule():
    found = curves_of(rows())
    assert [(curve.method, curve.rule) for curve in found] == [
        ("caption-lm", "likelihood"),
        ("caption-lm", "ratio"),
        ("bag-of-words", "likelihood"),
        ("bag-of-words", "ratio"),
        ("contrastive-bag", "similarity"),
        ("contrastive", "similarity"),
    ]
    assert found[0].accuracies.shape == (2, 4)
    np.testing.assert_allclose(found[0].mean, [0.0005, 0.1005, 0.2005, 0.3005])
    with pytest.raises(ValueError, match="caption-lm: its seeds were asked after different numbers of images"):
        curves_of([*rows(), row("caption-lm", "likelihood", 2, 1000, 0.1)])


def test_factors_are_of_each_way_against_the_one_before():
    curves = curves_of(rows())
    order = ("caption-lm", "bag-of-words", "contrastive-bag", "contrastive")
    assert [one.value for one in factors(curves, order, rule="likelihood")] == pytest.approx([2, 2, 2])
    assert [one.value for one in factors(curves, order, rule="ratio")] == pytest.approx([2, 2**0.5, 2])
    assert [one.value for one in factors(curves, ("caption-lm", "contrastive"), rule="likelihood")] == [
        math.inf
    ]  # 3 doublings ahead


def test_what_is_said_of_the_factors():
    said = sentences(rows())
    assert len(said) == 5
    assert said[0] == (
        "Answering by the likelihood of a class's words, bag of words prediction needs 2 times (2 to 2) fewer images to reach"
        " what Transformer language model does in the end (30.1% after 8,000 images)."
    )
    assert said[-1].startswith("Contrastive, Transformer needs 2 times (2 to 2) fewer images")
    alone = [each for each in rows() if each["method"] == "contrastive"]
    assert sentences(alone) == []


def test_the_page_has_the_numbers_and_needs_nothing_beside_it(tmp_path):
    write_page(rows(), tmp_path / "figure2.html", data="Learned from <b>64</b> pairs.")
    page = (tmp_path / "figure2.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "&lt;b&gt;64&lt;/b&gt;" in page
    assert page.count("<svg") == 1
    assert "30.1" in page
    assert "40.1" in page
    assert "35.1" in page
    assert "<script" not in page
    assert 'src="http' not in page
