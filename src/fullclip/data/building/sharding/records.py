"""A partition's rows -> each as the bytes that a shard will hold of it, in a file with a table of where each lies.

The global order is that of a hash of the seed and the key, so that it does not depend on partitions.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fullclip.core.extras import require
from fullclip.core.folders import whole_file
from fullclip.core.parts import FileSize
from fullclip.data.building.counts import COUNTS, counts_table
from fullclip.data.building.draws import number_of
from fullclip.data.building.rows import PARTS, Work
from fullclip.data.building.stage import Done
from fullclip.data.drops import Drops
from fullclip.data.tables import columns_of, read_rows

if TYPE_CHECKING:
    from fullclip.core.types import Pair

BYTES, FACTS = "bytes", "facts"
FACT_COLUMNS = ("licence", "language", "kind", "format")
UNKNOWN = "not known"
VERSION = 1

_NEEDED = ("key", "text", "image")
_OWN = (*_NEEDED, "captions")
_LONGEST_VALUE = 200  # of a licence's or a language's name that is counted


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Where records go, by which seed they are ordered (None: as they come), whether one that cannot be used is an error."""

    folder: str
    seed: int | None
    strict: bool = False


def check_columns(works: Sequence[Work]) -> None:
    """ValueError where the first partition with rows has no pictures."""
    for work in works:
        if not is_part(work.path):
            return
        names = columns_of(work.path)
        if not names:
            continue
        if missing := [name for name in _NEEDED if name not in names]:
            advice = "give the folder of a stage with pictures, such as `fullclip data download`"
            raise ValueError(f"{work.path} has no column {missing[0]}; {advice}")
        return
    raise ValueError("there is no pair to write: the stage before left no row")


def record_part(work: Work, *, recording: Recording) -> Done:
    """The records' places (order, mark of the key, start and length in bytes/000000.bin), in their order; beside them the
    counts of queries and of what `FACT_COLUMNS` say.
    """
    from fullclip.data.shards import record

    drops = Drops(strict=recording.strict)
    places, facts, queries, counts = list[tuple[int, int, int]](), Counter[str](), Counter[str](), Counter[str]()
    at, name = 0, f"{BYTES}/{work.number:06d}.bin"
    with whole_file(f"{recording.folder}/{name}") as file:
        for number, pair in _pairs(work, drops):
            data = record(pair)
            file.write(data)
            order = (work.number << 32) | number if recording.seed is None else number_of(f"{recording.seed}\0{pair.key}")
            places.append((order, number_of(pair.key), len(data)))
            words = sum(len(text.split()) for text in pair.texts)
            counts.update(captions=len(pair.texts), words=words, picture_bytes=len(pair.image))
            facts.update(_facts(pair.meta))
            queries.update(one for one in pair.meta.get("queries") or () if isinstance(one, str))
            at += len(data)
    return Done(
        table=_table(places),
        num_in=len(places) + sum(drops.counts.values()),
        drops=drops,
        counts=counts,
        beside={COUNTS: counts_table(queries), FACTS: counts_table(facts)},
        files=(FileSize(name=name, num_bytes=at),),
    )


def is_part(path: str) -> bool:
    """Whether a file is a part of a stage's folder."""
    return path.endswith(".parquet") and path.rpartition("/")[0].endswith(f"/{PARTS}")


def _table(places: Sequence[tuple[int, int, int]]) -> Any:
    arrow = require("pyarrow", extra="data")
    lengths = np.array([length for _, _, length in places], dtype=np.int64)
    table = arrow.table(
        {
            "order": arrow.array([order for order, _, _ in places], arrow.uint64()),
            "mark": arrow.array([mark for _, mark, _ in places], arrow.uint64()),
            "start": arrow.array(np.cumsum(lengths) - lengths, arrow.int64()),
            "length": arrow.array(lengths, arrow.int64()),
        }
    )
    return table.sort_by([("order", "ascending"), ("start", "ascending")])


def _pairs(work: Work, drops: Drops) -> Iterator[tuple[int, "Pair"]]:
    """Numbered pairs of a stage's part, or of whatever `read_source` reads."""
    from fullclip.data.sources import read_source

    if not is_part(work.path):
        yield from enumerate(read_source(work.path, drops))
        return
    for number, row in read_rows(work.path, drops):
        pair = _pair_of(row, drops, f"{work.path}:{number}")
        if pair is not None:
            yield number, pair


def _pair_of(row: dict[str, Any], drops: Drops, place: str) -> "Pair | None":
    """The pair of a row, or None, with the reason in `drops`."""
    from fullclip.core.types import Pair
    from fullclip.data.shards import captions_of
    from fullclip.preprocess.image import is_image

    key, image, text = row["key"], row["image"], row["text"]
    key = str(key or "").replace("/", "-").replace(".", "_")  # which part a file's name
    if not key:
        drops.drop("empty key", place)
        return None
    if not isinstance(image, bytes) or not is_image(image):
        drops.drop("not an image" if image else "no picture", key)
        return None
    try:
        texts = captions_of({"captions": [*(text if isinstance(text, list) else [text]), *(row.get("captions") or ())]})
    except ValueError:
        drops.drop("broken text", key)
        return None
    if not texts:
        drops.drop("no text", key)
        return None
    meta = {name: value for name, value in row.items() if name not in _OWN and value is not None}
    return Pair(key=key, image=image, texts=tuple(dict.fromkeys(texts)), meta=meta)


def _facts(row: Mapping[str, Any]) -> Iterator[str]:
    for name in FACT_COLUMNS:
        yield f"{name}\0{str(row.get(name) or UNKNOWN)[:_LONGEST_VALUE]}"
