"""Two models on the same examples: is one better? Paired tests, since what is hard for one model is hard for the other, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fullclip.core.extras import require
from fullclip.evaluation.statistics.intervals import percentiles, resampled


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


def compare(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], *, task: str, metric: str) -> Comparison:
    """Compare two records' arrays: `keys`, `values`, and, for a mean over classes, `labels`.

    Values of 0 and 1: McNemar's exact test. All others: the paired bootstrap, whose p-value is twice the share of resamples on
    the other side of zero. The interval is the bootstrap's. ValueError where the two have no example in common.
    """
    places = {str(key): place for place, key in enumerate(second["keys"])}
    mine = [place for place, key in enumerate(first["keys"]) if str(key) in places]
    theirs = [places[str(first["keys"][place])] for place in mine]
    if not mine:
        raise ValueError(f"{task}: the two evaluations have no example in common; were they of the same data?")
    one, other = first["values"][mine].astype(np.float64), second["values"][theirs].astype(np.float64)
    by_class = metric == "mean_per_class"
    weights = _class_weights(first["labels"][mine]) if by_class else np.full(len(one), 1 / len(one))
    draws = resampled(len(one), lambda counts: _means(counts, other - one, weights))
    is_share = not by_class and set(np.unique([one, other])) <= {0.0, 1.0}
    p_value = _mcnemar(one, other) if is_share else _bootstrap_p(draws)
    return Comparison(
        task=task,
        metric=metric,
        first=float(one @ weights),
        second=float(other @ weights),
        difference=float((other - one) @ weights),
        interval=percentiles(draws),
        p_value=p_value,
        n=len(one),
        test="McNemar, exact" if is_share else "paired bootstrap",
        num_alone=len(first["keys"]) + len(second["keys"]) - 2 * len(mine),
    )


def _class_weights(labels: np.ndarray) -> Float[np.ndarray, " n"]:
    """So that a weighted sum over examples is the mean of the classes' means."""
    numbers = np.bincount(labels)
    weights: np.ndarray = 1 / numbers[labels] / (numbers > 0).sum()
    return weights


def _means(counts: Float[np.ndarray, "draws n"], values: np.ndarray, weights: np.ndarray) -> Float[np.ndarray, " draws"]:
    found: np.ndarray = counts @ (values * weights) / (counts @ weights)
    return found


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
