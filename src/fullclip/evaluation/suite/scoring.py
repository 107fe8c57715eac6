"""A task's own metric, and what else is told of a classification: from scores to results, details and arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from fullclip.core.types import Result
from fullclip.evaluation.features.extract import Extracted
from fullclip.evaluation.statistics.metrics import (
    SINGLE_LABEL,
    Measured,
    accuracy,
    accuracy_at,
    average_precisions,
    confusion,
    map_11_point,
    mean_per_class,
    per_class,
)
from fullclip.evaluation.statistics.video import lost_anchors, mean_pm0_pm10
from fullclip.evaluation.tasks.task import Task

_MOST_CLASSES_OF_A_MATRIX = 1000
_EXAMPLES = 10


@dataclass(frozen=True, kw_only=True)
class Scored:
    """`results` begins with the task's own metric; `arrays` and `details` are a record's."""

    results: tuple[Result, ...]
    arrays: Mapping[str, np.ndarray]
    details: Mapping[str, Any]


def main_metric(task: Task, scores: Float[np.ndarray, "n classes"], found: Extracted) -> Measured:
    """The task's own metric of scores for each class; ValueError for one that its kind of task does not have."""
    if task.metric == "map_11_point":
        return map_11_point(scores, found.targets(len(task.classes)), task=task.name)
    if task.metric == "mean_pm0_pm10":
        return mean_pm0_pm10(scores, found.classes, found.meta, task=task.name)
    if task.metric not in SINGLE_LABEL:
        raise ValueError(f"{task.name}: {task.metric} is no metric of scores for classes; there are: {', '.join(SINGLE_LABEL)}")
    return SINGLE_LABEL[task.metric](scores, found.classes, task=task.name)


def scored(task: Task, scores: Float[np.ndarray, "n classes"], found: Extracted) -> Scored:
    """The task's own metric; of a classification accuracy, accuracy@5 where there are more than five classes, the mean of the
    classes' accuracies, each class's own, and which class was taken for which; of a multi-label set each class's average
    precision. Arrays of examples belong to the keys, one for one.
    """
    main = main_metric(task, scores, found)
    places = np.arange(len(found)) if main.places is None else main.places
    arrays: dict[str, np.ndarray] = {"keys": np.array(found.keys)[places], "values": main.values}
    details: dict[str, Any] = {"classes": list(task.class_names), "kind": task.kind, "skipped": skipped(task, found)}
    if task.kind == "multilabel":
        targets = found.targets(len(task.classes))
        arrays |= {"scores": scores.astype(np.float32), "targets": targets}
        precisions = average_precisions(scores, targets, task=task.name).tolist()
        details |= {"per_class": precisions, "class_counts": (targets == 1).sum(axis=0).tolist()}
        return Scored(results=(main.result,), arrays=arrays, details=details)
    labels, predictions = found.classes, scores.argmax(axis=1)
    others = [accuracy(scores, labels, task=task.name), mean_per_class(scores, labels, task=task.name)]
    if len(task.classes) > 5:
        others.insert(1, accuracy_at(scores, labels, task=task.name, k=5))
    more = [other.result for other in others if other.result.metric != main.result.metric]
    hits, numbers = per_class(predictions == labels, labels, len(task.classes))
    details |= {
        "per_class": [hit / number if number else None for hit, number in zip(hits.tolist(), numbers.tolist(), strict=True)],
        "class_counts": numbers.tolist(),
    }
    arrays |= {"labels": labels[places], "predictions": predictions[places]}
    if task.metric == "roc_auc":
        arrays["scores"] = scores.astype(np.float32)
    if len(task.classes) <= _MOST_CLASSES_OF_A_MATRIX:
        arrays["confusion"] = confusion(predictions, labels, len(task.classes))
    return Scored(results=(main.result, *more), arrays=arrays, details=details)


def skipped(task: Task, found: Extracted) -> dict[str, Any]:
    """What was left out, by reason: images that could not be read, anchors of videos whose own frame is among them."""
    told = found.drops.report()
    lost = lost_anchors(found.meta, task=task.name) if task.metric == "mean_pm0_pm10" else []
    if lost:
        told["anchor whose own frame is not there"] = {"count": len(lost), "examples": lost[:_EXAMPLES]}
    return told
