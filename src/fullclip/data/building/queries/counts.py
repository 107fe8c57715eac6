"""Counts on disk, in as many parts as bound what must be in memory at once: a text belongs to the part that its hash says.

A file of counts is Parquet whose row groups are parts 0 to 63, once or several times over. Where there is little to count,
parts are read together.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import IO, Any
from zlib import crc32

import numpy as np

from fullclip.core.extras import require
from fullclip.core.storage import open_file

NUM_PARTS = 64
_ROWS_AT_ONCE = 1 << 20


def part_of(text: str) -> int:
    return crc32(text.encode()) % NUM_PARTS


class PartedFile:
    """A table written so that the rows of a part can be read alone. Use as a context."""

    def __init__(self, file: IO[bytes], *, schema: Any) -> None:
        parquet = require("pyarrow.parquet", extra="data")
        self._writer = parquet.ParquetWriter(file, schema, compression="zstd")

    def add(self, table: Any, parts: Sequence[int]) -> None:
        """Rows, and which part each belongs to; all parts once over."""
        numbers = np.asarray(parts, dtype=np.int64)
        order = np.argsort(numbers, kind="stable")
        bounds = np.searchsorted(numbers[order], np.arange(NUM_PARTS + 1))
        ordered = table.take(order)
        for start, end in pairwise(bounds.tolist()):
            self._writer.write_table(ordered.slice(start, end - start), row_group_size=max(1, end - start))

    def __enter__(self) -> "PartedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def write_counts(file: IO[bytes], counters: Iterator[Mapping[str, int]], *, by: Callable[[str], str] = str) -> int:
    """Counters that follow one another, and the number of their texts; `by`: what of a text says its part."""
    arrow = require("pyarrow", extra="data")
    schema, number = counts_schema(), 0
    with PartedFile(file, schema=schema) as parted:
        for counter in counters:
            columns = [arrow.array(list(counter), arrow.string()), arrow.array(list(counter.values()), arrow.int64())]
            parted.add(arrow.table(columns, schema=schema), [part_of(by(text)) for text in counter])
            number += len(counter)
    return number


def counts_schema() -> Any:
    arrow = require("pyarrow", extra="data")
    return arrow.schema([("text", arrow.string()), ("count", arrow.int64())])


def read_parts(path: str, parts: range) -> Any:
    """The rows of these parts."""
    parquet = require("pyarrow.parquet", extra="data")
    with open_file(path) as opened, parquet.ParquetFile(opened) as file:
        return file.read_row_groups(
            [group for group in range(file.num_row_groups) if group % NUM_PARTS in parts], use_threads=False
        )


def sum_parts(paths: Sequence[str], parts: range) -> Any:
    """These parts of all files: each text once, with the sum of its counts, in the order of the texts."""
    arrow = require("pyarrow", extra="data")
    total = counts_schema().empty_table()
    waiting, num_waiting = list[Any](), 0
    for path in paths:
        waiting.append(read_parts(path, parts))
        num_waiting += waiting[-1].num_rows
        if num_waiting > max(_ROWS_AT_ONCE, 2 * total.num_rows):
            total = _summed(arrow.concat_tables([total, *waiting]))
            waiting, num_waiting = [], 0
    return _summed(arrow.concat_tables([total, *waiting])).sort_by("text")


def _summed(table: Any) -> Any:
    found = table.group_by("text", use_threads=False).aggregate([("count", "sum")])
    return found.select(["text", "count_sum"]).rename_columns(["text", "count"])
