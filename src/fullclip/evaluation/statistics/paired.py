"""Two models on the same examples: is one better? Paired tests, since what is hard for one model is hard for the other, too."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fullclip.core.extras import require
from fullclip.evaluation.statistics.calibration import error_of_resamples
from fullclip.evaluation.statistics.intervals import RESAMPLES, clopper_pearson, means_of_resamples, percentiles, resampled
from fullclip.evaluation.statistics.metrics import map_of_resamples

_MAP_RESAMPLES = 500
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "map_11_point": ("scores", "targets"),
    "ECE": ("values", "right"),
    "mean_per_class": ("values", "labels"),
    "roc_auc": ("values", "labels"),
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`difference` is the second model's value less the first's, over the `n` examples that both have, with its 95% interval;
    `p_value` of the two-sided `test` that there is none. `num_alone` examples are only in one of the two, and are left out.
    """

    task: str
    metric: str
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    n: int
    test: str
    num_alone: int = 0


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Both values, and the differences of resamples of the examples."""

    first: float
    second: float
    draws: Float[np.ndarray, " draws"]


def compare(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], *, task: str, metric: str) -> Comparison:
    """Compare two records' arrays: `keys` and `values`; `labels` for a mean over classes and the area under the ROC curve,
    `scores` and `targets` for the mean average precision, `right` for the calibration error; `groups`, where there are some,
    for examples that are not independent of each other, such as the captions of an image.

    Independent values of 0 and 1: McNemar's exact test. All others: the paired bootstrap of the metric itself, whose p-value
    is twice the share of resamples on the other side of zero. The interval is the bootstrap's. ValueError where the two have
    no example in common, an example has another label in each, or an array that the metric needs is missing.
    """
    needed = (*_NEEDED.get(metric, ("values",)), *(["groups"] if "groups" in first else []))
    missing = [name for name in ("keys", *needed) for arrays in (first, second) if name not in arrays]
    if missing:
        raise ValueError(f"{task}: {metric} cannot be compared example by example: there are no {missing[0]!r}")
    mine, theirs = _common(first["keys"], second["keys"])
    if not len(mine):
        raise ValueError(f"{task}: the two evaluations have no example in common; were they of the same data?")
    one, other = {name: first[name][mine] for name in needed}, {name: second[name][theirs] for name in needed}
    for name in ("labels", "targets"):
        if name in needed and not np.array_equal(one[name], other[name]):
            raise ValueError(
                f"{task}: an example has other {name} in one evaluation than in the other; measure one of them again"
            )
    found = _measured(metric, one, other)
    is_share = (
        metric not in _NEEDED and "groups" not in needed and set(np.unique([one["values"], other["values"]])) <= {0.0, 1.0}
    )
    low, high = percentiles(found.draws)
    if low == high == 0.0:  # no two answers differ: among n others some may
        high = clopper_pearson(0, len(mine))[1]
        low = -high
    return Comparison(
        task=task,
        metric=metric,
        first=found.first,
        second=found.second,
        difference=found.second - found.first,
        interval=(low, high),
        p_value=_mcnemar(one["values"], other["values"]) if is_share else _bootstrap_p(found.draws),
        n=len(mine),
        test="McNemar, exact" if is_share else "paired bootstrap",
        num_alone=len(first["keys"]) + len(second["keys"]) - 2 * len(mine),
    )


def _common(first: np.ndarray, second: np.ndarray) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Where the examples of both are in each; the second of one key is the other's second of that key."""
    places = {key: place for place, key in enumerate(_numbered(second))}
    pairs = [(place, places[key]) for place, key in enumerate(_numbered(first)) if key in places]
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _numbered(keys: np.ndarray) -> Iterator[tuple[str, int]]:
    seen = Counter[str]()
    for key in map(str, keys):
        seen[key] += 1
        yield key, seen[key]


def _measured(metric: str, one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> _Measured:
    if metric == "map_11_point":
        statistics = [map_of_resamples(arrays["scores"], arrays["targets"]) for arrays in (one, other)]
        return _of_statistics(*statistics, n=len(one["scores"]), draws=_MAP_RESAMPLES)
    if metric == "ECE":
        statistics = [error_of_resamples(arrays["values"].astype(np.float64), arrays["right"]) for arrays in (one, other)]
        return _of_statistics(*statistics, n=len(one["values"]), draws=RESAMPLES)
    values = (one["values"].astype(np.float64), other["values"].astype(np.float64))
    if "groups" in one:
        return _by_group(*values, one["groups"])
    if metric in _NEEDED:
        return _by_label(*values, one["labels"], is_sum=metric == "roc_auc")
    draws = means_of_resamples(values[1] - values[0], np.random.default_rng(0))
    return _Measured(first=float(values[0].mean()), second=float(values[1].mean()), draws=draws)


def _of_statistics(
    first: Callable[[np.ndarray], np.ndarray], second: Callable[[np.ndarray], np.ndarray], *, n: int, draws: int
) -> _Measured:
    ones = np.ones((1, n))
    found = resampled(n, lambda counts: second(counts) - first(counts), draws=draws)
    return _Measured(first=float(first(ones)[0]), second=float(second(ones)[0]), draws=found)


def _by_group(one: np.ndarray, other: np.ndarray, groups: np.ndarray) -> _Measured:
    """Groups are resampled, each with all its examples."""
    _, places = np.unique(groups, return_inverse=True)
    sums, numbers = np.bincount(places, weights=other - one), np.bincount(places)
    draws = resampled(len(numbers), lambda counts: counts @ sums / (counts @ numbers))
    return _Measured(first=float(one.mean()), second=float(other.mean()), draws=draws)


def _by_label(one: np.ndarray, other: np.ndarray, labels: np.ndarray, *, is_sum: bool) -> _Measured:
    """The mean of the classes' means, each class's examples resampled among themselves; those alone in their class with each
    other. `is_sum`: of the two sides of a ROC curve, whose shares average to its area each, deviations add up (DeLong 1988).
    """
    numbers = np.bincount(labels)
    num_classes, alone = int((numbers > 0).sum()), numbers[labels] == 1
    strata = np.where(alone, -1, labels)
    random, draws = np.random.default_rng(0), np.zeros(RESAMPLES)
    first, second = ([float(values[labels == label].mean()) for label in np.flatnonzero(numbers)] for values in (one, other))
    for stratum in np.unique(strata):
        inside = strata == stratum
        differences = (other - one)[inside]
        weight = (alone.sum() if stratum < 0 else 1) / (1 if is_sum else num_classes)
        fewer = max(len(differences) - 1, 1)  # a resample of few varies too little
        spread = np.sqrt(len(differences) / fewer)
        draws += weight * spread * (means_of_resamples(differences, random) - differences.mean())
    difference = float(np.mean(second) - np.mean(first))
    return _Measured(first=float(np.mean(first)), second=float(np.mean(second)), draws=difference + draws)


def _mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """Of the examples that only one of the two has right, is it one of them more often?"""
    gained, lost = int((other > one).sum()), int((one > other).sum())
    if gained + lost == 0:
        return 1.0
    return float(require("scipy.stats", extra="eval").binomtest(gained, gained + lost, 0.5).pvalue)


def _bootstrap_p(draws: Float[np.ndarray, " draws"]) -> float:
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(draws) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values that hold for all of a family of tests together (Holm 1979), in the order they came."""
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[int(place)]))
        adjusted[int(place)] = largest
    return adjusted
