"""Tables of where records lie -> all in their global order, cut into shards; some millions of rows in memory at most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.core.storage import open_file
from fullclip.data.building.stage import part_path

ROWS_AT_ONCE = 4_000_000
_WHOLE = 1 << 64
_END = 10_240  # what closes a tar takes at most this much


@dataclass(frozen=True, kw_only=True)
class Places:
    """Records in their order: the part that each lies in, where, and a mark of its key."""

    order: np.ndarray
    mark: np.ndarray
    part: np.ndarray
    start: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    def taken(self, chosen: slice | np.ndarray) -> "Places":
        return Places(**{name: values[chosen] for name, values in self.__dict__.items()})


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How much goes into a shard: pairs or bytes. A pair larger than that has a shard of its own."""

    pairs: int | None = None
    num_bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.pairs is None) == (self.num_bytes is None):
            raise ValueError("a shard's size is a number of pairs or of bytes; give one of them")
        if (self.pairs or self.num_bytes or 0) < 1:
            raise ValueError(f"a shard's size is {self.pairs or self.num_bytes or 0}: at least 1")


def cut(folder: str, sizes: Sequence[int], *, limit: Limit, shuffled: bool) -> Iterator[list[Places]]:
    """The shards, some at a time. sizes: how many rows each part has.

    Records of one order (a key that is there twice) stay in one shard.
    """
    waiting: Places | None = None
    for places in _runs(folder, sizes, shuffled=shuffled):
        whole = places if waiting is None else _joined([waiting, places])
        found, waiting = _cut(whole, limit)
        if found:
            yield found
    if waiting is not None and len(waiting):
        yield [waiting]


def _runs(folder: str, sizes: Sequence[int], *, shuffled: bool) -> Iterator[Places]:
    """All places in order, as many at a time as the memory shall hold."""
    if not shuffled:
        for part in range(len(sizes)):
            yield _sorted([_read(folder, part, 0, _WHOLE)])
        return
    passes = max(1, -(-sum(sizes) // ROWS_AT_ONCE))
    for number in range(passes):
        low, high = number * _WHOLE // passes, (number + 1) * _WHOLE // passes
        yield _sorted([_read(folder, part, low, high) for part in range(len(sizes))])


def _read(folder: str, part: int, low: int, high: int) -> Places:
    parquet = require("pyarrow.parquet", extra="data")
    with open_file(part_path(folder, part)) as file:
        table: Any = parquet.read_table(file, use_threads=False)
    order = table["order"].to_numpy()
    # a part is sorted
    start = int(np.searchsorted(order, np.uint64(low)))
    end = len(order) if high == _WHOLE else int(np.searchsorted(order, np.uint64(high)))
    columns = {name: table[name].to_numpy()[start:end] for name in ("order", "mark", "start", "length")}
    return Places(part=np.full(end - start, part, dtype=np.int32), **columns)


def _sorted(places: Sequence[Places]) -> Places:
    whole = _joined(places)
    return whole.taken(np.lexsort((whole.length, whole.mark, whole.order)))


def _joined(places: Sequence[Places]) -> Places:
    return Places(**{name: np.concatenate([getattr(one, name) for one in places]) for name in places[0].__dict__})


def _cut(places: Places, limit: Limit) -> tuple[list[Places], Places]:
    """Whole shards, and what may be the beginning of another."""
    weights = np.ones(len(places), dtype=np.int64) if limit.pairs else places.length
    most = limit.pairs or max(1, (limit.num_bytes or 0) - _END)
    ends, start, found = np.cumsum(weights), 0, list[Places]()
    while start < len(places):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        while end < len(places) and places.order[end] == places.order[end - 1]:
            end += 1
        if end >= len(places):
            break
        found.append(places.taken(slice(start, end)))
        start = end
    return found, places.taken(slice(start, None))
