"""Where a zero-shot answer lies on a few-shot curve, and how sure that is."""

import numpy as np
import pytest

from fullclip.evaluation.statistics.metrics import roc_auc
from fullclip.evaluation.statistics.shots import crossing, draws_of_curve, equal

SHOTS = (1, 2, 4, 8, 16)


def test_the_crossing_is_linear_in_the_logarithm_of_the_shots():
    values = np.array([0.1, 0.3, 0.5, 0.6, 0.7])
    assert crossing(SHOTS, values, 0.5) == pytest.approx(4)
    assert crossing(SHOTS, values, 0.4) == pytest.approx(2**1.5)
    assert crossing(SHOTS, values, 0.55) == pytest.approx(2**2.5)
    assert crossing(SHOTS, values, 0.1) == 0
    assert crossing(SHOTS, values, 0.71) == float("inf")
    for wanted in np.linspace(0.11, 0.7, 40):  # numpy's interpolation of a rising curve, turned around
        assert np.log2(crossing(SHOTS, values, wanted)) == pytest.approx(np.interp(wanted, values, np.log2(SHOTS)))


def test_a_curve_that_falls_on_the_way_is_crossed_where_it_first_reaches_the_value():
    assert crossing(SHOTS, np.array([0.1, 0.5, 0.3, 0.6, 0.7]), 0.4) == pytest.approx(2**0.75)


def test_draws_spread_as_the_binomial_does():
    random = np.random.default_rng(0)
    values = (random.random((2, 1, 400)) < np.array([0.3, 0.8])[:, None, None]).astype(float)
    draws = draws_of_curve(values, np.full((1, 400), 1 / 400))
    assert draws.shape == (2000, 2)
    np.testing.assert_allclose(draws.mean(axis=0), values.mean(axis=(1, 2)), atol=0.005)
    shares = values.mean(axis=(1, 2))
    np.testing.assert_allclose(draws.std(axis=0), np.sqrt(shares * (1 - shares) / 400), rtol=0.1)


def test_draws_spread_over_seeds_too():
    values = np.zeros((1, 3, 50))
    values[0, 1] = 1  # one seed was right everywhere: nothing is sure but that
    draws = draws_of_curve(values, np.full((1, 50), 1 / 50))[:, 0]
    assert draws.mean() == pytest.approx(1 / 3, abs=0.02)
    assert set(np.round(draws * 3)) == {0, 1, 2, 3}


def test_the_interval_holds_what_resamples_say():
    random = np.random.default_rng(0)
    shares = np.array([0.3, 0.4, 0.5, 0.6, 0.7, 0.5])
    values = (random.random((6, 3, 300)) < shares[:, None, None]).astype(float)
    draws = draws_of_curve(values, np.full((1, 300), 1 / 300))
    curve = values.mean(axis=(1, 2))
    found = equal(SHOTS, curve[:5], float(curve[5]), draws=draws[:, :5], wanted_draws=draws[:, 5])
    low, high = found.interval
    assert low < found.shots < high
    assert 2 < found.shots < 8
    assert found.said == f"{found.shots:.1f}"


def test_outside_of_the_curve_it_is_said_in_words():
    draws = np.tile(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), (10, 1))
    for wanted, said in ((0.05, "fewer than 1"), (0.9, "more than 16")):
        found = equal(SHOTS, draws[0], wanted, draws=draws, wanted_draws=np.full(10, wanted))
        assert (found.shots, found.interval, found.said) == (None, None, said)


def test_both_sides_of_a_roc_curve_are_resampled():
    random = np.random.default_rng(0)
    labels = np.array([1] * 800 + [0] * 12)
    scores = random.normal(size=812) + 1.5 * labels
    measured = roc_auc(np.stack([-scores, scores], axis=1), labels, task="t")
    weights = np.stack([(labels == side) / (labels == side).sum() for side in (1, 0)])
    draws = draws_of_curve(measured.values[None, None], weights)[:, 0]
    low, high = measured.result.interval  # DeLong's
    assert draws.mean() == pytest.approx(measured.result.value, abs=0.01)
    assert 4 * draws.std() == pytest.approx(high - low, rel=0.3)
