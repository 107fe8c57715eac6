"""What is not in the numbers: images that were left out and why, sets that only some models were asked about."""

from collections.abc import Sequence
from typing import Any

from fullclip.evaluation.report.document import Block, Cell, Points, Section, Table, Text
from fullclip.evaluation.report.runs import Run, all_tasks
from fullclip.evaluation.report.wording import count, listed

_PROTOCOLS = ("zero-shot", "retrieval", "probe", "few-shot", "calibration", "robustness", "adapted-robustness", "rejection")


def omissions(runs: Sequence[Run]) -> Section:
    """Always there, since that nothing was left out is worth saying, too."""
    rows = [row for run in runs for row in _skipped(run)]
    blocks: list[Block] = []
    if rows:
        columns = ["model", "set", "protocol", "images", "why", "such as"]
        blocks.append(Table(columns=columns, rows=rows, note="Images that could not be used; they are in no number."))
    else:
        blocks.append(Text("Every image that was asked for could be used."))
    notes = dict.fromkeys(
        f"{task}: {record.details['task_note']}"
        for run in runs
        for (_, task), record in sorted(run.records.items())
        if record.details.get("task_note")
    )
    if notes:
        blocks += [Text("What to know of the sets:"), Points(list(notes))]
    absent = _absent(runs)
    if absent:
        blocks += [Text("Not every model was asked about every set:"), Points(absent)]
    return Section(title="What was left out", blocks=blocks)


def _skipped(run: Run) -> list[list[Cell]]:
    found: list[list[Cell]] = []
    for (protocol, task), record in sorted(run.records.items()):
        told_of = record.details
        by_task: dict[str, Any] = dict(told_of.get("left_out") or {task: told_of.get("skipped") or {}})
        for name, part in (("left_out_of_train", f"{task}, train"), ("skipped_training", "training data")):
            by_task[part] = told_of.get(name) or {}
        for name, reasons in by_task.items():
            for reason, told in reasons.items():
                examples = listed(map(str, told["examples"]), most=3)
                found.append([run.name, name, protocol, count(told["count"]), str(reason), examples])
    return found


def _absent(runs: Sequence[Run]) -> list[str]:
    told = []
    for protocol in _PROTOCOLS:
        own = [run for run in runs if run.of(protocol)]
        for task in all_tasks(own, protocol):
            without = [run.name for run in own if run.record(protocol, task) is None]
            if without:
                told.append(f"{task}, {protocol}: not {listed(without)}.")
    return told
