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
    """A protocol that looks at one task, which tasks it fits, and which of their splits it looks at."""

    answer: Callable[..., Record]
    fits: Callable[[Task], bool]
    splits: tuple[str, ...] = SPLITS


_OF_ONE: Mapping[str, _OfOneTask] = {
    "zero-shot": _OfOneTask(answer=zero_shot, fits=lambda task: task.kind != "retrieval", splits=("test",)),
    "retrieval": _OfOneTask(answer=retrieval, fits=lambda task: task.kind == "retrieval", splits=("test",)),
    "probe": _OfOneTask(answer=probe, fits=lambda task: task.kind != "retrieval" and "train" in task.splits),
    "few-shot": _OfOneTask(answer=few_shot, fits=lambda task: task.kind == "classification" and "train" in task.splits),
    "calibration": _OfOneTask(answer=calibration, fits=lambda task: task.kind == "classification"),
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
            if protocol in _OF_ONE and _OF_ONE[protocol].fits(task):
                known, chosen = _OF_ONE[protocol], settings.get(protocol, {})
                answer = partial(known.answer, task=task, **chosen)
                found.append(_question(protocol, (task,), answer, settings=chosen, splits=known.splits))
    if "overlap" in protocols:
        found += _of_training(tasks, shards, thresholds)
    found += _of_shifts(tasks, [protocol for protocol in ("robustness", "adapted-robustness") if protocol in protocols])
    if "rejection" in protocols:
        found += _of_strangers(tasks)
    if not found:
        raise ValueError(f"{', '.join(task.name for task in tasks)}: nothing to ask for {', '.join(protocols)}")
    return found


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
