"""Which questions are asked of which tasks."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, get_args

from fullclip.core.config import nearest
from fullclip.evaluation.suite.few_shots import few_shot
from fullclip.evaluation.suite.outliers import rejection
from fullclip.evaluation.suite.overlaps import overlap, overlap_settings
from fullclip.evaluation.suite.pairs import retrieval
from fullclip.evaluation.suite.probing import probe
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.reliability import calibration
from fullclip.evaluation.suite.shifts import adapted_robustness, corresponding, robustness
from fullclip.evaluation.suite.subject import Question, Subject
from fullclip.evaluation.suite.zero_shot import zero_shot
from fullclip.evaluation.tasks.task import SPLITS, Task

Protocol = Literal[
    "zero-shot",
    "retrieval",
    "probe",
    "few-shot",
    "calibration",
    "overlap",
    "robustness",
    "adapted-robustness",
    "rejection",
]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
SHOTS, SEEDS = (1, 2, 4, 8, 16), 3


@dataclass(frozen=True, kw_only=True)
class _OfOneTask:
    """A protocol that looks at one task, why it does not fit a task (empty where it does), and which splits it looks at."""

    answer: Callable[..., Record]
    hindrance: Callable[[Task], str]
    splits: tuple[str, ...] = SPLITS


def _no_train(task: Task) -> str:
    return "" if "train" in task.splits else "there is no train split"


_NO_LABELS, _NO_CLASSES, _NO_PAIRS = "not one label an image", "images with captions have no classes", "no captions"
_OF_ONE: Mapping[str, _OfOneTask] = {
    "zero-shot": _OfOneTask(
        answer=zero_shot, hindrance=lambda task: _NO_CLASSES if task.kind == "retrieval" else "", splits=("test",)
    ),
    "retrieval": _OfOneTask(
        answer=retrieval, hindrance=lambda task: "" if task.kind == "retrieval" else _NO_PAIRS, splits=("test",)
    ),
    "probe": _OfOneTask(answer=probe, hindrance=lambda task: _NO_CLASSES if task.kind == "retrieval" else _no_train(task)),
    "few-shot": _OfOneTask(
        answer=few_shot, hindrance=lambda task: _NO_LABELS if task.kind != "classification" else _no_train(task)
    ),
    "calibration": _OfOneTask(answer=calibration, hindrance=lambda task: _NO_LABELS if task.kind != "classification" else ""),
}


def questions(
    tasks: Sequence[Task],
    protocols: Sequence[Protocol],
    *,
    shots: Sequence[int] = SHOTS,
    seeds: int = SEEDS,
    shards: Sequence[str] = (),
    thresholds: Mapping[str, float] = MappingProxyType({}),
) -> list[Question]:
    """What `protocols` ask of `tasks`: task by task, then between tasks. A protocol is not asked of a task that it
    does not fit: probes need a train split, calibration one label an image, robustness a shift with its reference, and after
    adaptation the reference's train split.

    shards: the training data that "overlap" looks in; thresholds: by task, where its own is not wanted. ValueError where two
    tasks have one name, or nothing is left to ask.
    """
    twice = [name for name, count in Counter(task.name for task in tasks).items() if count > 1]
    if twice:
        raise ValueError(f"two tasks are called {twice[0]!r}; give one of them another name in its task.toml")
    settings: Mapping[str, Mapping[str, Any]] = {"few-shot": {"shots": list(shots), "seeds": seeds}}
    found = []
    for task in tasks:
        for protocol in protocols:
            if protocol in _OF_ONE and not _OF_ONE[protocol].hindrance(task):
                known, chosen = _OF_ONE[protocol], settings.get(protocol, {})
                answer = partial(known.answer, task=task, **chosen)
                found.append(_question(protocol, (task,), answer, settings=chosen, splits=known.splits))
    if "overlap" in protocols:
        found += _of_training(tasks, shards, thresholds)
    found += _of_shifts(tasks, [protocol for protocol in ("robustness", "adapted-robustness") if protocol in protocols])
    if "rejection" in protocols:
        found += _of_strangers(tasks)
    if not found:
        reasons = "; ".join(unasked(tasks, protocols)) or f"no {' or '.join(protocols)} of such a task"
        raise ValueError(f"{', '.join(task.name for task in tasks)}: nothing can be asked ({reasons})")
    return found


def unasked(tasks: Sequence[Task], protocols: Sequence[Protocol]) -> list[str]:
    """What `questions` leaves out of what somebody may expect, and why: a line for people for each reason. That only sets of
    pairs are asked for retrieval, and only classes for zero-shot answers, goes without saying.
    """
    reasons: dict[tuple[str, str], list[str]] = {}
    for protocol in ("probe", "few-shot", "calibration"):
        for task in tasks:
            reason = _OF_ONE[protocol].hindrance(task) if protocol in protocols else ""
            if reason:
                reasons.setdefault((protocol, reason), []).append(task.name)
    by_name = {task.name: task for task in tasks}
    for task in tasks:
        if task.reference is None:
            continue
        if task.reference not in by_name and {"robustness", "adapted-robustness"} & set(protocols):
            told = f"{task.reference!r}, of which it is a shift, is not among the tasks; add it with --task"
            reasons.setdefault(("robustness", told), []).append(task.name)
        elif "adapted-robustness" in protocols and "train" not in by_name[task.reference].splits:
            told = f"{task.reference!r}, of which it is a shift, has no train split"
            reasons.setdefault(("robustness of a probe", told), []).append(task.name)
    if "rejection" in protocols and not any(True for _ in _of_strangers(tasks)):
        said = "it takes two classifications that have no class in common"
        reasons["rejection", said] = [task.name for task in tasks]
    return [f"{protocol}: not asked of {', '.join(names)}: {reason}" for (protocol, reason), names in reasons.items()]


def _of_training(tasks: Sequence[Task], shards: Sequence[str], thresholds: Mapping[str, float]) -> Iterator[Question]:
    """Each task with the training data."""
    unknown = sorted(thresholds.keys() - {task.name for task in tasks})
    if unknown:
        raise ValueError(f"a threshold for {unknown[0]!r}, which is no task here{nearest(unknown[0], [t.name for t in tasks])}")
    for task in tasks:
        threshold = thresholds.get(task.name)
        answer = partial(overlap, task=task, shards=shards, threshold=threshold)
        yield _question("overlap", (task,), answer, settings=overlap_settings(shards, threshold), splits=("test",))


_OF_TWO: Mapping[str, Callable[..., Record]] = {"robustness": robustness, "adapted-robustness": adapted_robustness}


def _of_shifts(tasks: Sequence[Task], protocols: Sequence[str]) -> Iterator[Question]:
    """Each shift with its reference, where both are among the tasks."""
    by_name = {task.name: task for task in tasks}
    for shift in tasks:
        reference = by_name.get(shift.reference or "")
        if reference is None:
            continue
        for protocol in protocols:
            adapts = protocol == "adapted-robustness"
            if not adapts or "train" in reference.splits:
                answer = partial(_of_pair, protocol=protocol, shift=shift, reference=reference)
                yield _question(protocol, (shift, reference), answer, splits=SPLITS if adapts else ("test",))


def _of_pair(subject: Subject, *, protocol: str, shift: Task, reference: Task) -> Record:
    return _OF_TWO[protocol](subject, shift=shift, reference=reference, classes=corresponding(shift, reference))


def _question(
    protocol: str,
    tasks: tuple[Task, ...],
    answer: Callable[[Subject], Record],
    *,
    settings: Mapping[str, Any] = MappingProxyType({}),
    splits: tuple[str, ...] = SPLITS,
) -> Question:
    """A question of its first task's name."""
    return Question(protocol=protocol, name=tasks[0].name, tasks=tasks, answer=answer, settings=settings, splits=splits)


def _of_strangers(tasks: Sequence[Task]) -> Iterator[Question]:
    """Each classification with each other one whose classes are others: its pictures are of none of the words."""
    chosen = [task for task in tasks if task.kind == "classification"]
    for inside in chosen:
        for outside in chosen:
            if inside is not outside and not _words(inside) & _words(outside):
                name = f"{inside.name} vs {outside.name}"
                answer = partial(rejection, inside=inside, outside=outside)
                yield Question(protocol="rejection", name=name, tasks=(inside, outside), answer=answer, settings={})


def _words(task: Task) -> set[str]:
    return {name.casefold() for names in task.classes for name in names}
