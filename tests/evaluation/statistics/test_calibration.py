"""Calibration against formulas written anew, a fine grid and SciPy; intervals against simulation."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax as scipy_softmax
from scipy.stats import beta

from fullclip.evaluation.statistics import calibration
from fullclip.evaluation.statistics.calibration import (
    confidence_of,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    softmax,
)
from peers import unchecked


def sample(n: int = 400, classes: int = 6, *, scale: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `scale` times what the labels were drawn from."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, classes)) * 1.5
    labels = np.array([random.choice(classes, p=row) for row in scipy_softmax(logits, axis=1)])
    return (scale * logits).astype(np.float32), labels


def test_probabilities_and_losses_are_scipys(monkeypatch):
    logits, labels = sample()
    logits[0] += 1e4
    monkeypatch.setattr(calibration, "_ROWS", 7)
    expected = scipy_softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-12)
    np.testing.assert_allclose(confidence_of(logits), expected.max(axis=1), atol=1e-12)
    own = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(400), labels]
    np.testing.assert_allclose(negative_log_likelihood(logits, labels), own, atol=1e-9)


@pytest.mark.parametrize("scale", [0.02, 0.5, 1.0, 3.0, 40.0])
def test_the_temperature_is_that_of_a_grid_and_of_scipy(scale):
    logits, labels = sample(scale=scale)
    found = fit_temperature(logits, labels)

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(400), labels].mean()

    logits = logits.astype(np.float64)
    grid = np.log(found.value) + np.linspace(-0.5, 0.5, 201)
    assert np.argmin([loss(one) for one in grid]) == 100
    scipys = minimize(lambda one: loss(one[0]), [np.log(scale)], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    assert np.log(found.value) == pytest.approx(scipys.x[0], abs=1e-5)
    assert found.value == pytest.approx(scale, rel=0.2)
    assert not found.is_bounded


def test_a_temperature_without_an_end_is_said_to_be_at_the_limit():
    logits = np.eye(4, dtype=np.float32)[[0, 1, 2, 3] * 5]
    right = fit_temperature(logits, np.array([0, 1, 2, 3] * 5))
    wrong = fit_temperature(logits, np.array([1, 2, 3, 0] * 5))
    assert (right.value, right.is_bounded) == (1 / 1000, True)
    assert (wrong.value, wrong.is_bounded) == (1000, True)
    with unchecked():
        one_class = fit_temperature(np.ones((5, 1), dtype=np.float32), np.zeros(5, dtype=int))
    assert one_class.is_bounded


def naive_error(confidence: np.ndarray, right: np.ndarray, num_bins: int) -> float:
    """Guo et al.'s definition: bins (0, 1/M], (1/M, 2/M], ..."""
    error = 0.0
    for place in range(num_bins):
        inside = (confidence > place / num_bins) & (confidence <= (place + 1) / num_bins)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_the_error_and_the_curve_are_those_of_loops(num_bins):
    random = np.random.default_rng(1)
    confidence = np.concatenate([random.random(300), np.arange(1, num_bins + 1) / num_bins])  # the bins' edges, too
    right = random.random(len(confidence)) < confidence**2
    found = expected_calibration_error(confidence, right, task="t", num_bins=num_bins)
    assert found.value == pytest.approx(naive_error(confidence, right, num_bins))
    assert found.interval[0] <= found.value <= found.interval[1]
    curve = reliability(confidence, right, num_bins=num_bins)
    assert sum(one.count for one in curve) == len(confidence)
    assert sum(one.count * abs(one.accuracy - one.confidence) for one in curve) / len(confidence) == pytest.approx(found.value)
    first = curve[0]
    hits = round(first.accuracy * first.count)
    low = beta.ppf(0.025, hits, first.count - hits + 1) if hits else 0.0
    assert (first.low, first.high) == pytest.approx((low, beta.ppf(0.975, hits + 1, first.count - hits)))


@pytest.mark.parametrize(("n", "gap"), [(300, 0.0), (300, 0.15), (1500, 0.05)])
def test_the_intervals_of_the_error_cover_the_truth(n, gap):
    random = np.random.default_rng(2)

    def drawn(number: int) -> tuple[np.ndarray, np.ndarray]:
        confidence = 0.1 + 0.9 * random.beta(4, 2, size=number)
        return confidence, random.random(number) < np.clip(confidence - gap, 0, 1)

    truth = naive_error(*drawn(1_000_000), 15)
    covered = 0
    for _ in range(40):
        low, high = expected_calibration_error(*drawn(n), task="t").interval
        covered += low <= truth <= high
    assert covered >= 35


def test_what_has_no_confidence_is_an_error():
    logits, labels = sample()
    broken = logits.copy()
    broken[3, 1] = np.inf
    right = np.array([True, False])
    for said, call in [
        ("no answer whose confidence", lambda: expected_calibration_error(np.zeros(0), np.zeros(0, dtype=bool), task="t")),
        ("confidence of nan is no probability", lambda: reliability(np.array([0.5, np.nan]), right)),
        ("confidence of 1.5 is no probability", lambda: reliability(np.array([0.5, 1.5]), right)),
        ("row 3 of the scores holds NaN", lambda: fit_temperature(broken, labels)),
        ("no example to measure", lambda: fit_temperature(logits[:0], labels[:0])),
        ("label 9 is out of range", lambda: fit_temperature(logits, np.where(labels == 1, 9, labels))),
    ]:
        with pytest.raises(ValueError, match=said):
            call()
