"""Data overlap (section 5): how much of each set training has seen, and whether it helped (Figure 17)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fullclip.core.types import Result
from fullclip.evaluation.report.document import Block, Cell, Folded, Number, Picture, Section, Table, Text, fold_all_but
from fullclip.evaluation.report.figures.scatter import Overlapping, overlap
from fullclip.evaluation.report.runs import Run
from fullclip.evaluation.report.wording import DASH, between, count, listed, number, p_cell, percent, points
from fullclip.evaluation.suite.records import Record

_MOST_PAIRS = 20


def overlaps(runs: Sequence[Run]) -> Section | None:
    """A figure and a table for each run whose training data were searched."""
    own = [run for run in runs if run.of("overlap")]
    if not own:
        return None
    words = (
        "Test images of which training had a near-duplicate (overlap), the others (clean), and all. Whether a model is better"
        " on what it may have seen is a one-sided binomial test against its accuracy on the clean images, corrected by"
        " Bonferroni for the number of sets. In the paper the median set overlaps by 2.2%, and no accuracy changes by more than"
        " 0.6 points."
    )
    blocks: list[Block] = [Text(words)]
    blocks += fold_all_but(1, [f"Overlap with the training data of {run.name}" for run in own], [_blocks(run) for run in own])
    return Section(title="Overlap with training data", blocks=blocks)


def _blocks(run: Run) -> list[Block]:
    records = dict(sorted(run.of("overlap").items()))
    tested = [task for task, record in records.items() if _both(record)]
    shown = [_point(task, records[task], len(tested)) for task in tested]
    blocks: list[Block] = []
    if shown:
        sure = [one.name for one in shown if one.is_sure]
        blocks.append(_figure(run, shown))
        said = f"significant on {listed(sure)}" if sure else "significant on no set"
        blocks.append(Text(f"{run.name}: after Bonferroni's correction for {len(tested)} sets the overlap is {said}."))
    note = "In %; differences in points: overlap less clean with the 99.5% interval, all less clean with the 95% interval."
    rows = [_row(task, record, len(tested)) for task, record in records.items()]
    columns = ["set", "overlap", "n overlap", "n clean", "all", "clean", "on overlap", "overlap − clean", "p"]
    columns += ["p (Bonferroni)", "all − clean", "threshold"]
    blocks.append(Table(columns=columns, rows=rows, note=note))
    pairs = [_pair(task, pair) for task, record in records.items() for pair in record.details.get("pairs", [])[:_MOST_PAIRS]]
    if pairs:
        table = Table(columns=["set", "test image", "training image", "shard", "similarity"], rows=pairs)
        blocks.append(Folded(summary=f"The most similar images (at most {_MOST_PAIRS} of each set)", blocks=[table]))
    return blocks


def _both(record: Record) -> bool:
    """Whether there are images of both parts, so that there is something to compare."""
    return record.details.get("difference") is not None and record.details.get("p_value") is not None


def _point(task: str, record: Record, num_tests: int) -> Overlapping:
    told = record.details
    low, high = told["difference_interval"]
    return Overlapping(
        name=task,
        share=record.results[0].value,
        difference=float(told["difference"]),
        low=float(low),
        high=float(high),
        gain=float(told["gain"]),
        is_sure=bonferroni(told["p_value"], num_tests) < 0.05,
    )


def bonferroni(p_value: float, num_tests: int) -> float:
    return min(1.0, p_value * num_tests)


def _figure(run: Run, shown: Sequence[Overlapping]) -> Picture:
    told = "; ".join(f"{one.name}: {percent(one.share)}% overlap, {points(one.difference)} points" for one in shown)
    return Picture(
        svg=overlap(shown),
        caption=(
            f"In the manner of the paper's Figure 17, for {run.name}: the share of a set's images that training has seen,"
            " against the difference of accuracy between these and the clean ones with its 99.5% Clopper-Pearson interval"
            " (left), and against what that changes of the whole set's accuracy (right). Red is significant after Bonferroni's"
            " correction."
        ),
        alt=f"Two scatters of {len(shown)} sets. {told}.",
    )


def _row(task: str, record: Record, num_tests: int) -> list[Cell]:
    told = record.details
    found = {result.metric: result for result in record.results}
    cells: list[Cell] = [
        task,
        number(record.results[0]),
        count(told["num_overlap"]),
        count(told["num_clean"]),
        *(_cell(found.get(f"accuracy on {part}")) for part in ("all", "clean", "overlap")),
    ]
    if not _both(record):
        return [*cells, *(Number(value=DASH) for _ in range(4)), Number(value=_threshold(told["threshold"]))]
    low, high = told["difference_interval"]
    corrected = bonferroni(told["p_value"], num_tests)
    gain = found.get("accuracy, all - clean")
    return [
        *cells,
        Number(value=points(told["difference"]), interval=between((low, high), signed=True), is_best=corrected < 0.05),
        p_cell(told["p_value"]),
        p_cell(corrected),
        Number(value=points(told["gain"])) if gain is None else number(gain),
        Number(value=_threshold(told["threshold"])),
    ]


def _cell(result: Result | None) -> Number:
    return Number(value=DASH) if result is None else number(result)


def _threshold(value: float) -> str:
    return DASH if math.isnan(value) else f"{value:.3f}"


def _pair(task: str, pair: Mapping[str, Any]) -> list[Cell]:
    similarity = Number(value=f"{pair['similarity']:.3f}")
    return [task, str(pair["key"]), str(pair["training_key"]), str(pair["shard"]), similarity]
