"""Images and texts, any number of them, in; embeddings on disk out, part by part, gone on with where a run was stopped."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.progress import TextColumn

from fullclip.core.extras import require
from fullclip.core.folders import read_text
from fullclip.core.logs import progress
from fullclip.core.parts import check_usable, held, remove_unfinished
from fullclip.data.drops import Drops
from fullclip.search.engines import Engine
from fullclip.search.folder import PLAN_NAME, ModelMark, Plan, claim, finished
from fullclip.search.jobs import Job, Layout, ModelChoice
from fullclip.search.parts import SKIPPED, Record, part_name
from fullclip.search.units import Work, everywhere, find_work


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a folder of embeddings holds, and what this run did for it. skipped: how many by reason; resumed: parts that were
    finished before; seconds and rate (rows a second) are of this run. left_out: files of the inputs that are no pictures, or in
    formats that are not read.
    """

    out: str
    images: int
    texts: int
    truncated: int
    skipped: Mapping[str, int]
    parts: int
    resumed: int
    seconds: float
    rate: float
    left_out: Drops


def embed(inputs: Sequence[str], out: str, *, engine: Engine, choice: ModelChoice, layout: Layout) -> Summary:
    """Embed what `inputs` name (`units.find_work`) into the folder `out`; parts that are finished stay as they are.

    engine: who does the work, with the model of `choice`. ValueError for an input that is not there, an `out` that holds
    something else or was begun otherwise, and where nothing could be read.
    """
    out = everywhere(out, os.getcwd())
    check_usable(out, plan_name=PLAN_NAME)
    if layout.format == "parquet":
        require("pyarrow", extra="data")  # now, and not after a model was opened
    left_out = Drops()
    works = find_work(inputs, what=layout.what, drops=left_out)
    if not works:
        raise ValueError(f"there is nothing in {', '.join(inputs)}")
    mark = ModelMark(
        name=choice.name, fingerprint=engine.fingerprint(), precision=choice.precision or "", decoding=choice.decoding
    )
    with held(out, doing="embedding"):
        done = claim(out, Plan(model=mark, layout=layout, units=tuple(work.unit for work in works)))
        left = [work for work in works if work.number not in done]
        began = time.monotonic()
        new = list(_with_a_bar(left, Job(layout=layout, out=out), engine=engine, num_parts=len(works)))
        seconds = time.monotonic() - began
        remove_unfinished(out)  # of workers that were killed
        _check_all_there(out, {record.number for record in new})
    summary = _summary(out, [*done.values(), *new], new=new, seconds=seconds, left_out=left_out)
    if not summary.images + summary.texts:
        raise ValueError(f"nothing could be read{_first_reason(out, [*done.values(), *new])}")
    return summary


def _with_a_bar(left: Sequence[Work], job: Job, *, engine: Engine, num_parts: int) -> Iterator[Record]:
    """The records of new parts; meanwhile a bar of all parts, with rows a second."""
    began, num_rows = time.monotonic(), 0
    with progress("parts", TextColumn("{task.fields[rows]:,} rows {task.fields[rate]:,.0f}/s")) as bar:
        task = bar.add_task("embedding", total=num_parts, completed=num_parts - len(left), rows=0, rate=0.0)

        def on_rows(number: int) -> None:
            nonlocal num_rows
            num_rows += number
            bar.update(task, rows=num_rows, rate=num_rows / max(time.monotonic() - began, 1e-3))

        for record in engine.do(left, job, on_rows=on_rows):
            bar.advance(task)
            yield record


def _check_all_there(out: str, numbers: set[int]) -> None:
    """OSError where workers elsewhere wrote to a disk that is not seen from here."""
    missing = numbers - finished(out, max(numbers) + 1).keys() if numbers else set()
    if missing:
        raise OSError(
            f"{len(missing)} finished parts are not in {out}: --out must be on s3:// or a disk that all workers share"
        )


def _summary(out: str, records: Sequence[Record], *, new: Sequence[Record], seconds: float, left_out: Drops) -> Summary:
    skipped = Counter[str]()
    for record in records:
        skipped.update({reason.reason: reason.count for reason in record.skipped})
    num_new = sum(record.images + record.texts for record in new)
    return Summary(
        out=out,
        images=sum(record.images for record in records),
        texts=sum(record.texts for record in records),
        truncated=sum(record.truncated for record in records),
        skipped=dict(skipped.most_common()),
        parts=len(records),
        resumed=len(records) - len(new),
        seconds=seconds,
        rate=num_new / seconds if seconds else 0.0,
        left_out=left_out,
    )


def _first_reason(out: str, records: Sequence[Record]) -> str:
    """The end of a message: what the first thing that was left out is, and why."""
    for record in sorted(records, key=lambda record: record.number):
        if record.skipped:
            lines = read_text(f"{out}/{SKIPPED}/{part_name(record.number)}.jsonl").splitlines()
            first = json.loads(lines[0])
            return f"; all was skipped ({out}/{SKIPPED}), as {first['name']} ({first['reason']})"
    return ""
