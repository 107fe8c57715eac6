"""Metrics of classifications against scikit-learn, SciPy and plain loops; intervals against what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import beta, norm
from sklearn import metrics as sklearn

from fullclip.evaluation.statistics import intervals, metrics as measured
from fullclip.evaluation.statistics.intervals import bootstrap_mean, by_class, clopper_pearson, resampled
from fullclip.evaluation.statistics.metrics import (
    accuracy,
    accuracy_at,
    average_precisions,
    confusion,
    map_11_point,
    map_of_resamples,
    mean_per_class,
    mean_top1_top5,
    rank_auc,
    ranks,
    roc_auc,
)
from fullclip.evaluation.statistics.video import lost_anchors, mean_pm0_pm10
from peers import unchecked


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
    # of equal scores scikit-learn takes the last class first, so its classes are turned round
    for k in (1, 2, 5):
        turned = sklearn.top_k_accuracy_score(6 - labels, scores[:, ::-1], k=k, labels=np.arange(7))
        assert accuracy_at(scores, labels, task="t", k=k).result.value == pytest.approx(turned)
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


def test_the_variance_of_an_area_is_what_resampling_finds():
    random = np.random.default_rng(5)
    up, down = random.normal(size=120) + 1.2, random.normal(size=300)
    _, (low, high) = rank_auc(np.concatenate([up, down]), np.arange(420) < 120)
    areas = []
    for _ in range(1500):
        ones, others = random.choice(up, 120), random.choice(down, 300)
        areas.append((ones[:, None] > others).mean() + (ones[:, None] == others).mean() / 2)
    np.testing.assert_allclose((low, high), np.percentile(areas, [2.5, 97.5]), atol=0.006)


def test_areas_intervals_cover_the_truth():
    random = np.random.default_rng(6)
    for distance, ups, downs in ((0.3, 100, 100), (1.0, 20, 20), (2.0, 50, 200)):
        truth, covered = norm.cdf(distance / np.sqrt(2)), 0
        for _ in range(300):
            scores = np.concatenate([random.normal(size=ups) + distance, random.normal(size=downs)])
            low, high = rank_auc(scores, np.arange(ups + downs) < ups)[1]
            covered += low <= truth <= high
        assert 274 <= covered <= 297, (distance, covered)


def test_what_went_all_right_is_not_certain():
    perfect, labels = np.eye(3)[[0, 1, 2] * 4], np.array([0, 1, 2] * 4)
    exact = pytest.approx(beta.ppf(0.025, 12, 1))
    for measure in (accuracy, mean_per_class, mean_top1_top5):
        result = measure(perfect, labels, task="t").result
        assert (result.value, result.interval) == (1.0, (exact, 1.0)), measure
    none = mean_top1_top5(np.tile(np.arange(7.0), (9, 1)), np.zeros(9, dtype=int), task="t").result
    assert none.interval == (0.0, pytest.approx(beta.ppf(0.975, 1, 9)))
    area = roc_auc(np.array([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 8), np.array([0] * 5 + [1] * 8), task="t").result
    assert (area.value, area.interval) == (1.0, (pytest.approx(beta.ppf(0.025, 5, 1)), 1.0))


def test_roc_auc_compares_the_two_classes():
    random = np.random.default_rng(1)
    labels, scores = random.integers(2, size=50), random.normal(size=(50, 2))
    scores[np.arange(50), labels] += 1
    found = roc_auc(scores, labels, task="t").result
    assert found.value == pytest.approx(sklearn.roc_auc_score(labels, scores[:, 1] - scores[:, 0]))
    with pytest.raises(ValueError, match=r"t: ROC AUC is of two classes .* there are 7, and examples of 0, 1, 2, 3, 4"):
        roc_auc(*sample(), task="t")
    with pytest.raises(ValueError, match="there are 2, and examples of 1"):
        roc_auc(scores, np.ones(50, dtype=int), task="t")


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


def devkit(scores: np.ndarray, gt: np.ndarray) -> float:
    """What VOC2007's VOCevalcls computes: 1 and -1 count, 0 (difficult) is neither right nor wrong."""
    order = np.argsort(-scores, kind="stable")
    true, false = np.cumsum(gt[order] > 0), np.cumsum(gt[order] < 0)
    with np.errstate(invalid="ignore"):
        recall, precision = true / (gt > 0).sum(), true / (true + false)
    average = 0.0
    for level in np.linspace(0, 1, 11):
        reached = precision[recall >= level - 1e-12]
        average += np.nanmax(reached) / 11
    return float(average)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_that_of_the_devkit(seed, ties):
    random = np.random.default_rng(seed)
    scores, targets = random.normal(size=(60, 4)).astype(np.float32), random.choice([-1, 0, 0, 1], size=(60, 4)).astype(np.int8)
    targets[0] = 1
    scores = np.round(scores) if ties else scores
    found = average_precisions(scores, targets, task="t")
    signed = np.select([targets == 1, targets == 0], [1, -1], 0)
    np.testing.assert_allclose(found, [devkit(scores[:, c], signed[:, c]) for c in range(4)])


def test_average_precision_of_a_resample_is_that_of_its_examples():
    random = np.random.default_rng(2)
    scores, targets = random.normal(size=(50, 2)), random.choice([-1, 0, 1], size=(50, 2))
    drawn = np.sort(random.integers(50, size=50))
    counts = np.bincount(drawn, minlength=50)[None].astype(float)
    # examples drawn twice tie, and a tie is seen as a whole
    expected = []
    for c in range(2):
        order = np.argsort(-scores[:, c], kind="stable")
        kept = order[(targets[order, c] >= 0) & (counts[0, order] > 0)]
        hits, seen = np.cumsum(counts[0, kept] * (targets[kept, c] == 1)), np.cumsum(counts[0, kept])
        best = [max((hits / seen)[hits >= level * hits[-1] / 10 - 1e-9]) for level in range(11)]
        expected.append(np.mean(best))
    assert map_of_resamples(scores, targets)(counts)[0] == pytest.approx(np.mean(expected))
    shown_by_one = np.array([[1, 1], [0, 1], [0, 0]])
    only = map_of_resamples(scores[:3], shown_by_one)(np.array([[0.0, 3.0, 0.0]]))
    assert only[0] == 1.0  # class 0 is shown by none that was drawn


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
    lost = mean_pm0_pm10(scores[1:], np.zeros(5, dtype=int), meta[1:], task="t")
    assert (lost.result.n, lost.result.value) == (2, 0.25)
    assert lost_anchors(meta[1:], task="t") == ["a"]
    assert lost_anchors(meta, task="t") == []
    with pytest.raises(ValueError, match="t: no anchor has a frame of offset 0"):
        mean_pm0_pm10(scores[1:2], np.zeros(1, dtype=int), meta[1:2], task="t")
    with pytest.raises(ValueError, match="t: anchor 'a' has 2 frames of offset 0; one is needed"):
        mean_pm0_pm10(scores[:2], np.zeros(2, dtype=int), [meta[0], meta[0]], task="t")
    with pytest.raises(ValueError, match="example 0 has the offset 'left'; write a number of frames"):
        mean_pm0_pm10(scores[:1], np.zeros(1, dtype=int), [{"anchor": "a", "offset": "left"}], task="t")
    with pytest.raises(ValueError, match="says no 'anchor'"):
        mean_pm0_pm10(scores[:1], np.zeros(1, dtype=int), [{}], task="t")


def test_frames_of_random_videos_are_those_of_loops():
    random = np.random.default_rng(0)
    meta, labels = [], []
    for anchor in range(30):
        offsets = [0, *random.choice(np.delete(np.arange(-15, 16), 15), size=8, replace=False).tolist()]
        meta += [{"anchor": f"v{anchor}", "offset": str(offset)} for offset in offsets]
        labels += [anchor % 4] * 9
    order = random.permutation(len(meta))
    meta, labels = [meta[i] for i in order], np.array(labels)[order]
    scores = random.normal(size=(len(meta), 4))
    scores[np.arange(len(meta)), labels] += 3
    right = scores.argmax(axis=1) == labels
    pm0 = [right[i] for i, one in enumerate(meta) if one["offset"] == "0"]
    near = [(one["anchor"], right[i]) for i, one in enumerate(meta) if abs(int(one["offset"])) <= 10]
    pm10 = [all(held for anchor, held in near if anchor == f"v{number}") for number in range(30)]
    found = mean_pm0_pm10(scores, labels, meta, task="t").result
    assert found.value == pytest.approx((np.mean(pm0) + np.mean(pm10)) / 2)
    assert 0 < np.mean(pm10) < np.mean(pm0) < 1


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


@pytest.mark.parametrize("numbers", [[1] * 100, [3] * 50, [40] * 10, [1, 2, 5, 30]])
def test_the_mean_over_classes_is_covered_for_small_classes(numbers):
    random = np.random.default_rng(1)
    sizes, covered = np.array(numbers), 0
    truth = random.uniform(0.5, 0.9, len(sizes))
    for _ in range(200):
        low, high = by_class(random.binomial(sizes, truth), sizes)
        covered += low <= truth.mean() <= high
    assert covered >= 176


def test_drawing_how_often_a_value_occurs_is_drawing_the_examples(monkeypatch):
    random = np.random.default_rng(3)
    values = random.choice([0.0, 0.5, 1.0], size=400, p=[0.2, 0.3, 0.5])
    quick = np.array(bootstrap_mean(values))
    monkeypatch.setattr(intervals, "_FEW_LEVELS", 0)
    np.testing.assert_allclose(quick, bootstrap_mean(values), atol=0.006)


def test_resamples_in_blocks_are_those_in_one(monkeypatch):
    values = np.random.default_rng(0).normal(size=30)
    whole = resampled(30, lambda counts: counts @ values, draws=50)
    monkeypatch.setattr(intervals, "_CELLS", 70)
    np.testing.assert_allclose(resampled(30, lambda counts: counts @ values, draws=50), whole)
    assert whole.std() == pytest.approx(values.std() * np.sqrt(30), rel=0.3)


def test_ranks_in_blocks_are_those_in_one(monkeypatch):
    scores, labels = sample(ties=True)
    whole = ranks(scores, labels)
    monkeypatch.setattr(measured, "_ROWS", 7)
    np.testing.assert_array_equal(ranks(scores, labels), whole)


def test_what_cannot_be_measured_is_an_error():
    scores, labels = sample()
    broken = scores.copy()
    broken[4, 2] = np.nan
    for said, call in [
        ("row 4 of the scores holds NaN", lambda: ranks(broken, labels)),
        ("label 7 is out of range: there are 7 classes", lambda: ranks(scores, np.where(labels == 3, 7, labels))),
        ("label -1 is out of range", lambda: ranks(scores, np.where(labels == 3, -1, labels))),
        ("no example to measure", lambda: accuracy(scores[:0], labels[:0], task="t")),
        ("299 labels for 300 rows", lambda: accuracy(scores, labels[:-1], task="t")),
        (r"\[300, 3\] targets for \[300, 7\] scores", lambda: map_11_point(scores, np.ones((300, 3), dtype=int), task="t")),
        ("row 4 of the scores holds NaN", lambda: map_11_point(broken, np.ones((300, 7), dtype=int), task="t")),
        ("no example to measure", lambda: bootstrap_mean(np.zeros(0))),
        ("0 of 0 is no share", lambda: clopper_pearson(0, 0)),
        ("7 of 5 is no share", lambda: clopper_pearson(7, 5)),
        ("class 1 has no example", lambda: map_11_point(scores[:, :2], np.array([[1, 0]] * 300), task="t")),
    ]:
        with unchecked(), pytest.raises(ValueError, match=said):
            call()
