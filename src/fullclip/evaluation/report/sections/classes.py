"""Each task looked at closely, folded away: accuracy by class, which class is taken for which."""

from collections.abc import Mapping, Sequence

import numpy as np

from fullclip.evaluation.report.document import Block, Cell, Folded, Number, Picture, Section, Table, Text
from fullclip.evaluation.report.figures.bars import per_class
from fullclip.evaluation.report.figures.matrix import confusion
from fullclip.evaluation.report.runs import Run, all_tasks
from fullclip.evaluation.report.wording import count, listed, percent
from fullclip.evaluation.suite.records import Record

_PROTOCOLS = {"zero-shot": "zero-shot", "probe": "linear probe"}
MOST_IN_A_PICTURE = 100
_MOST_MATRICES = 4
_MOST_MISTAKES, _MOST_EXTREMES = 15, 10


def by_class(runs: Sequence[Run]) -> Section | None:
    """A fold for each task and protocol that told its classes."""
    blocks: list[Block] = []
    for protocol, said in _PROTOCOLS.items():
        for task in all_tasks(runs, protocol):
            found = [(run, record) for run in runs if (record := run.record(protocol, task)) and "per_class" in record.details]
            if found:
                blocks.append(Folded(summary=f"{task}, {said}", blocks=_closely(found, task)))
    if not blocks:
        return None
    words = "Accuracy on each class, and which class was taken for which; open what is of interest."
    return Section(title="Class by class", blocks=[Text(words), *blocks])


def _closely(found: Sequence[tuple[Run, Record]], task: str) -> list[Block]:
    classes = [str(name) for name in found[0][1].details["classes"]]
    same = [(run, record) for run, record in found if list(record.details["classes"]) == found[0][1].details["classes"]]
    blocks: list[Block] = []
    if len(same) < len(found):
        left_out = listed(run.name for run, record in found if (run, record) not in same)
        blocks.append(Text(f"Left out, since their classes are others: {left_out}."))
    if len(classes) <= MOST_IN_A_PICTURE:
        blocks.append(_bars(same, classes, task))
    else:
        blocks += [_extremes(run, record, classes) for run, record in same[:_MOST_MATRICES]]
    for run, record in same[:_MOST_MATRICES]:
        if "confusion" in record.arrays:
            counts = record.arrays["confusion"]
            if len(classes) <= MOST_IN_A_PICTURE:
                blocks.append(_matrix(run, counts, classes, task))
            blocks += _mistakes(run, counts, classes)
    if len(same) > _MOST_MATRICES:
        rest = listed(run.name for run, _ in same[_MOST_MATRICES:])
        blocks.append(Text(f"What {rest} mistake is in reports of their own: fullclip report RUN."))
    return blocks


def _bars(found: Sequence[tuple[Run, Record]], classes: Sequence[str], task: str) -> Picture:
    models = [(run.name, run.place, record.details["per_class"]) for run, record in found]
    return Picture(
        svg=per_class(classes, models),
        caption=f"Accuracy on each class of {task}, the hardest at the bottom.",
        alt=f"Accuracy by class on {task} for {listed(name for name, _, _ in models)}.",
    )


def _extremes(run: Run, record: Record, classes: Sequence[str]) -> Table:
    """The hardest and the easiest classes, of many."""
    known = [(value, name, n) for value, name, n in zip(*_told(record.details), strict=True) if value is not None]
    known.sort(key=lambda each: each[0])
    chosen = known if len(known) <= 2 * _MOST_EXTREMES else [*known[:_MOST_EXTREMES], *known[-_MOST_EXTREMES:]]
    rows: list[list[Cell]] = [[name, Number(value=percent(value)), count(n)] for value, name, n in chosen]
    note = f"{run.name}: the hardest and the easiest of {len(classes)} classes; accuracy in %."
    return Table(columns=["class", "accuracy", "n"], rows=rows, note=note)


def _told(details: Mapping[str, list]) -> tuple[list, list, list]:  # type: ignore[type-arg]
    return details["per_class"], details["classes"], details["class_counts"]


def _matrix(run: Run, counts: np.ndarray, classes: Sequence[str], task: str) -> Picture:
    right = np.trace(counts) / max(counts.sum(), 1)
    return Picture(
        svg=confusion(counts, classes),
        caption=f"{run.name} on {task}: what share of each class (row) was answered with each; {percent(right)}% are right.",
        alt=f"Confusion matrix of {run.name} on {task}, {len(classes)} classes; the mistakes are listed below.",
    )


def _mistakes(run: Run, counts: np.ndarray, classes: Sequence[str]) -> list[Block]:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_MISTAKES]
    places = [divmod(int(place), len(classes)) for place in order]
    rows: list[list[Cell]] = [
        [
            classes[row],
            classes[column],
            count(int(wrong[row, column])),
            Number(value=percent(wrong[row, column] / counts[row].sum())),
        ]
        for row, column in places
        if wrong[row, column]
    ]
    if not rows:
        return [Text(f"{run.name} mistakes nothing.")]
    return [
        Table(
            columns=["is", "was taken for", "times", "% of the class"], rows=rows, note=f"What {run.name} mistakes most often."
        )
    ]
