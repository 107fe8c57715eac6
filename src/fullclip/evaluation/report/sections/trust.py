"""How far answers can be trusted: calibration of confidence, and whether pictures of none of the classes are seen to be."""

from collections.abc import Sequence

from fullclip.core.types import Result
from fullclip.evaluation.report.document import Block, Cell, Folded, Number, Picture, Section, Table, Text, fold_all_but
from fullclip.evaluation.report.figures.curves import Reliability, reliability
from fullclip.evaluation.report.figures.histograms import inside_outside
from fullclip.evaluation.report.runs import Run, all_tasks
from fullclip.evaluation.report.wording import DASH, counts, number, percent, plain

_MOST_HISTOGRAMS = 12
_OPEN_RELIABILITIES = 2
_MOST_ROWS = 12  # of single scores; beyond, a matrix is what can be read
_REJECTED = {
    "AUROC": "AUROC",
    "FPR@95": "FPR@95",
    "rejected of in at 5%": "own rejected",
    "rejected of out at 5%": "strangers rejected",
}


def calibration(runs: Sequence[Run]) -> Section | None:
    """Errors before and after a temperature, and a reliability diagram for each set."""
    own = [run for run in runs if run.of("calibration")]
    if not own:
        return None
    words = (
        "ECE is the mean distance between confidence and accuracy over 15 bins; NLL the negative log-likelihood of the right"
        " class, in nats. Logits are divided by a temperature that was fitted on examples that nothing is measured on."
    )
    tasks = all_tasks(own, "calibration")
    metrics = ("ECE", "ECE after temperature", "NLL", "NLL after temperature")
    rows: list[list[Cell]] = []
    for task in tasks:
        for run in own:
            record = run.record("calibration", task)
            if record is not None:
                found = {result.metric: result for result in record.results}
                told = record.details
                temperature = Number(value=plain(told["temperature"]) + (" (limit)" if told.get("is_bounded") else ""))
                cells = [_cell(found.get(metric)) for metric in metrics]
                n = counts([record.results[0].n])
                rows.append([task, run.name, *cells, temperature, str(told["fitted_on"]), n])
    columns = ["set", "model", "ECE", "ECE after", "NLL", "NLL after", "temperature", "fitted on", "n"]
    blocks: list[Block] = [Text(words), Table(columns=columns, rows=rows, note="ECE in %, with 95% intervals.")]
    blocks += fold_all_but(
        _OPEN_RELIABILITIES, [f"Reliability on {task}" for task in tasks], [[_reliability(own, task)] for task in tasks]
    )
    return Section(title="Calibration", blocks=blocks)


def _cell(result: Result | None) -> Number:
    return Number(value=DASH) if result is None else number(result)


def _reliability(runs: Sequence[Run], task: str) -> Picture:
    models, told = [], []
    for run in runs:
        record = run.record("calibration", task)
        if record is not None:
            curves = record.details["reliability"]
            models.append(Reliability(name=run.name, place=run.place, before=curves["before"], after=curves["after"]))
            errors = {result.metric: result for result in record.results}
            told.append(
                f"{run.name}: ECE {percent(errors['ECE'].value)}%, {percent(errors['ECE after temperature'].value)}% after"
            )
    return Picture(
        svg=reliability(models),
        caption=(
            f"Reliability on {task}: how often answers of a confidence are right, with 95% Clopper-Pearson intervals. Below the"
            " diagonal a model is too sure."
        ),
        alt=f"Reliability diagrams on {task}. {'; '.join(told)}.",
    )


def rejection(runs: Sequence[Run]) -> Section | None:
    """AUROC and FPR@95 of each score for each two sets, and histograms of the first ones."""
    own = [run for run in runs if run.of("rejection")]
    if not own:
        return None
    words = (
        "Pictures of one set, and pictures of another one, none of whose classes has the name of one of the first's; where two"
        " names mean the same thing, its pictures count as strangers all the same. AUROC is the chance that a"
        " stranger has the higher score, 50% being chance; FPR@95 the share of strangers that are taken in where 95% of the"
        " set's own pictures are. A threshold is fitted, on other pictures, so that 5% of the set's own are rejected: the last"
        " two columns say how many it rejects."
    )
    rows: list[list[Cell]] = []
    titles: list[str] = []
    pictures: list[list[Block]] = []
    for task in all_tasks(own, "rejection"):
        for run in own:
            record = run.record("rejection", task)
            if record is None:
                continue
            found = {result.metric: result for result in record.results}
            best = max((one.value for metric, one in found.items() if metric.startswith("AUROC")), default=None)
            for method in record.details["methods"]:
                auroc, *others = (found.get(f"{metric} ({method})") for metric in _REJECTED)
                shown = Number(value=DASH) if auroc is None else number(auroc, is_best=auroc.value == best)
                rows.append([task, run.name, method, shown, *map(_cell, others), counts([record.results[0].n])])
            if len(pictures) < _MOST_HISTOGRAMS:
                titles.append(f"Scores of {run.name}, {task}")
                pictures.append([_histograms(run, task)])
    columns = ["sets", "model", "score", *_REJECTED.values(), "n"]
    note = "In %, with 95% intervals; the best AUROC of a model on two sets is bold."
    every = Table(columns=columns, rows=rows, note=note)
    blocks: list[Block] = [Text(words)]
    if len(rows) > _MOST_ROWS:
        blocks += [_matrix(run) for run in own]
        blocks.append(Folded(summary="Every score on each two sets, with intervals", blocks=[every]))
    else:
        blocks.append(every)
    blocks += fold_all_but(1, titles, pictures)
    num_pairs = sum(len(run.of("rejection")) for run in own)
    if num_pairs > len(pictures):
        blocks.append(Text(f"Histograms are shown of the first {len(pictures)} of {num_pairs}."))
    return Section(title="Pictures of none of the classes", blocks=blocks)


def _matrix(run: Run) -> Table:
    """AUROC of the first score, by whose classes were asked for and whose pictures were strangers."""
    records = run.of("rejection")
    method = next(iter(next(iter(records.values())).details["methods"]))
    values = {
        (record.details["in"], record.details["out"]): result.value
        for record in records.values()
        for result in record.results
        if result.metric == f"AUROC ({method})"
    }
    inside, outside = (sorted({pair[side] for pair in values}) for side in (0, 1))
    rows: list[list[Cell]] = [
        [one, *(Number(value=percent(values[one, other]) if (one, other) in values else DASH) for other in outside)]
        for one in inside
    ]
    note = f"{run.name}: AUROC in % of {method}. Rows: whose classes were asked for; columns: whose pictures were strangers."
    return Table(columns=["classes of", *outside], rows=rows, note=note)


def _histograms(run: Run, task: str) -> Picture:
    record = run.records["rejection", task]
    found = {result.metric: result for result in record.results}
    inside, outside = str(record.details["in"]), str(record.details["out"])
    methods = record.details["methods"]
    told = "; ".join(
        f"{method} {percent(found[f'AUROC ({method})'].value)}%" for method in methods if f"AUROC ({method})" in found
    )
    return Picture(
        svg=inside_outside(methods, inside=inside, outside=outside),
        caption=(
            f"Scores that {run.name} gives pictures of {inside} and of {outside} for being none of {inside}'s classes, each"
            f" side's counts made to sum to one. AUROC: {told}."
        ),
        alt=f"Histograms of scores for {inside} and {outside}. AUROC: {told}.",
    )
