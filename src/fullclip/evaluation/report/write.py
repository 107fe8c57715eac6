"""All of it, in order: runs -> sections -> the page, the Markdown, the lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullclip.core.config import to_dict
from fullclip.core.extras import require
from fullclip.core.storage import atomic_file
from fullclip.evaluation.report.comparisons import Duel, duels
from fullclip.evaluation.report.document import Folded, Section
from fullclip.evaluation.report.markdown import to_markdown
from fullclip.evaluation.report.page import to_html
from fullclip.evaluation.report.published import read_published
from fullclip.evaluation.report.runs import Run, read_runs
from fullclip.evaluation.report.sections.classes import by_class
from fullclip.evaluation.report.sections.comparing import against_baselines, comparisons
from fullclip.evaluation.report.sections.few_shots import few_shots
from fullclip.evaluation.report.sections.models import models, sets
from fullclip.evaluation.report.sections.omissions import omissions
from fullclip.evaluation.report.sections.overlapping import overlaps
from fullclip.evaluation.report.sections.probing import against_compute, against_own_probe
from fullclip.evaluation.report.sections.scores import every_number, retrieval, scores
from fullclip.evaluation.report.sections.shifted import adapting, robustness
from fullclip.evaluation.report.sections.trust import calibration, rejection
from fullclip.evaluation.report.shifts import Shift, shifts_of
from fullclip.evaluation.report.wording import listed


@dataclass(frozen=True, kw_only=True)
class Report:
    """`lines` are all measured numbers, as results.jsonl has them, under the names that the report gives its runs; then each
    paired comparison, and each robustness against the line.
    """

    markdown: str
    lines: tuple[Mapping[str, Any], ...]
    page: Path


def write_report(folders: Sequence[Path], out: Path, *, baselines: Sequence[Path] = (), line: Path | None = None) -> Report:
    """The report of evaluations' folders: the page as `out`, the Markdown beside it.

    `baselines` are evaluations that the others are held against: supervised networks, and the models that robustness lines go
    through; `line` is a CSV of more of these (`published.py`). ValueError for what cannot be read, see `read_runs`.
    """
    if out.suffix not in (".html", ".htm") or out.is_dir():
        raise ValueError(f"{out}: the report is one page; give --out a name that ends in .html")
    require("matplotlib", extra="eval")
    runs = read_runs(folders, baselines=baselines)
    shifts = shifts_of(runs, {} if line is None else read_published(line))
    found = list(duels([run for run in runs if not run.is_baseline] or runs))
    sections = _sections(runs, found, shifts)
    title = f"Evaluation of {listed(run.name for run in runs)}" if len(runs) <= 3 else f"Evaluation of {len(runs)} models"
    summary = _summary(runs, found)
    markdown = to_markdown(title, summary, sections, page=out.name)
    html = to_html(title, summary, sections)
    for path, text in ((out, html), (out.with_suffix(".md"), markdown)):
        with atomic_file(path, "w") as file:
            file.write(text)
    return Report(markdown=markdown, lines=tuple(_lines(runs, found, shifts)), page=out)


def _sections(runs: Sequence[Run], found: Sequence[Duel], shifts: Mapping[str, Sequence[Shift]]) -> list[Section]:
    robust = [part for of_one in shifts.values() if of_one for part in (robustness(of_one), adapting(runs, of_one))]
    every = [
        models(runs),
        scores(runs, "zero-shot"),
        retrieval(runs),
        scores(runs, "probe"),
        comparisons(found),
        against_baselines(runs),
        few_shots(runs),
        against_own_probe(runs),
        against_compute(runs),
        *robust,
        overlaps(runs),
        calibration(runs),
        rejection(runs),
        by_class(runs),
        omissions(runs),
        sets(runs),
    ]
    numbers = Section(title="Every number", blocks=[Folded(summary="All measured numbers", blocks=[every_number(runs)])])
    return [section for section in (*every, numbers) if section is not None]


def _summary(runs: Sequence[Run], found: Sequence[Duel]) -> list[str]:
    """What a reader should know first."""
    own, baselines = [run for run in runs if not run.is_baseline], [run for run in runs if run.is_baseline]
    tasks = {
        task for run in runs for protocol, task in run.records if protocol in ("zero-shot", "probe", "few-shot", "retrieval")
    }
    said = f"{listed(run.name for run in own)} on {len(tasks)} {'set' if len(tasks) == 1 else 'sets'}"
    beside = f", beside {listed(run.name for run in baselines)}" if own and baselines else ""
    told = [f"{said if own else listed(run.name for run in baselines)}{beside}. Every number has its 95% interval and its n."]
    return [*told, *(each.wins for each in found if each.protocol == "zero-shot" and len(found) <= 6)]


def _lines(runs: Sequence[Run], found: Sequence[Duel], shifts: Mapping[str, Sequence[Shift]]) -> list[dict[str, Any]]:
    lines = [
        {"model": run.name, "protocol": protocol, **to_dict(result)}
        for run in runs
        for (protocol, _), record in sorted(run.records.items())
        for result in record.results
    ]
    for duel in found:
        for one, p_value in zip(duel.comparisons, duel.p_values, strict=True):
            told = {**to_dict(one), "p_holm": p_value}
            lines.append({"model": duel.second, "against": duel.first, "protocol": duel.protocol, **told})
    for shift in (shift for of_one in shifts.values() for shift in of_one):
        for (kind, model), robust in shift.robust.items():
            told = {name: value for name, value in to_dict(robust).items() if name != "model"}
            lines.append({"model": model, "kind": kind, "protocol": "robustness to the line", "task": shift.name, **told})
    return lines
