"""Rejection against scikit-learn and a loop."""

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from fullclip.evaluation.statistics.rejection import auroc, fpr_at_95


def sample(seed: int, *, ties: bool, n: int = 130, m: int = 70) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    inside, outside = random.normal(size=n), random.normal(size=m) + 1.5
    return (np.round(inside), np.round(outside)) if ties else (inside, outside)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_scikit_learns(seed, ties):
    inside, outside = sample(seed, ties=ties)
    found = auroc(inside, outside, task="t")
    assert found.value == pytest.approx(roc_auc_score([0] * 130 + [1] * 70, np.concatenate([inside, outside])))
    assert found.n == 200
    assert found.interval[0] < found.value < found.interval[1]


def naive_share(inside: np.ndarray, outside: np.ndarray) -> float:
    """The lowest threshold that keeps 95%, tried one after another."""
    for threshold in np.unique(inside):
        if np.mean(inside <= threshold) >= 0.95 - 1e-12:
            return float(np.mean(outside <= threshold))
    raise AssertionError


@pytest.mark.parametrize("n", [1, 5, 19, 20, 21, 100, 133])
@pytest.mark.parametrize("ties", [False, True])
def test_the_share_that_is_kept_is_that_of_a_loop(n, ties):
    inside, outside = sample(n, ties=ties, n=n)
    assert fpr_at_95(inside, outside, task="t").value == naive_share(inside, outside)


def test_the_interval_is_that_of_resampling_both_sides():
    inside, outside = sample(0, ties=False, n=300, m=200)
    random = np.random.default_rng(1)
    draws = [naive_share(random.choice(inside, 300), random.choice(outside, 200)) for _ in range(600)]
    np.testing.assert_allclose(fpr_at_95(inside, outside, task="t").interval, np.percentile(draws, [2.5, 97.5]), atol=0.03)


def test_intervals_of_the_share_cover_the_truth():
    random, covered = np.random.default_rng(4), 0
    truth = float(np.mean(random.normal(size=1_000_000) + 1.5 <= np.quantile(random.normal(size=1_000_000), 0.95)))
    for _ in range(300):
        low, high = fpr_at_95(random.normal(size=200), random.normal(size=150) + 1.5, task="t").interval
        covered += low <= truth <= high
    assert covered >= 270


def test_sides_that_are_apart_are_not_certain():
    inside, outside = np.arange(20.0), 100 + np.arange(8.0)
    assert fpr_at_95(inside, outside, task="t").interval == (0.0, pytest.approx(beta.ppf(0.975, 1, 8)))
    assert auroc(inside, outside, task="t").interval == (pytest.approx(beta.ppf(0.025, 8, 1)), 1.0)
    same = fpr_at_95(np.ones(5), np.ones(8), task="t")
    assert (same.value, auroc(np.ones(5), np.ones(8), task="t").value) == (1.0, 0.5)


def test_nothing_to_tell_apart_is_an_error():
    scores = np.arange(3.0)
    for measure in (auroc, fpr_at_95):
        with pytest.raises(ValueError, match="t: there are no scores of pictures of the classes"):
            measure(scores[:0], scores, task="t")
        with pytest.raises(ValueError, match="t: there are no scores of pictures of none of them, or they hold NaN"):
            measure(scores, np.array([1.0, np.nan]), task="t")
