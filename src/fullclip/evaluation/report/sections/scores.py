"""Tables of results: a row for each set, a column for each run, the best of a row in bold."""

from collections.abc import Sequence

from fullclip.core.types import Result
from fullclip.evaluation.report.combine import average
from fullclip.evaluation.report.document import Block, Cell, Folded, Number, Section, Table, Text
from fullclip.evaluation.report.runs import Run, all_tasks, shared_tasks
from fullclip.evaluation.report.wording import DASH, count, counts, number, plain

_NOTE = "In %, with 95% intervals; n is the number of test images. The best of a row is bold."
_INTRODUCTIONS = {
    "zero-shot": (
        "Zero-shot classification",
        "Each image is given the class whose sentences are nearest to it (section 3.1 of the paper); nothing was fitted.",
    ),
    "probe": (
        "Linear probes",
        "A logistic regression on the features of the train split, its regularisation chosen on the validation split"
        " (appendix A.3 of the paper).",
    ),
}


def scores(runs: Sequence[Run], protocol: str) -> Section | None:
    """Each task's own metric, and the average over the tasks that all have."""
    own = [run for run in runs if run.of(protocol)]
    if not own:
        return None
    title, words = _INTRODUCTIONS[protocol]
    tasks = all_tasks(own, protocol)
    rows = [row(task, [run.result(protocol, task) for run in own]) for task in tasks]
    shared = shared_tasks(own, protocol)
    if len(shared) > 1:
        means = [average([run.records[protocol, task].results[0] for task in shared], task="average") for run in own]
        rows.append(row(f"average of {len(shared)}", means, metric=""))
    columns = ["set", "metric", *(run.name for run in own), "n"]
    blocks: list[Block] = [Text(words), Table(columns=columns, rows=rows, note=_NOTE)]
    if len(shared) > 1:
        blocks.append(Text(_average_note(len(shared), len(tasks), len(own))))
    if protocol == "probe":
        blocks += _how_fitted(own)
    return Section(title=title, blocks=blocks)


def _average_note(shared: int, every: int, num_runs: int) -> str:
    over = "all sets" if shared == every else f"the {shared} sets that all {num_runs} models were asked about"
    return (
        f"The average is over {over}, each counting the same; its interval is of other images of these sets, not of other sets."
    )


def _how_fitted(runs: Sequence[Run]) -> list[Block]:
    """What the probes were fitted on, and which regularisation was chosen."""
    rows: list[list[Cell]] = []
    for run in runs:
        for task, record in sorted(run.of("probe").items()):
            told = record.details
            numbers = [Number(value=plain(told["lambda"])), count(told["train"]), count(told["dim"])]
            rows.append([task, run.name, *numbers, str(told["validation"]), "no" if told.get("converged") is False else "yes"])
    columns = ["set", "model", "λ", "training images", "features", "λ was chosen on", "converged"]
    return [Folded(summary="How each probe was fitted", blocks=[Table(columns=columns, rows=rows)])]


def row(name: str, results: Sequence[Result | None], *, metric: str | None = None) -> list[Cell]:
    """Name, metric, a cell for each result, n; a result that is not there is a dash."""
    there = [result for result in results if result is not None]
    values = {result.value for result in there}
    cells: list[Cell] = []
    for result in results:
        if result is None:
            cells.append(Number(value=DASH))
        else:
            cells.append(number(result, is_best=len(values) > 1 and result.value == max(values)))
    told = ", ".join(dict.fromkeys(result.metric for result in there)) if metric is None else metric
    return [name, told, *cells, counts(result.n for result in there)]


def retrieval(runs: Sequence[Run]) -> Section | None:
    """Recall both ways, by set and rank."""
    own = [run for run in runs if run.of("retrieval")]
    if not own:
        return None
    rows = []
    for task in all_tasks(own, "retrieval"):
        found = [_by_metric(run, task) for run in own]
        metrics = dict.fromkeys(metric for results in found for metric in results)
        rows += [row(task, [results.get(metric) for results in found], metric=metric) for metric in metrics]
    words = "How often a caption finds its image, and an image one of its captions, among the k nearest of the set (App. E.1)."
    columns = ["set", "measure", *(run.name for run in own), "n"]
    return Section(title="Retrieval", blocks=[Text(words), Table(columns=columns, rows=rows, note=_NOTE)])


def _by_metric(run: Run, task: str) -> dict[str, Result]:
    record = run.record("retrieval", task)
    return {} if record is None else {result.metric: result for result in record.results}


def every_number(runs: Sequence[Run]) -> Table:
    """All results of all runs, as results.jsonl has them."""
    rows: list[list[Cell]] = []
    for run in runs:
        for (protocol, task), record in sorted(run.records.items()):
            rows += [[run.name, task, protocol, one.metric, number(one), counts([one.n])] for one in record.results]
    return Table(
        columns=["model", "set", "protocol", "metric", "value", "n"], rows=rows, note="Shares in %, with 95% intervals."
    )
