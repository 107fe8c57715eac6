"""Averages and differences keep the intervals of their parts: against the normal formula, and against how often they hold."""

import numpy as np
import pytest

from evaluations import share
from fullclip.core.types import Result
from fullclip.evaluation.report.combine import average, difference


def normal(value: float, spread: float) -> Result:
    return Result(task="t", metric="accuracy", value=value, interval=(value - 1.96 * spread, value + 1.96 * spread), n=10)


def test_of_normal_intervals_it_is_the_normal_formula():
    found = average([normal(0.2, 0.03), normal(0.5, 0.04), normal(0.9, 0.0)], task="average")
    spread = np.sqrt(0.03**2 + 0.04**2) / 3
    assert found.value == pytest.approx(1.6 / 3)
    assert found.interval == pytest.approx((1.6 / 3 - 1.96 * spread, 1.6 / 3 + 1.96 * spread))
    assert found.n == 30
    value, interval = difference(normal(0.2, 0.03), normal(0.5, 0.04))
    assert value == pytest.approx(0.3)
    assert interval == pytest.approx((0.3 - 1.96 * 0.05, 0.3 + 1.96 * 0.05))


def test_the_difference_the_other_way_is_its_mirror():
    one, other = share("t", "accuracy", 3, 40), share("t", "accuracy", 30, 50)
    value, (low, high) = difference(one, other)
    mirrored, interval = difference(other, one)
    assert (mirrored, *interval) == pytest.approx((-value, -high, -low))


def test_95_of_100_hold_the_truth():
    random, truths, held = np.random.default_rng(0), (0.1, 0.5, 0.93), [0, 0]
    for _ in range(200):
        results = [share("t", "accuracy", int(random.binomial(60, truth)), 60) for truth in truths]
        low, high = average(results, task="average").interval
        held[0] += low <= np.mean(truths) <= high
        low, high = difference(results[0], results[1])[1]
        held[1] += low <= 0.4 <= high
    assert min(held) >= 0.95 * 200 - 6  # exact intervals of the parts are wider than they need be
