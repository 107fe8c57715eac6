"""The linear probe of a task (appendix A.3): features before the projection, the penalty chosen on validation."""

import json
from dataclasses import dataclass

import numpy as np

from fullclip.core.distributed import on_leader
from fullclip.evaluation.features.extract import Extracted
from fullclip.evaluation.probe.kept import ProbeCache
from fullclip.evaluation.probe.sweep import Examples, Fitted, fit_best
from fullclip.evaluation.statistics.metrics import SINGLE_LABEL, Measured, average_precisions
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.scoring import scored
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.tasks.task import Task

_HELD_OUT = 5  # every so many examples of a class are the validation set where the task has none


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a probe is fitted on, and what chooses its penalty; `origin` says where the second is from."""

    train: Extracted
    validation: Extracted
    origin: str


def probe(subject: Subject, *, task: Task) -> Record:
    """Fit a probe on the task's train split and measure it on test. All processes call this together; the leader fits."""
    given = training(subject, task)
    found = subject.features(task)

    def answer() -> Record:
        best = fitted(task, given, subject)
        told = scored(task, best.probe.scores(found.features), found)
        details = {
            **told.details,
            "lambda": best.sweep.best,
            "C": 1 / best.sweep.best,
            "sweep": [{"lambda": penalty, "value": value} for penalty, value in best.sweep.points],
            "validation": given.origin,
            "train": len(given.train) + len(given.validation),
            "dim": found.features.shape[1],
            "iterations": best.num_iterations,
            "converged": best.converged,
            "left_out_of_train": {**given.train.drops.report(), **given.validation.drops.report()},
        }
        return Record(task=task.name, protocol="probe", results=told.results, details=details, arrays=told.arrays)

    return on_leader(answer, subject.world)


def training(subject: Subject, task: Task) -> Training:
    """The features of the train and validation splits; where there is no validation split, every fifth example of each class
    of train, chosen at random, the same ones every time. All processes call this together.

    ValueError where a class has no example to be learned from.
    """
    train = subject.features(task, "train")
    missing = sorted(set(range(len(task.classes))) - {label for labels in train.labels for label in labels})
    if missing:
        raise ValueError(
            f"{task.name}: no training image of class {task.class_names[missing[0]]!r} can be read; a probe needs some"
        )
    if "validation" in task.splits:
        return Training(train=train, validation=subject.features(task, "validation"), origin="the validation split")
    groups = train.classes if task.kind == "classification" else np.zeros(len(train), dtype=np.int64)
    chosen = held_out(groups)
    if not chosen.any():
        raise ValueError(f"{task.name}: {len(train)} training images are too few to hold some out; add a validation split")
    return Training(
        train=train.at(np.flatnonzero(~chosen)),
        validation=train.at(np.flatnonzero(chosen)),
        origin=f"1/{_HELD_OUT} of train, of each class, at random",
    )


def held_out(groups: np.ndarray) -> np.ndarray:
    """Every fifth of each group, in an order drawn once for all: bool [n]. A group of fewer than two keeps all of its own, one
    of fewer than five gives one.
    """
    order = np.random.default_rng(0).permutation(len(groups))
    chosen = np.zeros(len(groups), dtype=bool)
    ordered = groups[order]
    for group in np.unique(groups):
        own = order[ordered == group]
        chosen[own[: -(-len(own) // _HELD_OUT) if len(own) > 1 else 0]] = True
    return chosen


def fitted(task: Task, given: Training, subject: Subject) -> Fitted:
    """The probe under the penalty that is best, by the task's own metric, on validation. It is kept beside the features, since
    several protocols ask for it.
    """
    kept = ProbeCache(subject.cache, _identity(task, subject))
    found = kept.read()
    if found is None:
        found = _fit(task, given, device=subject.device)
        kept.write(found)
    return found


def _identity(task: Task, subject: Subject) -> str:
    """What the probe depends on."""
    if subject.cache is None:
        return ""
    splits = {name: split.digest() for name, split in task.splits.items() if name != "test"}
    return json.dumps([subject.backbone.fingerprint, task.kind, task.metric, len(task.classes), splits], sort_keys=True)


def _fit(task: Task, given: Training, *, device: str | None) -> Fitted:
    train, validation = as_examples(task, given.train), as_examples(task, given.validation)

    def value(scores: np.ndarray) -> float:
        if task.kind == "classification":
            return measure(task, scores, validation.targets).result.value
        shown = (validation.targets == 1).any(axis=0)
        if not shown.any():
            raise ValueError(f"{task.name}: no validation image shows any class")
        return float(average_precisions(scores[:, shown], validation.targets[:, shown], task=task.name).mean())

    return fit_best(train, validation, len(task.classes), value=value, device=device)


def measure(task: Task, scores: np.ndarray, labels: np.ndarray) -> Measured:
    """The task's own metric of a classification; accuracy where that one looks at more than labels (frames of videos)."""
    chosen = SINGLE_LABEL[task.metric if task.metric in SINGLE_LABEL else "accuracy"]
    return chosen(scores, labels, task=task.name)


def as_examples(task: Task, found: Extracted) -> Examples:
    """Features with their classes, or, of a multi-label task, targets."""
    targets = found.targets(len(task.classes)) if task.kind == "multilabel" else found.classes
    return Examples(features=found.features, targets=targets)
