"""What is asked of a model: a set's examples split by split, its classes in words, and the number that counts.

Knows nothing of models, nor of the layouts that sets lie in (the other files of this room).
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

Kind = Literal["classification", "multilabel", "retrieval"]
# The paper's metrics (Table 9, section 3.3), by the names of results
Metric = Literal[
    "accuracy",
    "mean_per_class",
    "map_11_point",
    "roc_auc",
    "mean_top1_top5",
    "mean_pm0_pm10",
    "recall@1",
    "recall@5",
    "recall@10",
]
SPLITS = ("train", "validation", "test")
# The metrics that a kind of task can have, its own first
METRICS_OF: Mapping[Kind, tuple[Metric, ...]] = {
    "classification": ("accuracy", "mean_per_class", "roc_auc", "mean_top1_top5", "mean_pm0_pm10"),
    "multilabel": ("map_11_point",),
    "retrieval": ("recall@1", "recall@5", "recall@10"),
}
METRIC_OF: Mapping[Kind, Metric] = {kind: metrics[0] for kind, metrics in METRICS_OF.items()}
_LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture of a set: an encoded file or uint8 pixels [height, width, 3], and what is known to be right.

    `labels` holds the numbers of its classes: one in a classification, any number in a multi-label set, none in retrieval,
    where `texts` holds the captions. `meta` is whatever else the set says (a video's name, a frame's number).
    """

    key: str
    image: bytes | np.ndarray
    labels: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A place of a set that holds no example that can be used, and why."""

    key: str
    reason: str


class Split(ABC):
    """A part of a set: numbered places, readable from anywhere in any number of passes."""

    @abstractmethod
    def __len__(self) -> int:
        """How many places there are, those that cannot be used among them."""

    @abstractmethod
    def read(self, places: range) -> Iterator[Example | Skipped]:
        """One for each of `places`, in order. ValueError for a label that the task has no class for."""

    @abstractmethod
    def digest(self) -> str:
        """The SHA-256 of all that is in it, images, labels and texts: another one whenever a number could be."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A set with its question. `classes` holds each class's names, one or several, in the order of the labels.

    `test` is what is measured; `train` and `validation` are there where a probe can be fitted. `reference` names, for a shift
    (section 3.3), the task whose classes these are, and `reference_classes` which of them each class is, by number or name: one
    or several; where there are none, classes of the same name are meant. `dataset` is the name of the known set that this is,
    empty for a task of the user's own, whatever that is called. `note` says what a reader of the numbers should know.
    """

    name: str
    kind: Kind
    metric: Metric
    splits: Mapping[str, Split]
    classes: tuple[tuple[str, ...], ...] = ()
    templates: tuple[str, ...] = ()
    reference: str | None = None
    reference_classes: tuple[tuple[int | str, ...], ...] = ()
    dataset: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.metric not in METRICS_OF[self.kind]:
            there = ", ".join(METRICS_OF[self.kind])
            raise ValueError(f"{self.name}: {self.metric} is no metric of a {self.kind} task; there are: {there}")
        if "test" not in self.splits:
            raise ValueError(f"{self.name}: there is no test split, only {', '.join(self.splits) or 'nothing'}")
        for name, split in self.splits.items():
            if len(split) == 0:
                raise ValueError(f"{self.name}: the split {name!r} is empty; leave it out or fill it")
        if self.kind != "retrieval":
            check_classes(self.classes, self.name)
        if self.metric == "roc_auc" and len(self.classes) != 2:
            raise ValueError(f"{self.name}: {len(self.classes)} classes; roc_auc is of two, the second of which is looked for")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The first name of each class: what results call it."""
        return tuple(names[0] for names in self.classes)


def _check_name(name: str) -> None:
    """ValueError for a name that could not be a folder of results."""
    parts = name.split("/")
    if not name.isprintable() or len(name) > _LONGEST_NAME or any(part.strip() in ("", ".", "..") for part in parts):
        raise ValueError(
            f"{name[: _LONGEST_NAME + 1]!r} cannot be the name of a task: printable letters, at most {_LONGEST_NAME}, which"
            " also name a folder of results; set `name` in its task.toml"
        )


# ImageNet's published names have these two twice (openai/CLIP#235): who answers with one of them is right half of the time.
_TWICE_IN_IMAGENET = ("missile", "sunglasses")


def check_classes(classes: tuple[tuple[str, ...], ...], task: str) -> None:
    """ValueError for fewer than two classes, one without a name, or a name that two classes have, but for ImageNet's own.
    Names that differ in case and spaces alone are the same, as they are to CLIP's tokenizer.
    """
    if len(classes) < 2:
        raise ValueError(f"{task}: {len(classes)} classes; a classification needs at least two")
    owner: dict[str, int] = {}
    for number, names in enumerate(classes):
        if not names or not all(name.strip() for name in names):
            raise ValueError(f"{task}: class {number} has an empty name")
        for name in names:
            plain = " ".join(name.split()).lower()
            if owner.setdefault(plain, number) != number and not (len(classes) == 1000 and plain in _TWICE_IN_IMAGENET):
                raise ValueError(f"{task}: classes {owner[plain]} and {number} are both called {name!r}; rename one")


class Chosen(Split):
    """Some places of a split, in its order: a random subset, the same one every time, without regard to labels, so that each
    class has about its share.
    """

    def __init__(self, split: Split, number: int) -> None:
        places = np.random.default_rng(0).permutation(len(split))[:number]
        self._split, self._places = split, [int(place) for place in np.sort(places)]

    def __len__(self) -> int:
        return len(self._places)

    def read(self, places: range) -> Iterator[Example | Skipped]:
        for run in runs(self._places[places.start : places.stop]):
            yield from self._split.read(run)

    def digest(self) -> str:
        return hashlib.sha256(f"{self._places} {self._split.digest()}".encode()).hexdigest()


def runs(places: Sequence[int]) -> Iterator[range]:
    """The stretches of consecutive places in ascending ones."""
    start = 0
    for end in range(1, len(places) + 1):
        if end == len(places) or places[end] != places[end - 1] + 1:
            yield range(places[start], places[end - 1] + 1)
            start = end


def limited(task: Task, number: int) -> Task:
    """The task with at most `number` images in each split, chosen at random, the same ones every time; its note says so.
    ValueError for fewer than one.
    """
    if number < 1:
        raise ValueError(f"{number} images of each split; at least 1 is needed")
    splits = {name: Chosen(split, number) if len(split) > number else split for name, split in task.splits.items()}
    if all(splits[name] is task.splits[name] for name in splits):
        return task
    return replace(task, splits=splits, note=noted(task.note, f"At most {number:,} images of a split, chosen at random."))


def noted(note: str, more: str) -> str:
    """A note with a sentence before it."""
    return f"{more} {note}".strip()
