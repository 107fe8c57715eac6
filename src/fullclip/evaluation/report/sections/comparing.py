"""Runs against each other, and against supervised baselines (Figure 5 of the paper), by paired tests."""

from collections.abc import Sequence

from fullclip.evaluation.report.comparisons import Duel, duel
from fullclip.evaluation.report.document import Block, Cell, Number, Picture, Points, Section, Table, Text, fold_all_but
from fullclip.evaluation.report.figures.bars import Bar, differences
from fullclip.evaluation.report.runs import Run
from fullclip.evaluation.report.wording import between, count, p_cell, percent, points

_HOLM = (
    "Both models were asked about the same images, so the tests are paired: McNemar's exact test where an answer is right or"
    " wrong, the paired bootstrap elsewhere. p-values are corrected by Holm's method for the number of sets of their table."
    " “Beyond chance” is p < 0.05 after the correction."
)
_MOST_SENTENCES = 6  # the largest differences; the table has all
_NAMES = {"zero-shot": "zero-shot", "probe": "linear probe", "retrieval": "retrieval, recall@1"}


def comparisons(found: Sequence[Duel]) -> Section | None:
    """The tests of `comparisons.duels`, in words and in tables."""
    if not found:
        return None
    blocks: list[Block] = [Text(_HOLM), Points([f"{_NAMES[each.protocol].capitalize()}: {each.wins}" for each in found])]
    titles = [f"{_NAMES[each.protocol].capitalize()}: {each.second} against {each.first}, set by set" for each in found]
    groups = [[*_told(each), _table(each)] for each in found]
    blocks += fold_all_but(1, titles, groups)
    return Section(title="Models against each other", blocks=blocks)


def _told(each: Duel) -> list[Block]:
    sentences: list[Block] = [Points(each.sentences()[:_MOST_SENTENCES])] if each.comparisons else []
    if each.failed:
        sentences.append(Text(f"Not compared: {'; '.join(each.failed)}."))
    return sentences


def _table(each: Duel) -> Table:
    told = zip(each.comparisons, each.p_values, each.is_beyond_chance, strict=True)
    rows: list[list[Cell]] = [
        [
            one.task,
            one.metric,
            Number(value=percent(one.first)),
            Number(value=percent(one.second)),
            Number(value=points(one.difference), interval=between(one.interval, signed=True), is_best=sure),
            p_cell(p),
            count(one.n),
            one.test,
        ]
        for one, p, sure in told
    ]
    columns = ["set", "metric", each.first, each.second, "difference, points", "p (Holm)", "n", "test"]
    return Table(columns=columns, rows=rows, note="In %; differences with 95% intervals. Bold is beyond chance.")


def against_baselines(runs: Sequence[Run]) -> Section | None:
    """Zero-shot less each baseline's linear probe, set by set, as in Figure 5."""
    baselines = [run for run in runs if run.is_baseline and run.of("probe")]
    asked = [run for run in runs if not run.is_baseline and run.of("zero-shot")]
    found = [_against(baseline, run) for baseline in baselines for run in asked]
    there = [each for each in found if each is not None and each.comparisons]
    if not there:
        return None
    words = (
        "Is a model that was told nothing but the names of the classes better than a classifier fitted on the features of"
        " a supervised network? In the paper zero-shot CLIP wins on 16 of 27 sets against a ResNet-50."
    )
    blocks: list[Block] = [Text(words), Points([each.wins_of_second for each in there])]
    titles = [f"{each.second} against {each.first}" for each in there]
    blocks += fold_all_but(1, titles, [[_figure(each), *_told_apart(each)] for each in there])
    return Section(title="Zero-shot against a supervised probe", blocks=blocks)


def _against(baseline: Run, run: Run) -> Duel | None:
    names = (f"the linear probe of {baseline.name}", f"Zero-shot {run.name}")
    return duel(baseline, run, protocols=("probe", "zero-shot"), names=names)


def _told_apart(each: Duel) -> list[Block]:
    told: list[Block] = [_table(each)]
    if each.failed:
        told.append(Text(f"Not compared: {'; '.join(each.failed)}."))
    return told


def _figure(each: Duel) -> Picture:
    bars = [
        Bar(name=one.task, value=one.difference, low=one.interval[0], high=one.interval[1], is_sure=sure)
        for one, sure in zip(each.comparisons, each.is_beyond_chance, strict=True)
    ]
    label = "zero-shot less linear probe, percentage points"
    return Picture(
        svg=differences(bars, label=label),
        caption=(
            f"In the manner of the paper's Figure 5: {each.second} less {each.first}, in"
            " points, with 95% intervals. Pale bars may be chance."
        ),
        alt=f"Bar chart of {len(bars)} sets. {each.wins_of_second}",
    )
