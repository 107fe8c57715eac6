"""Probes on a few examples per class: the curves (Figure 6), and how many examples zero-shot is worth (Figure 7)."""

import math
from collections.abc import Sequence

from fullclip.core.types import Result
from fullclip.evaluation.report.combine import average
from fullclip.evaluation.report.document import Block, Cell, Folded, Number, Picture, Section, Table, Text, fold_all_but
from fullclip.evaluation.report.figures.bars import Shots, equal_shots
from fullclip.evaluation.report.figures.curves import Curve, few_shot
from fullclip.evaluation.report.runs import Run, all_tasks, shared_tasks
from fullclip.evaluation.report.wording import DASH, between, counts, listed, number, percent
from fullclip.evaluation.suite.records import Record


def few_shots(runs: Sequence[Run]) -> Section | None:
    """Averages over the sets and numbers of shots that all models have, then each set."""
    own = [run for run in runs if run.of("few-shot")]
    if not own:
        return None
    words = (
        "A probe is fitted on so many examples of each class, drawn anew for each seed; the scores are means over the seeds."
        " 0 is zero-shot, which has seen no example."
    )
    blocks: list[Block] = [Text(words)]
    shared = shared_tasks(own, "few-shot")
    shots = _shared_shots(own, shared)
    if shared and shots:
        curves = [_curve(run, shared, shots) for run in own]
        blocks += [_figure(curves, len(shared)), _averages(curves, own, shared)]
    else:
        blocks.append(Text("No set has curves of all models with the same numbers of examples, so there is no average."))
    worth = [run for run in own if any(_equal(record) for record in run.of("few-shot").values())]
    titles = [f"How many labelled examples zero-shot {run.name} is worth" for run in worth]
    blocks += fold_all_but(1, titles, [_worth(run) for run in worth])
    blocks.append(Folded(summary="Every set's curve", blocks=[_every_curve(own)]))
    return Section(title="Few-shot probes", blocks=blocks)


def at_shots(record: Record, shots: int) -> Result:
    """The score with so many examples per class."""
    return record.results[list(record.details["shots"]).index(shots)]


def _shared_shots(runs: Sequence[Run], tasks: Sequence[str]) -> list[int]:
    known = [set(run.records["few-shot", task].details["shots"]) for run in runs for task in tasks]
    return sorted(set.intersection(*known)) if known else []


def _curve(run: Run, tasks: Sequence[str], shots: Sequence[int]) -> Curve:
    records = [run.records["few-shot", task] for task in tasks]
    scores = [_spread(average([at_shots(record, k) for record in records], task="average")) for k in shots]
    zero_shot = [_zero_shot(record) for record in records]
    known = [one for one in zero_shot if one is not None]
    start = _spread(average(known, task="average")) if len(known) == len(records) else None
    return Curve(name=run.name, place=run.place, shots=shots, scores=scores, zero_shot=start)


def _spread(result: Result) -> tuple[float, float, float]:
    return (result.value, *result.interval)


def _zero_shot(record: Record) -> Result | None:
    """The model's own zero-shot score on the set, as its few-shot record tells it."""
    value, interval = record.details["zero_shot"], record.details["zero_shot_interval"]
    if value is None or interval is None:
        return None
    return Result(task=record.task, metric="zero-shot", value=value, interval=(interval[0], interval[1]), n=record.results[0].n)


def _figure(curves: Sequence[Curve], num_sets: int) -> Picture:
    ends = [f"{curve.name}: {percent(curve.scores[-1][0])}% with {curve.shots[-1]} examples" for curve in curves]
    return Picture(
        svg=few_shot(curves),
        caption=(
            f"In the manner of the paper's Figure 6: the average score over {num_sets} {'set' if num_sets == 1 else 'sets'} by"
            " the number of labelled examples per class. Stars are zero-shot; bands are 95% intervals. In the paper zero-shot"
            " CLIP equals a 4-shot probe of its own features."
        ),
        alt=f"Curves of few-shot scores. {'; '.join(ends)}.",
    )


def _averages(curves: Sequence[Curve], runs: Sequence[Run], tasks: Sequence[str]) -> Table:
    n = sum(runs[0].records["few-shot", task].results[0].n for task in tasks)
    rows: list[list[Cell]] = []
    for curve in curves:
        spreads = [curve.zero_shot, *curve.scores]
        cells = [
            Number(value=DASH) if spread is None else Number(value=percent(spread[0]), interval=between(spread[1:]))
            for spread in spreads
        ]
        rows.append([curve.name, *cells, counts([n])])
    note = f"Averages over {listed(tasks, most=40)}, in %, with 95% intervals."
    return Table(columns=["model", "zero-shot", *(str(k) for k in curves[0].shots), "n"], rows=rows, note=note)


def _equal(record: Record) -> bool:
    return record.details["zero_shot_equals"] is not None and record.details["zero_shot"] is not None


def _worth(run: Run) -> list[Block]:
    """Figure 7, and the median."""
    records = {task: record for task, record in sorted(run.of("few-shot").items()) if _equal(record)}
    every = [_shots(task, record) for task, record in records.items()]
    fewest = float(min(min(record.details["shots"]) for record in records.values()))
    most = max(_ceiling(record) for record in records.values())
    median = median_said(every)
    picture = Picture(
        svg=equal_shots(every, fewest=fewest, most=most, place=run.place),
        caption=(
            f"In the manner of the paper's Figure 7: how many labelled examples per class a linear probe on the features of"
            f" {run.name} needs to equal its zero-shot score, with 95% intervals; hollow points lie beyond the curve. The"
            f" median is {median} (in the paper 5.4)."
        ),
        alt=f"For {len(every)} sets the number of examples per class that equals zero-shot: "
        + "; ".join(f"{one.name} {one.said}" for one in every),
    )
    return [picture]


def _shots(task: str, record: Record) -> Shots:
    told = record.details["zero_shot_equals"]
    interval = None if told["interval"] is None else (float(told["interval"][0]), float(told["interval"][1]))
    value = None if told["shots"] is None else float(told["shots"])
    return Shots(name=task, value=value, interval=interval, said=str(told["said"]))


def _ceiling(record: Record) -> float:
    """Where a set's curve ends."""
    return float(max(*record.details["shots"], math.ceil(record.details["full_shots"] or 0)))


def median_said(sets: Sequence[Shots]) -> str:
    """The median number of shots; what is beyond a curve counts as least or most."""

    def place(one: Shots) -> float:
        return one.value if one.value is not None else math.inf if "more" in one.said else -math.inf

    ordered = sorted(sets, key=place)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if low.value is not None and high.value is not None:
        return f"{(low.value + high.value) / 2:.1f}"
    return low.said if low.value is None else high.said


def _every_curve(runs: Sequence[Run]) -> Table:
    ticks = sorted({k for run in runs for record in run.of("few-shot").values() for k in record.details["shots"]})
    rows: list[list[Cell]] = []
    for task in all_tasks(runs, "few-shot"):
        for run in runs:
            record = run.record("few-shot", task)
            if record is None:
                continue
            known = {k: at_shots(record, k) for k in record.details["shots"]}
            scores = [number(known[k]) if k in known else Number(value=DASH) for k in ticks]
            start, full = _zero_shot(record), record.details["full"]
            said = (record.details["zero_shot_equals"] or {}).get("said")
            rows.append(
                [
                    task,
                    run.name,
                    str(record.details["metric"]),
                    Number(value=DASH) if start is None else number(start),
                    *scores,
                    Number(value=DASH if full is None else percent(full)),
                    Number(value=DASH if said is None or start is None else str(said)),
                    Number(value=str(record.details["seeds"])),
                    counts(one.n for one in record.results[:1]),
                ]
            )
    columns = [
        "set",
        "model",
        "metric",
        "zero-shot",
        *(str(k) for k in ticks),
        "all of train",
        "zero-shot equals",
        "seeds",
        "n",
    ]
    return Table(columns=columns, rows=rows, note="In %, with 95% intervals.")
