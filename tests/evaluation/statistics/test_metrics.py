"""Metrics of classifications against scikit-learn, SciPy and plain loops; intervals against what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import beta
from sklearn import metrics as sklearn

from fullclip.evaluation.statistics.intervals import bootstrap_mean, by_class, clopper_pearson
from fullclip.evaluation.statistics.metrics import (
    accuracy,
    accuracy_at,
    confusion,
    map_11_point,
    mean_per_class,
    mean_top1_top5,
    rank_auc,
    ranks,
    roc_auc,
)
from fullclip.evaluation.statistics.video import mean_pm0_pm10


def sample(n: int = 300, classes: int = 7, *, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(n, classes)).astype(np.float32)
    labels = random.integers(classes, size=n)
    labels[:classes] = np.arange(classes)
    scores[np.arange(n), labels] += 1
    return (np.round(scores) if ties else scores), labels


@pytest.mark.parametrize("ties", [False, True])
def test_accuracies_are_those_of_argmax_and_of_a_stable_sort(ties):
    scores, labels = sample(ties=ties)
    assert accuracy(scores, labels, task="t").result.value == (scores.argmax(axis=1) == labels).mean()
    best = np.argsort(-scores, axis=1, kind="stable")
    for k in (1, 2, 5, 7):
        found = accuracy_at(scores, labels, task="t", k=k)
        assert found.result.value == np.mean([label in row[:k] for label, row in zip(labels, best, strict=True)])
        assert found.result.n == 300
        assert found.values.mean() == found.result.value
    if not ties:
        assert accuracy_at(scores, labels, task="t", k=5).result.value == sklearn.top_k_accuracy_score(labels, scores, k=5)
    top1, top5 = (accuracy_at(scores, labels, task="t", k=k).result.value for k in (1, 5))
    assert mean_top1_top5(scores, labels, task="t").result.value == pytest.approx((top1 + top5) / 2)


def test_the_mean_over_classes_and_the_confusions_are_scikit_learns():
    scores, labels = sample()
    predictions = scores.argmax(axis=1)
    found = mean_per_class(scores, labels, task="t").result
    assert found.value == pytest.approx(sklearn.balanced_accuracy_score(labels, predictions))
    assert found.interval[0] < found.value < found.interval[1]
    np.testing.assert_array_equal(confusion(predictions, labels, 7), sklearn.confusion_matrix(labels, predictions))


@given(st.integers(0, 10_000), st.booleans())
@settings(deadline=None, max_examples=30)
def test_the_area_under_the_curve_is_scikit_learns(seed, ties):
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=40)
    labels[:2] = [0, 1]
    scores = random.normal(size=40) + labels
    scores = np.round(scores) if ties else scores
    values, interval = rank_auc(scores, labels == 1)
    area = sklearn.roc_auc_score(labels, scores)
    assert values[labels == 1].mean() == pytest.approx(area)
    assert values[labels == 0].mean() == pytest.approx(area)
    assert interval[0] <= area + 1e-9
    assert interval[1] >= area - 1e-9


def test_roc_auc_compares_the_two_classes():
    random = np.random.default_rng(1)
    labels, scores = random.integers(2, size=50), random.normal(size=(50, 2))
    scores[np.arange(50), labels] += 1
    found = roc_auc(scores, labels, task="t").result
    assert found.value == pytest.approx(sklearn.roc_auc_score(labels, scores[:, 1] - scores[:, 0]))
    with pytest.raises(ValueError, match="of two classes"):
        roc_auc(*sample(), task="t")


def naive_eleven_points(scores: np.ndarray, targets: np.ndarray) -> float:
    """VOC2007's definition, step by step."""
    kept = targets >= 0
    order = np.argsort(-scores[kept], kind="stable")
    hits = (targets[kept][order] == 1).astype(int)
    points = []
    for level in range(11):
        best = 0.0
        for end in range(1, len(hits) + 1):
            if hits[:end].sum() / hits.sum() >= level / 10 - 1e-12:
                best = max(best, hits[:end].mean())
        points.append(best)
    return float(np.mean(points))


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_at_eleven_points(seed):
    random = np.random.default_rng(seed)
    scores, targets = random.normal(size=(40, 3)), random.choice([-1, 0, 0, 1], size=(40, 3))
    targets[0] = 1
    found = map_11_point(scores, targets, task="t").result
    assert found.value == pytest.approx(np.mean([naive_eleven_points(scores[:, c], targets[:, c]) for c in range(3)]))
    assert found.interval[0] < found.value < found.interval[1]
    perfect = map_11_point(np.where(targets == 1, 1.0, -1.0), targets, task="t")
    assert perfect.result.value == pytest.approx(1)
    np.testing.assert_array_equal(perfect.values, (targets == 1).any(axis=1))


def test_a_frame_must_hold_with_its_neighbours():
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    frames = [("a", 0, right), ("a", -3, right), ("a", 11, wrong), ("b", 0, right), ("b", 10, wrong), ("c", 0, wrong)]
    scores = np.array([row for _, _, row in frames])
    meta = [{"anchor": anchor, "offset": offset} for anchor, offset, _ in frames]
    found = mean_pm0_pm10(scores, np.zeros(6, dtype=int), meta, task="t")
    assert found.result.value == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert found.places.tolist() == [0, 3, 5]
    assert found.values.tolist() == [1, 0.5, 0]
    with pytest.raises(ValueError, match="anchor 'a' has 0 frames of offset 0"):
        mean_pm0_pm10(scores[1:2], np.zeros(1, dtype=int), meta[1:2], task="t")
    with pytest.raises(ValueError, match="says no 'anchor'"):
        mean_pm0_pm10(scores[:1], np.zeros(1, dtype=int), [{}], task="t")


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (10, 10), (3, 10), (471, 1000), (1, 1)])
def test_exact_intervals_are_betas(hits, n):
    low, high = clopper_pearson(hits, n)
    assert low == pytest.approx(beta.ppf(0.025, hits, n - hits + 1) if hits else 0)
    assert high == pytest.approx(beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(0)
    covered = {"exact": 0, "bootstrap": 0, "by class": 0}
    for _ in range(300):
        right = random.random(60) < 0.7
        values = random.gamma(2.0, size=60)
        numbers = np.array([20, 25, 15])
        hits = random.binomial(numbers, [0.5, 0.7, 0.9])
        for name, (low, high), truth in [
            ("exact", clopper_pearson(int(right.sum()), 60), 0.7),
            ("bootstrap", bootstrap_mean(values), 2.0),
            ("by class", by_class(hits, numbers), 0.7),
        ]:
            covered[name] += low <= truth <= high
    assert covered["exact"] >= 280
    assert covered["bootstrap"] >= 265
    assert covered["by class"] >= 265


def test_what_cannot_be_measured_is_an_error():
    scores, labels = sample()
    broken = scores.copy()
    broken[4, 2] = np.nan
    for said, call in [
        ("row 4 of the scores holds NaN", lambda: ranks(broken, labels)),
        ("label 7 is out of range: there are 7 classes", lambda: ranks(scores, np.where(labels == 3, 7, labels))),
        ("label -1 is out of range", lambda: ranks(scores, np.where(labels == 3, -1, labels))),
        ("no example to measure", lambda: accuracy(scores[:0], labels[:0], task="t")),
        ("0 of 0 is no share", lambda: clopper_pearson(0, 0)),
        ("class 1 has no example", lambda: map_11_point(scores[:, :2], np.array([[1, 0]] * 300), task="t")),
    ]:
        with pytest.raises(ValueError, match=said):
            call()
