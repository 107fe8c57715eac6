"""Who was measured: each run's model, what is known of it, its averages; and the sets, with their sources."""

from collections.abc import Mapping, Sequence
from typing import Any

from fullclip.core.types import Result
from fullclip.evaluation.datasets import DATASETS
from fullclip.evaluation.report.combine import average
from fullclip.evaluation.report.document import Block, Cell, Folded, Link, Number, Section, Table
from fullclip.evaluation.report.runs import Run, fact, shared_tasks
from fullclip.evaluation.report.wording import DASH, number


def models(runs: Sequence[Run]) -> Section:
    """A row for each run; all facts that its evaluation kept are folded."""
    averaged = {protocol: _averages(runs, protocol) for protocol in ("zero-shot", "probe")}
    rows = [_row(run, [averaged[protocol].get(run.name) for protocol in averaged]) for run in runs]
    columns = ["model", "kind", "GFLOPs per image", "image size", "sets", "zero-shot", "linear probe"]
    note = "Zero-shot and linear probe: averages in % over the sets that all models with such scores share, with 95% intervals."
    facts: list[list[Cell]] = [
        [run.name, name.replace("_", " "), _plain(value)] for run in runs for name, value in _told(run).items()
    ]
    blocks: list[Block] = [Table(columns=columns, rows=rows, note=note)]
    table = Table(columns=["model", "what", "value"], rows=facts)
    blocks.append(Folded(summary="What is known of each model", blocks=[table]))
    return Section(title="Models", blocks=blocks)


def _averages(runs: Sequence[Run], protocol: str) -> dict[str, Result]:
    own = [run for run in runs if run.of(protocol)]
    shared = shared_tasks(own, protocol)
    if not shared:
        return {}
    return {run.name: average([run.records[protocol, task].results[0] for task in shared], task=protocol) for run in own}


def _row(run: Run, averages: Sequence[Result | None]) -> list[Cell]:
    kind = ("CLIP" if run.knows_words else "network without words") + (", baseline" if run.is_baseline else "")
    gflops, size = fact(run, "gflops"), fact(run, "image_size")
    tasks = {task for protocol, task in run.records if protocol in ("zero-shot", "probe", "few-shot", "retrieval")}
    return [
        run.name,
        kind,
        Number(value=f"{gflops:,.3g}" if isinstance(gflops, int | float) else DASH),
        Number(value=DASH if size is None else _plain(size)),
        Number(value=str(len(tasks))),
        *(Number(value=DASH) if one is None else number(one) for one in averages),
    ]


def _told(run: Run) -> dict[str, Any]:
    return {"folder": str(run.folder), "fingerprint": run.about.fingerprint, **_flat(run.about.facts)}


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts within facts, side by side."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        found |= (
            {f"{name}: {part}": told for part, told in _flat(value).items()} if isinstance(value, Mapping) else {name: value}
        )
    return found


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, list | tuple):
        return " × ".join(map(_plain, value)) if all(isinstance(one, int) for one in value) else ", ".join(map(_plain, value))
    return DASH if value is None else str(value)


def sets(runs: Sequence[Run]) -> Section | None:
    """Of the known sets that were asked: what they are, and whose."""
    named = {str(record.details.get("dataset", "")) for run in runs for record in run.records.values()}
    names = sorted(named & DATASETS.keys())
    if not names:
        return None
    rows: list[list[Cell]] = []
    for name in names:
        known = DATASETS[name]
        rows.append([name, Link(text=known.title, address=known.home), known.citation, known.licence])
    return Section(title="Sets", blocks=[Table(columns=["set", "title", "from", "licence"], rows=rows)])
