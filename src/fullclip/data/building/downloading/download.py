"""fullclip data download: rows with a URL in; the same with their image, its hash, size and format out.

What has been fetched of a partition stands in a journal (DIR/fetched) until its part is written, so that a run that goes on
asks for nothing twice.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from fullclip.core.extras import require
from fullclip.core.folders import appeared, remove
from fullclip.core.say import say
from fullclip.core.storage import cache_folder, exists, is_remote, open_file
from fullclip.data.building.downloading.addresses import Resolver
from fullclip.data.building.downloading.failures import FetchError
from fullclip.data.building.downloading.fetch import Rules
from fullclip.data.building.downloading.journal import Entry, Journal
from fullclip.data.building.downloading.partition import Memory, Pace, crawl, target_of
from fullclip.data.building.engine import Engine
from fullclip.data.building.rows import PARTS, URL_COLUMNS, Work, partitions, read_table
from fullclip.data.building.stage import DONE, Done, Record, Report, run_stage
from fullclip.data.drops import Drops

ROWS = 1000
FAILED, FETCHED = "failed", "fetched"
_ADDED = ("image", "sha256", "width", "height", "format")
_SHOWN_URL = 200


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a download goes, and where its journals lie meanwhile, which is always on a disk."""

    out: str
    journals: str


@dataclass(kw_only=True)
class _Process:
    """What this process remembers; `last`: the journal that it wrote last, and what is there when it is not needed any more."""

    memory: Memory
    last: list[tuple[Path, str]] = field(default_factory=list)


def pieces(inputs: Sequence[str], *, rows: int = ROWS) -> list[Work]:
    """As `rows.partitions`, of `rows` rows each; the parts of a stage before are cut as well, since images are large."""
    if rows < 1:
        raise ValueError(f"--part-rows {rows}: from 1")
    found = list[Work]()
    for work in partitions(inputs, rows=rows):
        size = _num_rows(work.path) if _is_part(work) else 0
        if size <= rows:
            found.append(replace(work, number=len(found)))
            continue
        for start in range(0, size, rows):
            found.append(replace(work, number=len(found), start=start, end=min(start + rows, size), first=start))
    return found


def _is_part(work: Work) -> bool:
    return work.path.rpartition("/")[0].endswith(f"/{PARTS}") and work.path.endswith(".parquet")


def _num_rows(path: str) -> int:
    with open_file(path) as file:
        return int(require("pyarrow.parquet", extra="data").ParquetFile(file).metadata.num_rows)


def download(works: Sequence[Work], *, out: str, rules: Rules, pace: Pace, engine: Engine) -> Report:
    """Fetch the image of each row's `url` (http://, https://, or a path below one of `rules.roots`).

    DIR/failed has the rows that gave none, with the reason. ValueError where a root is no folder.
    """
    missing = [root for root in rules.roots if not Path(root).is_dir()]
    if missing:
        raise ValueError(f"--root {missing[0]}: no such folder")
    for package in ("aiohttp", "protego"):
        require(package, extra="data")
    rules = replace(rules, roots=tuple(str(Path(root).resolve()) for root in rules.roots))
    place = _place(out)
    return run_stage(
        out,
        stage="download",
        settings={**asdict(rules), "roots": list(rules.roots)},
        works=works,
        do=partial(download_part, rules=rules, pace=pace, place=place),
        engine=engine,
        summarize=partial(_tidy, place=place),
    )


def _place(out: str) -> _Place:
    if is_remote(out):
        name = hashlib.sha256(out.rstrip("/").encode()).hexdigest()[:16]
        return _Place(out=out, journals=str(cache_folder() / "downloads" / name))
    return _Place(out=str(Path(out).absolute()), journals=str(Path(out).absolute() / FETCHED))


def _tidy(out: str, records: Sequence[Record], *, place: _Place) -> Mapping[str, int]:
    if exists(place.journals):
        remove(place.journals)
    return {}


@lru_cache(maxsize=4)
def _process(rules: Rules, place: _Place) -> _Process:
    return _Process(memory=Memory(resolver=Resolver(allow_private=rules.allow_private)))


def download_part(work: Work, *, rules: Rules, pace: Pace, place: _Place) -> Done:
    """A partition's rows with their images."""
    from PIL import Image

    process = _process(rules, place)
    while process.last:
        journal_path, done = process.last.pop()
        if appeared(done):
            journal_path.unlink(missing_ok=True)
    drops = Drops()
    table = _declared(_read(work, drops), work)
    path = Path(place.journals) / f"{work.number:06d}.journal"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"a process of a run before is still fetching {work}; waiting for its end")
        lock.acquire()
    try:
        claim = hashlib.sha256(json.dumps([asdict(rules), asdict(work)]).encode()).hexdigest()
        journal = Journal(path, claim=claim)
        try:
            with warnings.catch_warnings():  # of pictures that are too large, which are counted
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                targets, failures = _targets(table, rules)
                wanted = [target for target in targets if target]
                entries = crawl(wanted, rules=rules, pace=pace, journal=journal, memory=process.memory)
            process.last.append((path, f"{place.out}/{DONE}/{work.number:06d}.json"))
            return _done(table, [entries[one] if one else failures[row] for row, one in enumerate(targets)], path, drops)
        finally:
            journal.close()
    finally:
        lock.release()


def _read(work: Work, drops: Drops) -> Any:
    """The rows of a partition, with the columns that are needed."""
    arrow = require("pyarrow", extra="data")
    table = _slice(work) if _is_part(work) and work.end else read_table(work, drops)
    if table.num_rows == 0:
        for name in ("key", "url", "text"):
            if name not in table.column_names:
                table = table.append_column(name, arrow.array([], arrow.string()))
    if "url" not in table.column_names:
        found = ", ".join(table.column_names)
        raise ValueError(f"{work.path}: no column of URLs among {found}; name it one of: {', '.join(URL_COLUMNS)}")
    return table


def _slice(work: Work) -> Any:
    """The rows of a part from `start` up to `end`."""
    arrow, parquet = require("pyarrow", extra="data"), require("pyarrow.parquet", extra="data")
    with open_file(work.path) as opened, parquet.ParquetFile(opened) as file:
        found, at = [], 0
        for batch in file.iter_batches(batch_size=ROWS, use_threads=False):
            begin, end = max(work.start - at, 0), min(work.end - at, batch.num_rows)
            if begin < end:
                found.append(batch.slice(begin, end - begin))
            at += batch.num_rows
            if at >= work.end:
                break
        return arrow.Table.from_batches(found, schema=file.schema_arrow)


def _declared(table: Any, work: Work) -> Any:
    """The table with its own columns of the names that are added (the size that a page claims) renamed."""
    for name in _ADDED:
        if name in table.column_names and f"declared_{name}" in table.column_names:
            raise ValueError(f"{work.path}: it has both {name} and declared_{name}; rename one")
    return table.rename_columns([f"declared_{name}" if name in _ADDED else name for name in table.column_names])


def _targets(table: Any, rules: Rules) -> tuple[list[str], dict[int, Mapping[str, Any]]]:
    """What to fetch for each row, empty where there is nothing, and why not, by row."""
    targets, failures = list[str](), dict[int, Mapping[str, Any]]()
    for row, text in enumerate(table["url"].to_pylist()):
        try:
            targets.append(target_of(text, rules))
        except FetchError as error:
            targets.append("")
            failures[row] = {"reason": error.reason, "detail": error.detail}
    return targets, failures


def _done(table: Any, outcomes: Sequence[Entry | Mapping[str, Any]], journal: Path, drops: Drops) -> Done:
    """The rows that have a picture, and those that have none."""
    arrow = require("pyarrow", extra="data")
    num_in = table.num_rows + sum(drops.counts.values())
    facts = [outcome.facts if isinstance(outcome, Entry) else outcome for outcome in outcomes]
    urls, keys = table["url"].to_pylist(), table["key"].to_pylist()
    failed = [row for row, one in enumerate(facts) if one["reason"]]
    kept = [row for row, one in enumerate(facts) if not one["reason"]]
    for row in failed:
        drops.drop(facts[row]["reason"], f"{keys[row]} {urls[row]}"[:_SHOWN_URL])
    images = [outcome for outcome in (outcomes[row] for row in kept) if isinstance(outcome, Entry)]
    whole = table.take(arrow.array(kept, arrow.int64())).append_column("image", _images(images, journal))
    for name, kind in (("sha256", "string"), ("width", "int32"), ("height", "int32"), ("format", "string")):
        values = arrow.array([facts[row][name] for row in kept], arrow.type_for_alias(kind))
        whole = whole.append_column(name, values)
    why = {
        "key": [keys[row] for row in failed],
        "url": [None if urls[row] is None else str(urls[row]) for row in failed],
        "reason": [facts[row]["reason"] for row in failed],
        "detail": [facts[row]["detail"] for row in failed],
    }
    return Done(
        table=whole,
        num_in=num_in,
        drops=drops,
        counts={"image_bytes": sum(one.num_bytes for one in images), "repeated_urls": len(images) - len(set(map(id, images)))},
        beside={FAILED: arrow.table({name: arrow.array(values, arrow.string()) for name, values in why.items()})},
    )


def _images(entries: Sequence[Entry], journal: Path) -> Any:
    """The bodies as a column that lies in the journal's file: gigabytes of pictures are never in memory together."""
    arrow = require("pyarrow", extra="data")
    chunks = []
    if entries:
        with arrow.memory_map(os.fspath(journal)) as file:
            for entry in entries:
                file.seek(entry.start)
                offsets = arrow.py_buffer(np.array([0, entry.num_bytes], dtype=np.int32))
                chunks.append(arrow.Array.from_buffers(arrow.binary(), 1, [None, offsets, file.read_buffer(entry.num_bytes)]))
    return arrow.chunked_array(chunks, arrow.binary())
