"""Natural distribution shifts: a model on a reference set's classes that a shift has, and on the shift (section 3.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from fullclip.core.config import nearest
from fullclip.core.distributed import on_leader
from fullclip.evaluation.features.extract import Extracted
from fullclip.evaluation.statistics.metrics import Measured, accuracy
from fullclip.evaluation.statistics.video import mean_pm0_pm10
from fullclip.evaluation.suite.probing import fitted, training
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.scoring import skipped
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot_logits
from fullclip.evaluation.tasks.task import Task


def corresponding(shift: Task, reference: Task) -> tuple[tuple[int, ...], ...]:
    """For each class of `shift`, the numbers of the reference's classes that it is; by name where the task does not say.

    A name that the reference has twice stands for the one of its classes after the other, in order. ValueError for a name or
    number that the reference does not have, where two classes are one of the reference's, and for tasks of another kind.
    """
    for task in (shift, reference):
        if task.kind != "classification":
            raise ValueError(f"{shift.name}: a shift and its reference are classifications; {task.name} is a {task.kind} task")
    told: Sequence[Sequence[int | str]] = shift.reference_classes or [(names[0],) for names in shift.classes]
    by_name: dict[str, list[int]] = {}
    for number, names in enumerate(reference.classes):
        for name in names:
            by_name.setdefault(name.casefold(), []).append(number)
    found = [tuple(_number(each, by_name) for each in classes) for classes in told]
    for name, classes, numbers in zip(shift.class_names, told, found, strict=True):
        for each, number in zip(classes, numbers, strict=True):
            if not 0 <= number < len(reference.classes):
                raise ValueError(_not_there(shift, reference, name, each))
    every = [number for numbers in found for number in numbers]
    twice = next((number for number in every if every.count(number) > 1), None)
    if twice is not None:
        owners = [name for name, numbers in zip(shift.class_names, found, strict=True) if twice in numbers]
        said = reference.class_names[twice]
        raise ValueError(f"{shift.name}: {' and '.join(map(repr, owners))}: {said!r} of {reference.name} is one class's only")
    if not every:
        raise ValueError(f"{shift.name}: none of its classes is a class of {reference.name}")
    return tuple(found)


def _number(each: int | str, by_name: Mapping[str, list[int]]) -> int:
    """A class of the reference, -1 where it has none; of several with one name the first that has not been given yet."""
    if not isinstance(each, str):
        return each
    numbers = by_name.get(each.casefold(), [-1])
    return numbers.pop(0) if len(numbers) > 1 else numbers[0]


def _not_there(shift: Task, reference: Task, name: str, each: int | str) -> str:
    if not shift.reference_classes:
        advice = nearest(name, reference.class_names)
        return (
            f"{shift.name}: {reference.name} has no class {name!r}{advice}; say under [reference_classes] of its task.toml"
            " which of them each class is"
        )
    advice = nearest(each, reference.class_names) if isinstance(each, str) else f"; 0 to {len(reference.classes) - 1}"
    return f"{shift.name}: its class {name!r} is said to be {each!r} of {reference.name}{advice}"


def robustness(subject: Subject, *, shift: Task, reference: Task, classes: tuple[tuple[int, ...], ...]) -> Record:
    """Zero-shot accuracy on the shift, and on the reference's images of the same classes, in both cases among these classes
    only. All processes call this together.
    """
    on_shift, shift_logits = zero_shot_logits(subject, shift)
    on_reference, reference_logits = zero_shot_logits(subject, reference)
    pair = Pair(shift=shift, reference=reference, classes=classes, on_shift=on_shift, on_reference=on_reference)
    return on_leader(lambda: pair.record("robustness", shift_logits[:, pair.there], reference_logits), subject.world)


def adapted_robustness(subject: Subject, *, shift: Task, reference: Task, classes: tuple[tuple[int, ...], ...]) -> Record:
    """The same of a linear probe (appendix A.3) that is fitted on the reference's train split, and knows nothing of the shift:
    what supervised adaptation to a data set does to accuracy on others (Figure 14).
    """
    given = training(subject, reference)
    on_shift, on_reference = subject.features(shift), subject.features(reference)
    pair = Pair(shift=shift, reference=reference, classes=classes, on_shift=on_shift, on_reference=on_reference)

    def answer() -> Record:
        probe = fitted(reference, given, subject).probe
        scores = [probe.scores(found.features) for found in (on_shift, on_reference)]
        return pair.record("adapted-robustness", subset_scores(scores[0], pair.groups), scores[1])

    return on_leader(answer, subject.world)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A shift and its reference with the images of both; `classes` holds, for each class of the shift, the reference's."""

    shift: Task
    reference: Task
    classes: tuple[tuple[int, ...], ...]
    on_shift: Extracted
    on_reference: Extracted

    @property
    def there(self) -> list[int]:
        """The classes of the shift that the reference has: one that it has not is no answer."""
        return [number for number, own in enumerate(self.classes) if own]

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """The reference's classes that each of these is."""
        return [self.classes[number] for number in self.there]

    def record(
        self, protocol: str, scores: Float[np.ndarray, "n there"], reference_scores: Float[np.ndarray, "m classes"]
    ) -> Record:
        """Accuracy on both sides: by `scores` of the shift's images for its classes that are there, and `reference_scores` of
        the reference's for all of its classes. ValueError where a side has no image of these classes.
        """
        kept = np.isin(self.on_shift.classes, self.there)
        owner = {number: place for place, own in enumerate(self.groups) for number in own}
        same = np.array([label in owner for label in self.on_reference.classes.tolist()])
        for one, images, other in ((self.shift, kept, self.reference), (self.reference, same, self.shift)):
            if not images.any():
                raise ValueError(f"{one.name}: no image is of a class that {other.name} has")
        meta = [self.on_shift.meta[place] for place in np.flatnonzero(kept)]
        labels = np.searchsorted(self.there, self.on_shift.classes[kept])
        found = _measured(self.shift, scores[kept], labels, meta)
        theirs = np.array([owner[label] for label in self.on_reference.classes[same].tolist()])
        before = accuracy(subset_scores(reference_scores[same], self.groups), theirs, task=self.shift.name).result
        details = {
            "reference": self.reference.name,
            "shift": self.shift.name,
            "classes": len(self.there),
            "reference_accuracy": before.value,
            "shift_accuracy": found.result.value,
            "reference_skipped": self.on_reference.drops.report(),
            "skipped": skipped(self.shift, self.on_shift.at(np.flatnonzero(kept))),
            "other_classes": int((~kept).sum()),
        }
        keys = np.array(self.on_shift.keys)[kept]
        arrays = {"keys": keys if found.places is None else keys[found.places], "values": found.values}
        results = (found.result, replace(before, metric=f"accuracy on {self.reference.name}"))
        return Record(task=self.shift.name, protocol=protocol, results=results, details=details, arrays=arrays)


def subset_scores(scores: Float[np.ndarray, "n classes"], groups: Sequence[Sequence[int]]) -> Float[np.ndarray, "n groups"]:
    """The score of each group of classes: its best class's."""
    return np.stack([scores[:, list(group)].max(axis=1) for group in groups], axis=1)


def _measured(shift: Task, scores: np.ndarray, labels: np.ndarray, meta: Sequence[Mapping[str, Any]]) -> Measured:
    if shift.metric == "mean_pm0_pm10":
        return mean_pm0_pm10(scores, labels, meta, task=shift.name)
    return accuracy(scores, labels, task=shift.name)
