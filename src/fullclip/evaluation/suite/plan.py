"""Which questions are asked of which tasks."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from fullclip.evaluation.suite.outliers import rejection
from fullclip.evaluation.suite.pairs import retrieval
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.reliability import calibration
from fullclip.evaluation.suite.shifts import corresponding, robustness
from fullclip.evaluation.suite.subject import Question
from fullclip.evaluation.suite.zero_shot import zero_shot
from fullclip.evaluation.tasks.task import Task

Protocol = Literal["zero-shot", "retrieval", "probe", "few-shot", "calibration", "robustness", "rejection"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
SHOTS, SEEDS = (1, 2, 4, 8, 16), 3


@dataclass(frozen=True, kw_only=True)
class _OfOneTask:
    """A protocol that looks at one task, and which tasks it fits."""

    answer: Callable[..., Record]
    fits: Callable[[Task], bool]


_OF_ONE: Mapping[str, _OfOneTask] = {
    "zero-shot": _OfOneTask(answer=zero_shot, fits=lambda task: task.kind != "retrieval"),
    "retrieval": _OfOneTask(answer=retrieval, fits=lambda task: task.kind == "retrieval"),
    "calibration": _OfOneTask(answer=calibration, fits=lambda task: task.kind == "classification"),
}


def questions(
    tasks: Sequence[Task],
    protocols: Sequence[Protocol],
    *,
    shots: Sequence[int] = SHOTS,
    seeds: int = SEEDS,
) -> list[Question]:
    """What `protocols` ask of `tasks`: task by task, then between tasks. A protocol is not asked of a task that it
    does not fit: probes need a train split, calibration one label an image, robustness a shift with its reference.

    ValueError where two tasks have one name, or nothing is left to ask.
    """
    twice = [name for name, count in Counter(task.name for task in tasks).items() if count > 1]
    if twice:
        raise ValueError(f"two tasks are called {twice[0]!r}; give one of them another name in its task.toml")
    settings: Mapping[str, Mapping[str, Any]] = {"few-shot": {"shots": list(shots), "seeds": seeds}}
    found = []
    for task in tasks:
        for protocol in protocols:
            if protocol in _OF_ONE and _OF_ONE[protocol].fits(task):
                chosen = settings.get(protocol, {})
                answer = partial(_OF_ONE[protocol].answer, task=task, **chosen)
                found.append(Question(protocol=protocol, name=task.name, tasks=(task,), answer=answer, settings=chosen))
    if "robustness" in protocols:
        found += _of_shifts(tasks)
    if "rejection" in protocols:
        found += _of_strangers(tasks)
    if not found:
        raise ValueError(f"{', '.join(task.name for task in tasks)}: nothing to ask for {', '.join(protocols)}")
    return found


def _of_shifts(tasks: Sequence[Task]) -> Iterator[Question]:
    """Each shift with its reference, where both are among the tasks."""
    by_name = {task.name: task for task in tasks}
    for shift in tasks:
        reference = by_name.get(shift.reference or "")
        if reference is not None:
            answer = partial(robustness, shift=shift, reference=reference, classes=corresponding(shift, reference))
            yield Question(protocol="robustness", name=shift.name, tasks=(shift, reference), answer=answer, settings={})


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
