"""The list of queries from Wikipedia, its page views and WordNet: files in, one file out.

Counts lie in OUT.work meanwhile; the same command again goes on where it was stopped. What comes out depends on neither the
engine nor how often that was.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from fullclip.core.config import from_dict, to_dict
from fullclip.core.folders import appeared, names_in, read_text, remove, whole_file
from fullclip.core.logs import track
from fullclip.core.parts import held, remove_unfinished
from fullclip.core.storage import file_info, is_remote
from fullclip.data.building.engine import Engine
from fullclip.data.building.queries.choosing import Chosen, choose
from fullclip.data.building.queries.counting import (
    Batch,
    Record,
    ViewsFile,
    count_batch,
    count_views,
    dropped_of,
    read_record,
    write_record,
)
from fullclip.data.building.queries.counts import NUM_PARTS
from fullclip.data.building.queries.lists import read_header, write_queries
from fullclip.data.building.queries.merging import Merge, merge_first, merge_second, piece_path
from fullclip.data.building.queries.streams import Input
from fullclip.data.building.queries.wikipedia import Dump, Page
from fullclip.data.building.queries.wordnet import count_synsets, synset_files
from fullclip.data.building.rows import files_of
from fullclip.data.drops import Drops

T = TypeVar("T")

_PLAN_NAME = "plan.json"
_BATCH_CHARACTERS, _BATCH_PAGES = 16 << 20, 10_000
_BATCHES_AT_ONCE = 16
_SIZE_OF_A_PIECE = 4_000_000
_DUMPS, _VIEWS = (".bz2", ".gz", ".xz", ".xml"), (".gz", ".bz2", ".xz", ".txt", "")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What passes: words seen so often, pairs of that PMI in bits and seen so often, titles of so many views in all files;
    and of these `size` queries.
    """

    min_count: int = 100
    min_pmi: float = 30.0
    min_count_bigram: int = 1
    min_views: int = 70
    size: int = 500_000


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Files, globs, ranges or folders; `language`: whose Wikipedia the page views are of."""

    wikipedia: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    wordnet: tuple[str, ...] = ()
    language: str = "en"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file of the input before it is read."""

    path: str
    kind: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What OUT.work was begun with."""

    inputs: tuple[Listed, ...]
    language: str
    batch_characters: int
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class Built:
    """The list's header, and of this run alone how many pieces of the work were done before, and the seconds."""

    out: str
    header: Mapping[str, Any]
    resumed: int
    seconds: float


def build_queries(
    sources: Sources, out: str, *, thresholds: Thresholds, engine: Engine, batch_characters: int = _BATCH_CHARACTERS
) -> Built:
    """Write the list of queries to `out`, a .jsonl file (`lists.write_queries`).

    WordNet's names come first, by how many synsets have each; then words by their count, pairs by their PMI, titles by their
    views; those of the same number in the order of their characters. A query that came before is left out.
    ValueError for an `out` that holds something else, or was begun otherwise.
    """
    began = time.monotonic()
    plan = _plan(sources, batch_characters)
    out = out if is_remote(out) else str(Path(out).absolute())
    if not out.endswith(".jsonl"):
        raise ValueError(f"--out {out}: the list is a .jsonl file; give it that ending")
    request = {"thresholds": to_dict(thresholds), "language": sources.language, "files": _names(plan)}
    if not math.isfinite(thresholds.min_pmi):
        raise ValueError(f"--min-pmi {thresholds.min_pmi}: give a number of bits, such as 10")
    work = f"{out}.work"
    if appeared(out):
        header = _same(out, request)
        if appeared(work):
            remove(work)
        return Built(out=out, header=header, resumed=0, seconds=time.monotonic() - began)
    with held(work, doing="counting"):
        _claim(work, plan)
        counting = _Counting(work, plan, engine)
        dumps, views = counting.dumps(), counting.views()
        merged = _merge(work, (dumps, views), thresholds, engine)
        drops = Drops()
        synsets, wordnet_inputs = count_synsets(_paths(plan, "wordnet"), drops)
        chosen = choose(merged, synsets, thresholds.min_count, thresholds.size)
        header = _header(request, chosen, merged, [*dumps, *views, Record(name="", dropped=dropped_of(drops))], wordnet_inputs)
        write_queries(out, header, chosen.queries)
        remove(work)
    return Built(out=out, header=read_header(out), resumed=counting.resumed, seconds=time.monotonic() - began)


def _plan(sources: Sources, batch_characters: int) -> Plan:
    found = list[Listed]()
    kinds = {
        "wikipedia": files_of(sources.wikipedia, _DUMPS) if sources.wikipedia else [],
        "views": files_of(sources.views, _VIEWS) if sources.views else [],
        "wordnet": synset_files(list(sources.wordnet)),
    }
    for kind, paths in kinds.items():
        for path in paths:
            info = file_info(path)
            found.append(Listed(path=path, kind=kind, version=f"{info.num_bytes} {info.version}"))
    if not found:
        raise ValueError("nothing to make queries of; give --wikipedia, --views or --wordnet")
    return Plan(inputs=tuple(found), language=sources.language, batch_characters=batch_characters)


def _paths(plan: Plan, kind: str) -> list[str]:
    return [one.path for one in plan.inputs if one.kind == kind]


def _names(plan: Plan) -> dict[str, list[str]]:
    """The inputs' names and sizes, which say without reading whether a list is of the same."""
    return {
        kind: [f"{one.path.rpartition('/')[2]} {one.version.partition(' ')[0]}" for one in plan.inputs if one.kind == kind]
        for kind in ("wikipedia", "views", "wordnet")
    }


def _same(out: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The header of a list that is there already; ValueError where it is another one."""
    header = read_header(out)
    if header.get("request") != json.loads(json.dumps(request)):
        raise ValueError(f"{out} was made of other files or with other thresholds; give another --out, or remove this one")
    return header


def _claim(work: str, plan: Plan) -> None:
    path = f"{work}/{_PLAN_NAME}"
    remove_unfinished(work)
    if not appeared(path):
        with whole_file(path, "w") as file:
            json.dump(to_dict(plan), file, indent=1)
        return
    try:
        before = from_dict(Plan, json.loads(read_text(path)))
    except (ValueError, AttributeError, TypeError):
        before = None
    if before != plan:
        raise ValueError(f"{work} was begun with other files or another --language; give another --out, or remove this folder")


class _Counting:
    """The first half: every file of the input counted, unless it was before."""

    def __init__(self, work: str, plan: Plan, engine: Engine) -> None:
        self._work, self._plan, self._engine = work, plan, engine
        self.resumed = 0

    def dumps(self) -> list[Record]:
        """A record for each dump, with all that became of its pages."""
        return [self._dump(number, path) for number, path in enumerate(_paths(self._plan, "wikipedia"))]

    def views(self) -> list[Record]:
        files = [ViewsFile(name=f"{number:04d}", path=path) for number, path in enumerate(_paths(self._plan, "views"))]
        records = {place: read_record(f"{self._work}/views/{file.name}.json") for place, file in enumerate(files)}
        left = [place for place in records if records[place] is None]
        self.resumed += len(files) - len(left)
        count = partial(count_views, work=self._work, language=self._plan.language)
        done = self._engine.map(count, [files[place] for place in left])
        for at, record in track(done, "counting views", total=len(left), unit="files"):
            records[left[at]] = record
        return [record for _, record in sorted(records.items()) if record is not None]

    def _dump(self, number: int, path: str) -> Record:
        whole = f"{self._work}/dumps/{number:04d}.json"
        before = read_record(whole)
        if before is not None:
            self.resumed += before.num_batches
            return before
        drops = Drops()
        dump = Dump(path, drops)
        records: dict[str, Record] = {}
        left = self._batches(dump, path, number, records)
        count = partial(count_batch, work=self._work)
        waves = _ahead(left, _BATCHES_AT_ONCE)
        done = (record for wave in waves for _, record in self._engine.map(count, wave))
        for record in track(done, "counting words", unit="batches"):
            records[record.name] = record
        parts = [records[name] for name in sorted(records)]
        for part in parts:
            _merge_drops(drops, part)
        record = Record(
            name=f"{number:04d}",
            num_pages=sum(part.num_pages for part in parts),
            num_words=sum(part.num_words for part in parts),
            num_batches=len(parts),
            dropped=dropped_of(drops),
            input=dump.stream.told(),
        )
        write_record(whole, record)
        return record

    def _batches(self, dump: Dump, path: str, number: int, records: dict[str, Record]) -> Iterator[Batch]:
        """The batches that are not done; the records of those that are go to `records`."""
        for place, pages in enumerate(_cut(dump, self._plan.batch_characters)):
            name = f"{number:04d}-{place:06d}"
            before = read_record(f"{self._work}/dumps/{name}.json")
            if before is None:
                yield Batch(name=name, path=path, hidden=tuple(sorted(dump.hidden)), pages=pages)
            else:
                records[name] = before
                self.resumed += 1


def _cut(pages: Iterator[Page] | Dump, characters: int) -> Iterator[tuple[Page, ...]]:
    """Pages in batches of about so many characters."""
    batch, size = list[Page](), 0
    for page in pages:
        batch.append(page)
        size += len(page.text)
        if size >= characters or len(batch) == _BATCH_PAGES:
            yield tuple(batch)
            batch, size = [], 0
    if batch:
        yield tuple(batch)


def _ahead(items: Iterator[T], number: int) -> Iterator[list[T]]:
    """Lists of `number` items; while one is worked on, the next is read."""
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(lambda: list(islice(items, number)))
        while found := reading.result():
            reading = reader.submit(lambda: list(islice(items, number)))
            yield found


def _merge_drops(drops: Drops, record: Record) -> None:
    for one in record.dropped:
        other = Drops()
        other.counts[one.reason] = one.count
        other.examples[one.reason] = list(one.examples)
        drops.merge(other)


def _merge(work: str, records: tuple[Sequence[Record], Sequence[Record]], thresholds: Thresholds, engine: Engine) -> Merge:
    """The second half, unless it was done before with the same thresholds."""
    dumps, views = records
    batches = [f"{work}/dumps/{dump.name}-{place:06d}" for dump in dumps for place in range(dump.num_batches)]
    merge = Merge(
        out="",
        batches=tuple(batches),
        views=tuple(f"{work}/views/{one.name}" for one in views),
        num_words=sum(dump.num_words for dump in dumps),
        num_pieces=_num_pieces(sum(one.num_words + one.num_titles for one in (*dumps, *views))),
        min_pmi=thresholds.min_pmi,
        min_count_bigram=thresholds.min_count_bigram,
        min_views=thresholds.min_views,
    )
    merge = replace(merge, out=f"{work}/merged-{crc32(json.dumps(to_dict(merge)).encode()):08x}")
    for function, last in ((merge_first, "pairs"), (merge_second, "scored")):
        there = {f"{merge.out}/{last}/{name}" for name in names_in(f"{merge.out}/{last}")}
        left = [piece for piece in range(merge.num_pieces) if piece_path(merge, last, piece) not in there]
        for _ in track(engine.map(partial(function, merge=merge), left), "merging", total=len(left), unit="pieces"):
            continue
    return merge


def _num_pieces(size: int) -> int:
    """As many as keep a piece small, and no more: reading them has its price."""
    found = 1
    while found < NUM_PARTS and size > found * _SIZE_OF_A_PIECE:
        found *= 2
    return found


def _header(
    request: Mapping[str, Any], chosen: Chosen, merge: Merge, records: Sequence[Record], wordnet: Sequence[Input]
) -> dict[str, Any]:
    drops = Drops()
    for record in records:
        _merge_drops(drops, record)
    inputs = [record.input for record in records if record.input is not None] + list(wordnet)
    limit = math.log2(merge.num_words / merge.min_count_bigram) if merge.num_words >= merge.min_count_bigram else 0.0
    return {
        "queries": len(chosen.queries),
        "sources": {name: to_dict(tally) for name, tally in chosen.tallies.items()},
        "articles": sum(record.num_pages for record in records),
        "words": merge.num_words,
        "highest_possible_pmi": round(limit, 6),
        "request": dict(request),
        "inputs": [to_dict(one) for one in inputs],
        "dropped": drops.report(),
    }
