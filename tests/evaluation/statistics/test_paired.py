"""Paired tests against SciPy, formulas and simulation."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from fullclip.evaluation.statistics.metrics import map_11_point, rank_auc
from fullclip.evaluation.statistics.paired import compare, holm


def arrays(values: np.ndarray, **others: np.ndarray) -> dict[str, np.ndarray]:
    return {"keys": np.array([f"k{i}" for i in range(len(values))]), "values": values, **others}


def shares(n: int, first: float, second: float, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What two models that find the same examples hard have right."""
    random = np.random.default_rng(seed)
    hard = random.random(n)
    return tuple(((0.7 * hard + 0.3 * random.random(n)) < share).astype(float) for share in (first, second))


@pytest.mark.parametrize("seed", range(4))
def test_answers_that_are_right_or_wrong_have_mcnemars_exact_test(seed):
    one, other = shares(200, 0.5, 0.55, seed=seed)
    found = compare(arrays(one), arrays(other), task="t", metric="accuracy")
    gained, lost = int(((one == 0) & (other == 1)).sum()), int(((one == 1) & (other == 0)).sum())
    tail = min(1.0, 2 * binom.cdf(min(gained, lost), gained + lost, 0.5))
    assert found.p_value == pytest.approx(binomtest(gained, gained + lost).pvalue) == pytest.approx(tail)
    assert (found.test, found.n, found.num_alone) == ("McNemar, exact", 200, 0)
    assert found.difference == pytest.approx((gained - lost) / 200) == pytest.approx(found.second - found.first)
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_a_comparison_turned_round_says_the_same():
    one, other = shares(150, 0.5, 0.6)
    there, back = (compare(arrays(a), arrays(b), task="t", metric="accuracy") for a, b in ((one, other), (other, one)))
    assert back.difference == -there.difference
    assert back.p_value == there.p_value


def test_intervals_of_differences_cover_the_truth():
    covered = 0
    truth = np.subtract(*[one.mean() for one in reversed(shares(2_000_000, 0.5, 0.58))])
    for seed in range(200):
        one, other = shares(120, 0.5, 0.58, seed=seed + 1)
        low, high = compare(arrays(one), arrays(other), task="t", metric="accuracy").interval
        covered += low <= truth <= high
    assert covered >= 182


def test_p_values_of_equal_models_are_seldom_small():
    for metric in ("accuracy", "mean_per_class", "mean_top1_top5", "roc_auc"):
        small = 0
        for seed in range(100):
            random = np.random.default_rng(seed)
            labels = random.integers(2 if metric == "roc_auc" else 8, size=90)
            one, other = shares(90, 0.5, 0.5, seed=seed)
            if metric == "mean_top1_top5":
                one, other = (one + shares(90, 0.5, 0.5, seed=seed + 1000)[0]) / 2, (other + one) / 2
            if metric == "roc_auc":
                one, other = (rank_auc(labels + 2 * value + random.normal(size=90), labels == 1)[0] for value in (one, other))
            small += compare(arrays(one, labels=labels), arrays(other, labels=labels), task="t", metric=metric).p_value < 0.05
        assert small <= 13, metric


def test_the_mean_over_classes_is_compared_as_such():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [100, 10, 3, 1])
    one, other = shares(114, 0.5, 0.6)
    found = compare(arrays(one, labels=labels), arrays(other, labels=labels), task="t", metric="mean_per_class")
    means = [np.mean([values[labels == label].mean() for label in range(4)]) for values in (one, other)]
    assert (found.first, found.second) == pytest.approx(means)
    assert found.test == "paired bootstrap"
    labels = np.repeat(np.arange(2), [400, 60])
    one, other = shares(460, 0.5, 0.6)
    found = compare(arrays(one, labels=labels), arrays(other, labels=labels), task="t", metric="mean_per_class")
    draws = []
    for _ in range(1000):
        parts = [random.choice(np.flatnonzero(labels == label), (labels == label).sum()) for label in range(2)]
        draws.append(np.mean([(other - one)[part].mean() for part in parts]))
    np.testing.assert_allclose(found.interval, np.percentile(draws, [2.5, 97.5]), atol=0.02)


def test_areas_are_compared_as_resampling_both_sides_does():
    random = np.random.default_rng(3)
    labels = np.repeat([0, 1], [150, 60])
    common = random.normal(size=210) + labels
    scores = [common + random.normal(size=210), common + 0.5 * random.normal(size=210)]
    values = [rank_auc(one, labels == 1)[0] for one in scores]
    found = compare(*[arrays(one, labels=labels) for one in values], task="t", metric="roc_auc")

    def area(one: np.ndarray, ups: np.ndarray, downs: np.ndarray) -> float:
        return float((one[ups][:, None] > one[downs]).mean() + (one[ups][:, None] == one[downs]).mean() / 2)

    every = (np.arange(150, 210), np.arange(150))
    assert (found.first, found.second) == pytest.approx([area(one, *every) for one in scores])
    draws = []
    for _ in range(800):
        drawn = [random.choice(side, len(side)) for side in every]
        draws.append(area(scores[1], *drawn) - area(scores[0], *drawn))
    np.testing.assert_allclose(found.interval, np.percentile(draws, [2.5, 97.5]), atol=0.012)


def test_the_mean_average_precision_is_compared_itself():
    random = np.random.default_rng(0)
    targets = (random.random((200, 3)) < 0.3).astype(np.int8)
    scores = [(targets + noise * random.normal(size=(200, 3))).astype(np.float32) for noise in (2.0, 0.5)]
    records = [arrays(map_11_point(one, targets, task="t").values, scores=one, targets=targets) for one in scores]
    found = compare(*records, task="t", metric="map_11_point")
    expected = [map_11_point(one, targets, task="t").result.value for one in scores]
    assert (found.first, found.second) == pytest.approx(expected)
    assert found.interval[0] < found.difference < found.interval[1]
    assert found.p_value < 0.01
    assert compare(records[0], records[0], task="t", metric="map_11_point").p_value == 1


def test_the_calibration_error_is_compared_itself():
    random = np.random.default_rng(0)
    confidence = random.random(500)
    right = random.random(500) < confidence
    found = compare(arrays(confidence, right=right), arrays(confidence**0.3, right=right), task="t", metric="ECE")
    assert found.second > 0.1 > found.first
    assert found.p_value < 0.01


def test_captions_of_an_image_are_drawn_together():
    groups = np.repeat(np.arange(60), 5)
    random = np.random.default_rng(0)
    one, other = np.repeat(random.random(60) < 0.5, 5).astype(float), np.repeat(random.random(60) < 0.6, 5).astype(float)
    apart = compare(arrays(one), arrays(other), task="t", metric="text-to-image recall@1")
    together = compare(arrays(one, groups=groups), arrays(other, groups=groups), task="t", metric="text-to-image recall@1")
    widths = [found.interval[1] - found.interval[0] for found in (apart, together)]
    assert widths[1] == pytest.approx(np.sqrt(5) * widths[0], rel=0.15)
    assert together.p_value > apart.p_value
    assert together.test == "paired bootstrap"


def test_what_only_one_has_is_left_out_and_order_does_not_matter():
    one, other = shares(100, 0.5, 0.7)
    second = arrays(other)
    turned = {name: array[::-1][:90] for name, array in second.items()}
    found = compare(arrays(one), turned, task="t", metric="accuracy")
    assert (found.n, found.num_alone) == (90, 10)
    assert found.first == pytest.approx(one[10:].mean())
    assert found.difference == pytest.approx((other - one)[10:].mean())


def test_a_key_that_is_there_twice_meets_its_own():
    twice = {"keys": np.array(["a", "a", "b"]), "values": np.array([1.0, 0.0, 1.0])}
    found = compare(twice, twice, task="t", metric="accuracy")
    assert (found.n, found.difference, found.p_value, found.num_alone) == (3, 0.0, 1.0, 0)


def test_answers_that_never_differ_leave_room_for_doubt():
    found = compare(arrays(np.ones(50)), arrays(np.ones(50)), task="t", metric="accuracy")
    limit = 1 - 0.025 ** (1 / 50)  # of what is found in none of fifty
    assert found.interval == pytest.approx((-limit, limit))
    assert found.p_value == 1


def test_what_cannot_be_compared_is_an_error():
    one = arrays(np.ones(4), labels=np.array([0, 0, 1, 1]))
    elsewhere = {**one, "keys": np.array(["x", "y", "z", "w"])}
    relabelled = {**one, "labels": np.array([0, 1, 1, 1])}
    for said, second, metric in [
        ("t: the two evaluations have no example in common; were they of the same data", elsewhere, "accuracy"),
        ("t: an example has other labels in one evaluation than in the other", relabelled, "mean_per_class"),
        ("t: map_11_point cannot be compared example by example: there are no 'scores'", one, "map_11_point"),
        ("t: ECE cannot be compared example by example: there are no 'right'", one, "ECE"),
    ]:
        with pytest.raises(ValueError, match=said):
            compare(one, second, task="t", metric=metric)


def test_holms_values_are_those_of_the_step_down_rule():
    """As statsmodels' multipletests(method="holm"): p_(i) (m - i), its running maximum, at most 1."""
    random = np.random.default_rng(0)
    for m in (1, 2, 7):
        p_values = random.random(m).round(2)
        order = np.argsort(p_values)
        expected = np.empty(m)
        expected[order] = np.clip(np.maximum.accumulate(p_values[order] * np.arange(m, 0, -1)), None, 1)
        assert holm(p_values.tolist()) == pytest.approx(expected.tolist())
    assert holm([]) == []
    # rejecting at 5% by these is Holm's own rule
    p_values = [0.012, 0.04, 0.01, 0.3]
    rejected, left = set(), 4
    for place in np.argsort(p_values):
        if p_values[place] > 0.05 / left:
            break
        rejected.add(int(place))
        left -= 1
    assert {place for place, p in enumerate(holm(p_values)) if p <= 0.05} == rejected == {0, 2}
