"""A stage: partitions in, a folder of parts and a report out. The same command again goes on where it was stopped.

DIR/parts/000000.parquet   the rows, in the order of the partitions
DIR/done/000000.json       what became of a partition; what has it, and files of the sizes in it, is finished
DIR/stage.json             what the folder was begun with; another run is refused
DIR/report.json            counts by reason, when all is done
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fullclip.core import parts
from fullclip.core.config import first_difference, flat, from_dict, to_dict
from fullclip.core.folders import appeared, read_text, whole_file
from fullclip.core.logs import track
from fullclip.core.parts import FileSize, check_usable, held, remove_unfinished
from fullclip.core.storage import is_remote
from fullclip.data.building.engine import Engine
from fullclip.data.building.rows import PARTS, Work, write_table
from fullclip.data.drops import Drops

PLAN_NAME, REPORT_NAME, DONE = "stage.json", "report.json", "done"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a partition gave: rows, how many there were, why others were left out, what else was counted, further tables by the
    folder that they go to, and further files that are written already.
    """

    table: Any
    num_in: int
    drops: Drops
    counts: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[FileSize, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A reason for leaving rows out, how often it was met, and some of them."""

    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What DIR/done holds of a partition."""

    number: int
    num_in: int
    num_out: int
    dropped: tuple[Dropped, ...]
    counts: Mapping[str, int]
    files: tuple[FileSize, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What stage.json holds."""

    stage: str
    settings: Mapping[str, Any]
    works: tuple[Work, ...]
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a stage's folder holds. `resumed` (partitions that were finished before) and `seconds` are of this run alone, and
    not in report.json.
    """

    stage: str
    out: str
    settings: Mapping[str, Any]
    inputs: tuple[str, ...]
    num_in: int
    num_out: int
    num_parts: int
    dropped: tuple[Dropped, ...]
    counts: Mapping[str, Any]
    resumed: int
    seconds: float


def run_stage(
    out: str,
    *,
    stage: str,
    settings: Mapping[str, Any],
    works: Sequence[Work],
    do: Callable[[Work], Done],
    engine: Engine,
    prepare: Callable[[str], None] | None = None,
    summarize: Callable[[str, Sequence[Record]], Mapping[str, Any]] | None = None,
) -> Report:
    """`do` every partition on `engine`, in whatever order, each into its part.

    settings: all that the result depends on besides the partitions, JSON-able. prepare: asked first with the folder, for what
    all partitions need; again where a run goes on. summarize: asked at the end with the folder and its records, may write more
    files there, and gives further counts. ValueError for an `out` that holds something else, or
    was begun otherwise.
    """
    out = out if is_remote(out) else str(Path(out).absolute())
    check_usable(out, plan_name=PLAN_NAME)
    began = time.monotonic()
    with held(out, doing=f"writing ({stage})"):
        _claim(out, Plan(stage=stage, settings=settings, works=tuple(works)))
        done = {record.number: record for record in _finished(out) if record.number < len(works)}
        left = [work for work in works if work.number not in done]
        if prepare and left:
            prepare(out)
        resumed = len(done)
        writing = partial(_write_part, do=do, out=out)
        for place, record in track(engine.map(writing, left), stage, total=len(left), unit="parts"):
            done[left[place].number] = record
        remove_unfinished(out)  # of workers that were killed
        _check_all_there(out, len(works))
        records = [done[work.number] for work in works]
        more = summarize(out, records) if summarize else {}
        report = _report(out, Plan(stage=stage, settings=settings, works=tuple(works)), records, more)
        with whole_file(f"{out}/{REPORT_NAME}", "w") as file:
            json.dump(told(report), file, indent=1, ensure_ascii=False)
    return Report(**{**report.__dict__, "resumed": resumed, "seconds": time.monotonic() - began})


def told(report: Report) -> dict[str, Any]:
    """A report as JSON; what depends on the run or on where the folder lies is left out."""
    found = to_dict(report)
    for name in ("out", "resumed", "seconds"):
        del found[name]
    found["dropped"] = {one.reason: {"count": one.count, "examples": list(one.examples)} for one in report.dropped}
    return found


def read_report(folder: str) -> dict[str, Any]:
    """report.json of a stage's folder; ValueError where there is none."""
    if not appeared(f"{folder}/{REPORT_NAME}"):
        raise ValueError(f"{folder}: no {REPORT_NAME}; run the stage to its end first")
    found: dict[str, Any] = json.loads(read_text(f"{folder}/{REPORT_NAME}"))
    return found


def part_path(out: str, number: int) -> str:
    return f"{out}/{PARTS}/{number:06d}.parquet"


def _write_part(work: Work, *, do: Callable[[Work], Done], out: str) -> Record:
    result = do(work)
    tables = {PARTS: result.table, **result.beside}
    files = list(result.files)
    for folder, table in tables.items():
        name = f"{folder}/{work.number:06d}.parquet"
        with whole_file(f"{out}/{name}") as file:
            write_table(table, file)
            file.flush()
            files.append(FileSize(name=name, num_bytes=file.seek(0, 2)))
    dropped = [
        Dropped(reason=reason, count=count, examples=tuple(result.drops.examples[reason]))
        for reason, count in sorted(result.drops.counts.items())
    ]
    record = Record(
        number=work.number,
        num_in=result.num_in,
        num_out=result.table.num_rows,
        dropped=tuple(dropped),
        counts=dict(sorted(result.counts.items())),
        files=tuple(files),
    )
    with whole_file(f"{out}/{DONE}/{work.number:06d}.json", "w") as file:
        json.dump(to_dict(record), file)
    return record


def _claim(out: str, plan: Plan) -> None:
    if not appeared(f"{out}/{PLAN_NAME}"):
        with whole_file(f"{out}/{PLAN_NAME}", "w") as file:
            json.dump(to_dict(plan), file, indent=1)
    else:
        _check_same(out, plan)
    remove_unfinished(out)


def _check_same(out: str, plan: Plan) -> None:
    other = "give another --out, or remove this one to begin anew"
    try:
        before = from_dict(Plan, json.loads(read_text(f"{out}/{PLAN_NAME}")))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{out}/{PLAN_NAME} is damaged ({error}); {other}") from None
    if before.stage != plan.stage:
        raise ValueError(f"{out} holds what `fullclip data {before.stage}` wrote; give another --out")
    if difference := first_difference(flat(dict(before.settings)), flat(dict(plan.settings)), free=()):
        name, old, new = difference
        raise ValueError(f"{out} was begun with {name} {old!r}, and now it is {new!r}; {other}")
    for old, new in zip(before.works, plan.works, strict=False):
        if old != new:
            what = f"{new.path} has changed" if old.path == new.path else f"{old.path} stood where now {new.path} is"
            raise ValueError(f"{out} was begun with another input: {what}; {other}")
    if len(before.works) != len(plan.works):
        raise ValueError(f"{out} was begun with {len(before.works)} partitions, and now there are {len(plan.works)}; {other}")


def _finished(out: str) -> list[Record]:
    return parts.finished(out, DONE, parse=_parse, files=lambda record: record.files)


def _parse(text: str) -> Record | None:
    try:
        return from_dict(Record, json.loads(text))
    except (ValueError, AttributeError, TypeError):
        return None


def _check_all_there(out: str, num_parts: int) -> None:
    """OSError where workers elsewhere wrote to a disk that is not seen from here."""
    missing = set(range(num_parts)) - {record.number for record in _finished(out)}
    if missing:
        raise OSError(f"{len(missing)} finished parts are not in {out}: it must be on s3:// or a disk that all workers share")


def _report(out: str, plan: Plan, records: Sequence[Record], more: Mapping[str, Any]) -> Report:
    drops, counts = Drops(), Counter[str]()
    for record in records:
        counts.update(record.counts)
        for one in record.dropped:
            drops.merge(Drops(counts=Counter({one.reason: one.count}), examples={one.reason: list(one.examples)}))
    return Report(
        stage=plan.stage,
        out=out,
        settings=plan.settings,
        inputs=tuple(dict.fromkeys(work.path for work in plan.works)),
        num_in=sum(record.num_in for record in records),
        num_out=sum(record.num_out for record in records),
        num_parts=len(records),
        dropped=tuple(
            Dropped(reason=reason, count=count, examples=tuple(drops.examples[reason]))
            for reason, count in sorted(drops.counts.items(), key=lambda item: (-item[1], item[0]))
        ),
        counts={**dict(sorted(counts.items())), **more},
        resumed=0,
        seconds=0.0,
    )
