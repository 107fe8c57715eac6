"""The statistics of overlap against sums of binomial terms, SciPy, and resampling by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from fullclip.evaluation.statistics.intervals import RESAMPLES
from fullclip.evaluation.statistics.overlap import bonferroni, contamination, share

random = np.random.default_rng(0)


def example(n: int = 400, *, share_found: float = 0.1, accuracies=(0.6, 0.8)) -> tuple[np.ndarray, np.ndarray]:
    found = random.random(n) < share_found
    return random.random(n) < np.where(found, accuracies[1], accuracies[0]), found


def test_accuracies_are_means_of_parts():
    right, found = example()
    told = contamination(right, found)
    assert told.all == right.mean()
    assert told.clean == right[~found].mean()
    assert told.overlap == right[found].mean()
    assert told.gain == told.all - told.clean
    # what the paper reports, all - clean, is the difference times the share that overlaps
    assert told.gain == pytest.approx(told.difference * found.mean())
    assert (told.num_clean, told.num_overlap) == ((~found).sum(), found.sum())


@pytest.mark.parametrize("share_found", [0.02, 0.3, 0.9])
def test_the_test_sums_the_binomials_upper_tail(share_found):
    right, found = example(share_found=share_found)
    n, hits, clean = int(found.sum()), int(right[found].sum()), right[~found].mean()
    tail = sum(math.comb(n, k) * clean**k * (1 - clean) ** (n - k) for k in range(hits, n + 1))
    assert contamination(right, found).p_value == pytest.approx(tail, rel=1e-9)


def test_the_interval_is_the_betas_less_cleans_accuracy():
    right, found = example()
    told = contamination(right, found)
    n, hits = told.num_overlap, int(right[found].sum())
    low, high = stats.beta.ppf(0.0025, hits, n - hits + 1), stats.beta.ppf(0.9975, hits + 1, n - hits)
    assert told.difference_interval == pytest.approx((low - told.clean, high - told.clean))


def test_the_gains_interval_is_that_of_resampling_by_hand():
    right, found = example(60)
    told, gains, other = contamination(right, found), [], np.random.default_rng(1)
    for _ in range(RESAMPLES):
        drawn = other.integers(len(right), size=len(right))
        gains.append(right[drawn].mean() - right[drawn][~found[drawn]].mean())
    np.testing.assert_allclose(told.gain_interval, np.percentile(gains, [2.5, 97.5]), atol=0.01)
    assert told.gain_interval[0] <= told.gain <= told.gain_interval[1]


def test_all_right_or_all_wrong_has_numbers_too():
    found = np.arange(20) < 5
    for right, p_value in ((np.ones(20, bool), 1.0), (np.zeros(20, bool), 1.0), (found, 0.0)):
        told = contamination(right, found)
        assert told.p_value == p_value
        assert np.isfinite([*told.gain_interval, *told.difference_interval]).all()


@pytest.mark.parametrize("found", [np.zeros(4, bool), np.ones(4, bool)])
def test_one_part_alone_cannot_be_compared(found):
    assert contamination(np.array([True, False, True, True]), found) is None


def test_resamples_without_a_clean_image_say_nothing():
    found = np.arange(30) > 0
    # in a third of the resamples the only clean image is missing; were it counted as wrong, the gain would reach 1
    assert contamination(np.ones(30, bool), found).gain_interval == (0.0, 0.0)


def test_a_share_has_scipys_interval():
    expected = stats.binomtest(3, 40).proportion_ci(0.95, method="exact")
    told = share(3, 40, task="t", metric="overlap")
    assert (told.value, told.n, told.metric) == (3 / 40, 40, "overlap")
    assert told.interval == pytest.approx((expected.low, expected.high))


def test_bonferroni_multiplies_by_the_number_of_tests():
    p_values = [0.01, 0.2, 0.9, 1e-6]
    np.testing.assert_allclose(bonferroni(p_values), np.minimum(1, 4 * np.array(p_values)))
    assert bonferroni([]) == []
