"""The paper's metrics of classifications (Table 9, section 3.3): scores and what is right in; a result with its interval out.

Scores may be anything that is larger for what is more likely: cosine similarities, logits, probabilities. The class with the
largest score is the answer, the first of those that are equal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fullclip.core.extras import require
from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import (
    LEVEL,
    by_class,
    clopper_pearson,
    mean_of_shares,
    percentiles,
    resampled,
    widened,
)

Scores = Float[np.ndarray, "n classes"]
Labels = Int[np.ndarray, " n"]
Targets = Int[np.ndarray, "n classes"]
_ROWS = 4096  # of scores that are looked at together
_MAP_RESAMPLES = 500


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A result, and what it is made of example by example: the result's mean, or for a mean over classes, theirs. `places` are
    the examples that the values belong to; None is all of them.
    """

    result: Result
    values: Float[np.ndarray, " n"]
    places: Int[np.ndarray, " n"] | None = None


def ranks(scores: Scores, labels: Labels) -> Int[np.ndarray, " n"]:
    """How many classes stand before each example's own, 0 to classes - 1: of equal scores the first stands first.

    ValueError for scores that are not finite, for labels out of range, and where there is no example.
    """
    check_scores(scores)
    if len(labels) != len(scores):
        raise ValueError(f"{len(labels)} labels for {len(scores)} rows of scores")
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        wrong = labels[(labels < 0) | (labels >= scores.shape[1])][0]
        raise ValueError(f"label {wrong} is out of range: there are {scores.shape[1]} classes, from 0")
    places = np.empty(len(scores), dtype=np.int64)
    for start in range(0, len(scores), _ROWS):
        rows, own = scores[start : start + _ROWS], labels[start : start + _ROWS, None]
        best = np.take_along_axis(rows, own, axis=1)
        equals, counts = rows == best, np.count_nonzero(rows > best, axis=1)
        tied = np.flatnonzero(np.count_nonzero(equals, axis=1) > 1)
        counts[tied] += (equals[tied] & (np.arange(scores.shape[1]) < own[tied])).sum(axis=1)
        places[start : start + _ROWS] = counts
    return places


def check_scores(scores: Scores) -> None:
    """ValueError where there is no example, or a score is not a finite number."""
    if len(scores) == 0:
        raise ValueError("there is no example to measure")
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0])
        raise ValueError(f"row {row} of the scores holds NaN or infinity: are the model's weights finite?")


def accuracy_at(scores: Scores, labels: Labels, *, task: str, k: int = 1) -> Measured:
    """The share of examples whose class is among the `k` best; Clopper-Pearson interval."""
    right = ranks(scores, labels) < k
    name = "accuracy" if k == 1 else f"accuracy@{k}"
    interval = clopper_pearson(int(right.sum()), len(right))
    result = Result(task=task, metric=name, value=float(right.mean()), interval=interval, n=len(right))
    return Measured(result=result, values=right.astype(np.float64))


def accuracy(scores: Scores, labels: Labels, *, task: str) -> Measured:
    """Top-1."""
    return accuracy_at(scores, labels, task=task)


def mean_per_class(scores: Scores, labels: Labels, *, task: str) -> Measured:
    """The mean of the classes' accuracies, over classes that have examples; each class is resampled for the interval."""
    right = ranks(scores, labels) == 0
    hits, numbers = per_class(right, labels, scores.shape[1])
    there = numbers > 0
    interval = by_class(hits[there], numbers[there])
    value = float((hits[there] / numbers[there]).mean())
    result = Result(task=task, metric="mean_per_class", value=value, interval=interval, n=len(right))
    return Measured(result=result, values=right.astype(np.float64))


def per_class(
    right: np.ndarray, labels: Labels, num_classes: int
) -> tuple[Int[np.ndarray, " classes"], Int[np.ndarray, " classes"]]:
    """(right answers, examples) of each class."""
    numbers = np.bincount(labels, minlength=num_classes)
    return np.bincount(labels[right], minlength=num_classes), numbers


def confusion(predictions: Labels, labels: Labels, num_classes: int) -> Int[np.ndarray, "classes classes"]:
    """How often each class (row) was answered with each class (column)."""
    return np.bincount(labels * num_classes + predictions, minlength=num_classes**2).reshape(num_classes, num_classes)


def mean_top1_top5(scores: Scores, labels: Labels, *, task: str) -> Measured:
    """The mean of top-1 and top-5 accuracy, as for Kinetics-700; bootstrap interval."""
    found = ranks(scores, labels)
    values = ((found < 1).astype(np.float64) + (found < 5)) / 2
    value, interval = float(values.mean()), mean_of_shares(values)
    result = Result(task=task, metric="mean_top1_top5", value=value, interval=interval, n=len(values))
    return Measured(result=result, values=values)


def roc_auc(scores: Scores, labels: Labels, *, task: str) -> Measured:
    """The chance that an example of class 1 scores higher for class 1 than one of class 0 does; a tie counts half.

    Of two classes; what is compared is the difference of the two scores. An example's value is the share of the other class's
    examples that it is on the right side of. ValueError unless there are two classes with examples of both.
    """
    check_scores(scores)
    there = sorted(set(labels.tolist()))
    if scores.shape[1] != 2 or there != [0, 1]:
        raise ValueError(
            f"{task}: ROC AUC is of two classes with examples of both; there are {scores.shape[1]},"
            f" and examples of {', '.join(map(str, there[:5])) or 'none'}"
        )
    wide = scores.astype(np.float64)
    values, interval = rank_auc(wide[:, 1] - wide[:, 0], labels == 1)
    value = float(values[labels == 1].mean())
    return Measured(result=Result(task=task, metric="roc_auc", value=value, interval=interval, n=len(labels)), values=values)


def rank_auc(scores: Float[np.ndarray, " n"], positive: np.ndarray) -> tuple[Float[np.ndarray, " n"], tuple[float, float]]:
    """(for each example the share of the other side that it is rightly ordered with, a tie being half; the interval of the
    area under the ROC curve, which is the mean of either side's shares).

    The variance is DeLong's (1988), of the shares; the interval is symmetric in the area's logit, so that it stays between 0
    and 1. An area of 0 or 1 has the exact interval of as many pairs as the smaller side has examples.
    """
    ordered = {side: np.sort(scores[positive == side]) for side in (True, False)}
    values = np.empty(len(scores))
    for side in (True, False):
        other, own = ordered[not side], scores[positive == side]
        below = np.searchsorted(other, own, "left") / len(other)
        up_to = np.searchsorted(other, own, "right") / len(other)
        share = (below + up_to) / 2
        values[positive == side] = share if side else 1 - share
    return values, _delong(values[positive], values[~positive])


def _delong(ups: Float[np.ndarray, " n"], downs: Float[np.ndarray, " m"]) -> tuple[float, float]:
    area, pairs = float(ups.mean()), min(len(ups), len(downs))
    if not 0 < area < 1 or pairs < 2:  # one example of a side says nothing of that side's variance
        return widened((0.0, 1.0), area, pairs)
    deviation = np.sqrt(ups.var(ddof=1) / len(ups) + downs.var(ddof=1) / len(downs))
    special = require("scipy.special", extra="eval")
    reach = special.ndtri((1 + LEVEL) / 2) * deviation / (area * (1 - area))
    return float(special.expit(special.logit(area) - reach)), float(special.expit(special.logit(area) + reach))


def map_11_point(scores: Scores, targets: Targets, *, task: str) -> Measured:
    """The mean over classes of VOC2007's average precision: of the precisions at recalls of 0, 0.1, ..., 1, each the best at
    that recall or a higher one. A target of -1 was not judged, and counts for nothing.

    Equal scores are ranked in the examples' order. Bootstrap interval over examples; an example's value is whether
    the best of its judged classes is one that it shows. ValueError for a class without a positive example.
    """
    value = float(average_precisions(scores, targets, task=task).mean())
    interval = percentiles(resampled(len(scores), map_of_resamples(scores, targets), draws=_MAP_RESAMPLES))
    best = np.where(targets >= 0, scores, -np.inf).argmax(axis=1)
    shown = targets[np.arange(len(scores)), best] == 1
    result = Result(
        task=task, metric="map_11_point", value=value, interval=widened(interval, value, len(scores)), n=len(scores)
    )
    return Measured(result=result, values=shown.astype(np.float64))


def average_precisions(scores: Scores, targets: Targets, *, task: str) -> Float[np.ndarray, " classes"]:
    """Each class's; ValueError for one without a positive example."""
    check_scores(scores)
    if targets.shape != scores.shape:
        raise ValueError(f"{list(targets.shape)} targets for {list(scores.shape)} scores")
    missing = np.flatnonzero((targets == 1).sum(axis=0) == 0)
    if len(missing):
        raise ValueError(f"{task}: class {missing[0]} has no example that shows it; its average precision is not defined")
    ones = np.ones((1, len(scores)))
    return np.array([_eleven(ones, *_ranking(scores[:, c], targets[:, c]))[0] for c in range(scores.shape[1])])


def map_of_resamples(scores: Scores, targets: Targets) -> Callable[[Float[np.ndarray, "draws n"]], Float[np.ndarray, " draws"]]:
    """How often each example was drawn -> the mean average precision, over classes that are shown by one that was drawn."""
    rankings = [_ranking(scores[:, c], targets[:, c]) for c in range(scores.shape[1])]

    def means(counts: Float[np.ndarray, "draws n"]) -> Float[np.ndarray, " draws"]:
        total, there = np.zeros(len(counts)), np.zeros(len(counts))
        for kept, shows in rankings:
            found = _eleven(counts, kept, shows)
            total += np.nan_to_num(found)
            there += np.isfinite(found)
        return total / np.maximum(there, 1)

    return means


def _ranking(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the judged examples of a class, the best first; which of them show it)."""
    order = np.argsort(-scores, kind="stable")
    kept = order[targets[order] >= 0]
    return kept, targets[kept] == 1


def _eleven(counts: Float[np.ndarray, "draws n"], kept: np.ndarray, shows: np.ndarray) -> Float[np.ndarray, " draws"]:
    """Average precision for examples that count so often, in the order of their scores; NaN where none that shows is drawn.

    Precision is looked at where an example is shown only: recall rises there, and precision is the best of its neighbours'.
    """
    places = np.flatnonzero(shows)
    weights = counts[:, kept]
    hits = np.cumsum(weights[:, places], axis=1)
    seen = np.cumsum(weights, axis=1)[:, places]
    precision = hits / np.maximum(seen, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    number = hits[:, -1]
    total, rows = np.zeros(len(counts)), np.arange(len(counts))
    for level in np.arange(11) / 10:
        first = (hits >= (level * number - 1e-9)[:, None]).argmax(axis=1)
        total += best[rows, first]
    return np.where(number > 0, total / 11, np.nan)


SINGLE_LABEL: Mapping[str, Callable[..., Measured]] = {
    "accuracy": accuracy,
    "mean_per_class": mean_per_class,
    "mean_top1_top5": mean_top1_top5,
    "roc_auc": roc_auc,
}
