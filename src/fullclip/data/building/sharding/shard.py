"""Rows with pictures -> tar shards in a global order, with an index and a card. The same command again goes on.

DIR/000000.tar, DIR/000000.offsets.npy, DIR/index.json   as `data.shards.write_shards` makes them
DIR/DATA.md, DIR/data.json   the card (card.py)
DIR/sharding.json            what the folder was begun with; another run is refused
DIR/report.json              counts by reason
DIR/records                  until all is done: the pairs as bytes of shards (records.py), and which shards are finished
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fullclip.core import parts
from fullclip.core.config import from_dict, to_dict
from fullclip.core.folders import appeared, names_in, read_text, remove, whole_file
from fullclip.core.logs import track
from fullclip.core.parts import FileSize, check_usable, held, remove_unfinished
from fullclip.core.storage import file_info, is_folder, is_remote, read_range
from fullclip.data.building.engine import Engine
from fullclip.data.building.rows import PARTS, Work, partitions
from fullclip.data.building.sharding.card import write_card
from fullclip.data.building.sharding.order import Limit, Places, cut
from fullclip.data.building.sharding.records import BYTES, VERSION, Recording, check_columns, record_part
from fullclip.data.building.stage import Dropped, Report, run_stage

PLAN_NAME, REPORT_NAME, INDEX_NAME = "sharding.json", "report.json", "index.json"
RECORDS, WRITTEN = "records", "records/written"
REPEATED = "repeated key"
_THREADS = 16


@dataclass(frozen=True, kw_only=True)
class Written:
    """A finished shard."""

    number: int
    num_pairs: int
    sha256: str
    repeated: tuple[str, ...]
    files: tuple[FileSize, ...]


@dataclass(frozen=True, kw_only=True)
class Sharded:
    """What a folder of shards holds; resumed: how many of them were finished before."""

    num_pairs: int
    shards: tuple[Written, ...]
    dropped: tuple[Dropped, ...]
    resumed: int


@dataclass(frozen=True, kw_only=True)
class _Task:
    number: int
    places: Places


def works_of(source: str) -> list[Work]:
    """A stage's folder as its parts, anything else (`data.sources.read_source`) as one partition."""
    if is_folder(source) and PARTS in names_in(source):
        return partitions([source])
    version = ""
    if not is_folder(source) and appeared(source):
        info = file_info(source)
        version = f"{info.num_bytes} {info.version}"
    return [Work(number=0, path=source if is_remote(source) else str(Path(source).absolute()), version=version)]


def told(sharded: Sharded) -> dict[str, Any]:
    """As JSON: the index, and what was left out by reason."""
    dropped = {one.reason: {"count": one.count, "examples": list(one.examples)} for one in sharded.dropped}
    return {"shards": sharded_facts(sharded)["shards"], "version": 1, "dropped": dropped, "resumed": sharded.resumed}


def write_all(
    works: Sequence[Work],
    *,
    out: str,
    engine: Engine,
    limit: Limit,
    seed: int | None,
    made_with: str | None = None,
    strict: bool = False,
) -> Sharded:
    """Write the rows of a stage's parts as shards. seed: of the order, None for that of the parts. made_with: what the card
    says that they were made with; None writes no card.

    ValueError for rows without pictures, an `out` that holds something else or was begun otherwise, and where no pair is left.
    """
    out = out if is_remote(out) else str(Path(out).absolute())
    check_usable(out, plan_name=PLAN_NAME)
    settings = {"version": VERSION, "seed": seed, "pairs": limit.pairs, "bytes": limit.num_bytes, "card": made_with is not None}
    with held(out, doing="writing shards"):
        _claim(out, works, settings)
        if appeared(f"{out}/{INDEX_NAME}"):
            return _known(out)
        check_columns(works)
        recording = Recording(folder=f"{out}/{RECORDS}", seed=seed, strict=strict)
        report = run_stage(
            f"{out}/{RECORDS}",
            stage="shard (records)",
            settings={"version": VERSION, "seed": seed},
            works=works,
            do=partial(record_part, recording=recording),
            engine=engine,
        )
        if not report.num_out:
            raise ValueError(f"there is no pair to write: {report.num_in:,} rows, and all are left out ({_reasons(report)})")
        found, resumed = _write_shards(out, report, engine=engine, limit=limit, seed=seed)
        sharded = _sharded(report, found, resumed)
        if made_with is not None:
            write_card(out, works, report, sharded_facts(sharded), settings=settings, made_with=made_with)
        _finish(out, sharded)
    return sharded


def sharded_facts(sharded: Sharded) -> dict[str, Any]:
    """Counts and hashes of the shards, for the card."""
    return {
        "num_pairs": sharded.num_pairs,
        "dropped": {one.reason: one.count for one in sharded.dropped},
        "shards": [
            {"name": _name(one.number), "num_pairs": one.num_pairs, "num_bytes": one.files[0].num_bytes, "sha256": one.sha256}
            for one in sharded.shards
        ],
    }


def write_shard(task: _Task, *, out: str) -> Written:
    """Write one shard and its table of offsets. Of records with one key in it the first by its bytes stays."""
    from fullclip.data.groups import Table, save_table
    from fullclip.data.shards import write_records

    name = _name(task.number)
    records, repeated = _records(out, task.places)
    with whole_file(f"{out}/{name}") as file:
        digest = _Digest(file)
        offsets = write_records(records, digest.write)
    table = Table(num_bytes=digest.num_bytes, offsets=np.array(offsets, dtype=np.int64))
    sidecar = name.replace(".tar", ".offsets.npy")
    with whole_file(f"{out}/{sidecar}") as file:
        save_table(table, file)
        num_bytes = file.tell()
    files = (FileSize(name=name, num_bytes=digest.num_bytes), FileSize(name=sidecar, num_bytes=num_bytes))
    written = Written(
        number=task.number, num_pairs=len(records), sha256=digest.hexdigest(), repeated=tuple(repeated), files=files
    )
    with whole_file(f"{out}/{WRITTEN}/{task.number:06d}.json", "w") as told:
        json.dump(to_dict(written), told)
    return written


class _Digest:
    """A file that is written, and its SHA-256."""

    def __init__(self, file: Any) -> None:
        self._file, self._sha256, self.num_bytes = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)
        self.num_bytes += len(data)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def _records(out: str, places: Places) -> tuple[list[bytes], list[str]]:
    """The records of a shard in their order, and the keys of those that are left out."""
    from fullclip.data.groups import parse_group

    def read(place: tuple[int, int, int]) -> bytes:
        part, start, length = place
        path = f"{out}/{RECORDS}/{BYTES}/{part:06d}.bin"
        data = read_range(path, start, start + length)
        if len(data) != length:
            raise OSError(f"{path}: ends before byte {start + length:,}; has it changed meanwhile?")
        return data

    rows = zip(places.part.tolist(), places.start.tolist(), places.length.tolist(), strict=True)
    if is_remote(out):
        with ThreadPoolExecutor(_THREADS) as pool:
            data = list(pool.map(read, rows))
    else:
        data = [read(row) for row in rows]
    order = sorted(range(len(data)), key=lambda at: (int(places.order[at]), int(places.mark[at]), data[at]))
    seen, found, repeated = set[int](), list[bytes](), list[str]()
    for at in order:
        mark = int(places.mark[at])
        if mark in seen:
            group = parse_group(data[at])
            repeated.append(group[0] if group else "")
        else:
            seen.add(mark)
            found.append(data[at])
    return found, repeated


def _write_shards(out: str, report: Report, *, engine: Engine, limit: Limit, seed: int | None) -> tuple[list[Written], int]:
    """All shards, and how many of them were finished before."""
    remove_unfinished(out)
    before = {one.number: one for one in parts.finished(out, WRITTEN, parse=_parse, files=lambda one: one.files)}
    done, number = dict[int, Written](), 0
    folder = f"{out}/{RECORDS}"
    for some in cut(folder, _sizes(folder, report.num_parts), limit=limit, shuffled=seed is not None):
        tasks = [_Task(number=number + at, places=places) for at, places in enumerate(some)]
        number += len(tasks)
        done |= {task.number: before[task.number] for task in tasks if task.number in before}
        left = [task for task in tasks if task.number not in before]
        writing = track(engine.map(partial(write_shard, out=out), left), "writing", total=len(left), unit="shards")
        done |= {left[place].number: written for place, written in writing}
    return [done[at] for at in range(number)], len(before)


def _sizes(folder: str, num_parts: int) -> list[int]:
    return [json.loads(read_text(f"{folder}/done/{number:06d}.json"))["num_out"] for number in range(num_parts)]


def _sharded(report: Report, shards: Sequence[Written], resumed: int) -> Sharded:
    dropped, repeated = list(report.dropped), [key for one in shards for key in one.repeated]
    if repeated:
        dropped.append(Dropped(reason=REPEATED, count=len(repeated), examples=tuple(repeated[:10])))
    return Sharded(
        num_pairs=sum(one.num_pairs for one in shards), shards=tuple(shards), dropped=tuple(dropped), resumed=resumed
    )


def _finish(out: str, sharded: Sharded) -> None:
    """The index last of all; what led to it goes."""
    from fullclip.data.shards import Index, ShardInfo

    index = Index(shards=tuple(ShardInfo(**one) for one in sharded_facts(sharded)["shards"]))
    with whole_file(f"{out}/{REPORT_NAME}", "w") as file:
        json.dump(to_dict(replace(sharded, resumed=0)), file, indent=1)
    with whole_file(f"{out}/{INDEX_NAME}", "w") as file:
        json.dump(to_dict(index), file, indent=1)
    remove(f"{out}/{RECORDS}")


def _known(out: str) -> Sharded:
    """What a folder that is finished holds."""
    if appeared(f"{out}/{RECORDS}"):
        remove(f"{out}/{RECORDS}")
    found = from_dict(Sharded, json.loads(read_text(f"{out}/{REPORT_NAME}")))
    return replace(found, resumed=len(found.shards))


def _claim(out: str, works: Sequence[Work], settings: dict[str, Any]) -> None:
    mark = hashlib.sha256(json.dumps([to_dict(work) for work in works]).encode()).hexdigest()
    plan = {**settings, "input": mark}
    if not appeared(f"{out}/{PLAN_NAME}"):
        with whole_file(f"{out}/{PLAN_NAME}", "w") as file:
            json.dump(plan, file, indent=1)
        return
    other = "give another --out, or remove this one to begin anew"
    try:
        before = json.loads(read_text(f"{out}/{PLAN_NAME}"))
        changed = [name for name, value in plan.items() if before[name] != value]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{out}/{PLAN_NAME} is damaged ({error!r}); {other}") from None
    if changed == ["input"]:
        raise ValueError(f"{out} was begun with another input, or it has changed; {other}")
    if changed:
        name = changed[0]
        raise ValueError(f"{out} was begun with {name} {before[name]!r}, and now it is {plan[name]!r}; {other}")


def _parse(text: str) -> Written | None:
    try:
        return from_dict(Written, json.loads(text))
    except (ValueError, AttributeError, TypeError):
        return None


def _name(number: int) -> str:
    return f"{number:06d}.tar"


def _reasons(report: Report) -> str:
    return ", ".join(f"{one.count:,} {one.reason}" for one in report.dropped)
