"""How many fewer images: against curves whose crossing is known."""

import math

import numpy as np
import pytest

from fullclip.baselines.results.efficiency import Curve, curves_of, factor, factors
from learning import row, rows_of_doublings


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


def test_rows_become_curves_by_way_and_rule():
    found = curves_of(rows_of_doublings())
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
        curves_of([*rows_of_doublings(), row("caption-lm", "likelihood", 2, 1000, 0.1)])


def test_factors_are_of_each_way_against_the_one_before():
    curves = curves_of(rows_of_doublings())
    order = ("caption-lm", "bag-of-words", "contrastive-bag", "contrastive")
    assert [one.value for one in factors(curves, order, rule="likelihood")] == pytest.approx([2, 2, 2])
    assert [one.value for one in factors(curves, order, rule="ratio")] == pytest.approx([2, 2**0.5, 2])
    assert [one.value for one in factors(curves, ("caption-lm", "contrastive"), rule="likelihood")] == [
        math.inf
    ]  # 3 doublings ahead
