"""The paper's metrics of classifications (Table 9, section 3.3): scores and what is right in; a result with its interval out.

Scores may be anything that is larger for what is more likely: cosine similarities, logits, probabilities. The class with the
largest score is the answer, the first of those that are equal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import bootstrap_mean, by_class, clopper_pearson, percentiles, resampled

Scores = Float[np.ndarray, "n classes"]
Labels = Int[np.ndarray, " n"]
Targets = Int[np.ndarray, "n classes"]


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
    own = scores[np.arange(len(scores)), labels][:, None]
    before = np.arange(scores.shape[1])[None] < labels[:, None]
    places: np.ndarray = ((scores > own) | ((scores == own) & before)).sum(axis=1)
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
    result = Result(
        task=task, metric="mean_top1_top5", value=float(values.mean()), interval=bootstrap_mean(values), n=len(values)
    )
    return Measured(result=result, values=values)


def roc_auc(scores: Scores, labels: Labels, *, task: str) -> Measured:
    """The chance that an example of class 1 scores higher for class 1 than one of class 0 does; a tie counts half.

    Of two classes; what is compared is the difference of the two scores. Bootstrap interval. An example's value is the share
    of the other class's examples that it is on the right side of. ValueError unless both classes have examples.
    """
    check_scores(scores)
    if scores.shape[1] != 2 or set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"{task}: ROC AUC is of two classes with examples of both; there are {scores.shape[1]}")
    values, interval = rank_auc((scores[:, 1] - scores[:, 0]).astype(np.float64), labels == 1)
    value = float(values[labels == 1].mean())
    return Measured(result=Result(task=task, metric="roc_auc", value=value, interval=interval, n=len(labels)), values=values)


def rank_auc(scores: Float[np.ndarray, " n"], positive: np.ndarray) -> tuple[Float[np.ndarray, " n"], tuple[float, float]]:
    """(for each example the share of the other side that it is rightly ordered with, a tie being half; the bootstrap interval
    of the area under the ROC curve). Positives and negatives are resampled each among themselves.
    """
    ordered = {side: np.sort(scores[positive == side]) for side in (True, False)}
    values = np.empty(len(scores))
    for side in (True, False):
        other, own = ordered[not side], scores[positive == side]
        below = np.searchsorted(other, own, "left") / len(other)
        up_to = np.searchsorted(other, own, "right") / len(other)
        share = (below + up_to) / 2
        values[positive == side] = share if side else 1 - share
    return values, percentiles(_resampled_auc(ordered[True], ordered[False]))


def _resampled_auc(positives: np.ndarray, negatives: np.ndarray) -> Float[np.ndarray, " draws"]:
    """The area for resamples of both sides: each draws its own counts, and ties count half."""
    levels, places = np.unique(np.concatenate([positives, negatives]), return_inverse=True)
    up, down = places[: len(positives)], places[len(positives) :]
    random = np.random.default_rng(0)
    areas = []
    for _ in range(2000):
        high = np.bincount(random.choice(up, len(up)), minlength=len(levels))
        low = np.bincount(random.choice(down, len(down)), minlength=len(levels))
        below = np.cumsum(low) - low / 2
        areas.append(high @ below / (len(up) * len(down)))
    return np.array(areas, dtype=np.float64)


def map_11_point(scores: Scores, targets: Targets, *, task: str) -> Measured:
    """The mean over classes of VOC2007's average precision: of the precisions at recalls of 0, 0.1, ..., 1, each the best at
    that recall or a higher one. A target of -1 was not judged, and counts for nothing.

    Equal scores are ranked in the examples' order. Bootstrap interval over examples; an example's value is whether
    the best of its judged classes is one that it shows. ValueError for a class without a positive example.
    """
    check_scores(scores)
    if targets.shape != scores.shape:
        raise ValueError(f"{list(targets.shape)} targets for {list(scores.shape)} scores")
    missing = np.flatnonzero((targets == 1).sum(axis=0) == 0)
    if len(missing):
        raise ValueError(f"{task}: class {missing[0]} has no example that shows it; its average precision is not defined")
    orders = np.argsort(-scores, axis=0, kind="stable")
    ones = np.ones((1, len(scores)))
    value = float(np.mean([_eleven(ones, orders[:, c], targets[:, c])[0] for c in range(scores.shape[1])]))

    def means(counts: Float[np.ndarray, "draws n"]) -> Float[np.ndarray, " draws"]:
        found: np.ndarray = np.mean([_eleven(counts, orders[:, c], targets[:, c]) for c in range(scores.shape[1])], axis=0)
        return found

    interval = percentiles(resampled(len(scores), means, draws=500))
    best = np.where(targets >= 0, scores, -np.inf).argmax(axis=1)
    shown = targets[np.arange(len(scores)), best] == 1
    result = Result(task=task, metric="map_11_point", value=value, interval=interval, n=len(scores))
    return Measured(result=result, values=shown.astype(np.float64))


def _eleven(counts: Float[np.ndarray, "draws n"], order: np.ndarray, target: np.ndarray) -> Float[np.ndarray, " draws"]:
    """Average precision for examples that count so often, in the order of their scores."""
    kept = order[target[order] >= 0]
    weights = counts[:, kept]
    hits = np.cumsum(weights * (target[kept] == 1), axis=1)
    precision = hits / np.maximum(np.cumsum(weights, axis=1), 1)
    recall = hits / np.maximum(hits[:, -1:], 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    points = []
    for level in np.arange(11) / 10:
        reached = recall >= level - 1e-12
        first = reached.argmax(axis=1)
        points.append(np.where(reached.any(axis=1), best[np.arange(len(counts)), first], 0.0))
    average: np.ndarray = np.mean(points, axis=0)
    return average


SINGLE_LABEL: Mapping[str, Callable[..., Measured]] = {
    "accuracy": accuracy,
    "mean_per_class": mean_per_class,
    "mean_top1_top5": mean_top1_top5,
    "roc_auc": roc_auc,
}
