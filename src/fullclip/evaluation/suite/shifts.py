"""Natural distribution shifts: a model on a reference set's classes that a shift has, and on the shift (section 3.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from fullclip.core.config import nearest
from fullclip.core.distributed import on_leader
from fullclip.core.types import Result
from fullclip.evaluation.statistics.metrics import Measured, accuracy
from fullclip.evaluation.statistics.video import mean_pm0_pm10
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot_logits
from fullclip.evaluation.tasks.task import Task


def corresponding(shift: Task, reference: Task) -> tuple[tuple[int, ...], ...]:
    """For each class of `shift`, the numbers of the reference's classes that it is; by name where the task does not say.

    ValueError for a name or number that the reference does not have, and where two classes are one of the reference's.
    """
    by_name = {name.casefold(): number for number, names in enumerate(reference.classes) for name in names}
    told: Sequence[Sequence[int | str]] = shift.reference_classes or [(names[0],) for names in shift.classes]
    found = []
    for name, classes in zip(shift.class_names, told, strict=True):
        numbers = [by_name.get(each.casefold(), -1) if isinstance(each, str) else each for each in classes]
        for each, number in zip(classes, numbers, strict=True):
            if not 0 <= number < len(reference.classes):
                advice = nearest(each, reference.class_names) if isinstance(each, str) else ""
                raise ValueError(f"{shift.name}: its class {name!r} is said to be {each!r} of {reference.name}{advice}")
        found.append(tuple(numbers))
    every = [number for numbers in found for number in numbers]
    if len(set(every)) < len(every) or len(set(map(len, found)) - {0}) == 0:
        raise ValueError(f"{shift.name}: its classes are not classes of {reference.name}, each of another one")
    return tuple(found)


def robustness(subject: Subject, *, shift: Task, reference: Task, classes: tuple[tuple[int, ...], ...]) -> Record:
    """Zero-shot accuracy on the shift, and on the reference's images of the same classes, in both cases among these classes
    only. All processes call this together.
    """
    on_shift, shift_logits = zero_shot_logits(subject, shift)
    on_reference, reference_logits = zero_shot_logits(subject, reference)

    def answer() -> Record:
        there = [number for number, own in enumerate(classes) if own]  # a class that the reference has not is no answer
        kept = np.isin(on_shift.classes, there)
        labels = np.searchsorted(there, on_shift.classes[kept])
        meta = [on_shift.meta[place] for place in np.flatnonzero(kept)]
        found = _measured(shift, shift_logits[kept][:, there], labels, meta)
        owner = {number: place for place, own in enumerate(there) for number in classes[own]}
        same = np.array([label in owner for label in on_reference.classes.tolist()])
        if not same.any():
            raise ValueError(f"{reference.name}: no image is of a class that {shift.name} has")
        theirs = np.array([owner[label] for label in on_reference.classes[same].tolist()])
        scores = subset_scores(reference_logits[same], [classes[own] for own in there])
        before = accuracy(scores, theirs, task=shift.name).result
        named = Result(
            task=shift.name, metric=f"accuracy on {reference.name}", value=before.value, interval=before.interval, n=before.n
        )
        details = {
            "reference": reference.name,
            "shift": shift.name,
            "classes": len(there),
            "reference_accuracy": before.value,
            "shift_accuracy": found.result.value,
            "skipped": on_shift.drops.report(),
        }
        keys = np.array(on_shift.keys)[kept]
        arrays = {"keys": keys if found.places is None else keys[found.places], "values": found.values}
        return Record(task=shift.name, protocol="robustness", results=(found.result, named), details=details, arrays=arrays)

    return on_leader(answer, subject.world)


def subset_scores(scores: Float[np.ndarray, "n classes"], groups: Sequence[Sequence[int]]) -> Float[np.ndarray, "n groups"]:
    """The score of each group of classes: its best class's."""
    return np.stack([scores[:, list(group)].max(axis=1) for group in groups], axis=1)


def _measured(shift: Task, scores: np.ndarray, labels: np.ndarray, meta: Sequence[Mapping[str, Any]]) -> Measured:
    if shift.metric == "mean_pm0_pm10":
        return mean_pm0_pm10(scores, labels, meta, task=shift.name)
    return accuracy(scores, labels, task=shift.name)
