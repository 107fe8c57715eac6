"""What was looked at, of all partitions together: arrays in the order in which copies are preferred, descriptors on disk.

The order: the picture with more pixels first, then the longer text, then the larger file, then the smaller key; so of a group
the first stays, and how the rows were parted changes nothing. In memory are about 100 bytes a row; the descriptors (1,056
bytes a row) lie in a file that has no name and is gone with the process.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from fullclip.core.extras import require
from fullclip.core.storage import is_remote, open_file
from fullclip.data.building.deduplicating.looks import DIGEST_BYTES, FLAT, LIVELY
from fullclip.data.building.stage import part_path
from fullclip.preprocess.descriptor import LENGTH


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All rows, the preferred first. part, row: where each lies. at: the place of its descriptor in `descriptors`."""

    keys: Any
    part: np.ndarray
    row: np.ndarray
    kind: UInt8[np.ndarray, " n"]
    digest: UInt64[np.ndarray, "n 2"]
    look: UInt64[np.ndarray, "n 2"]
    hash: UInt64[np.ndarray, " n"]
    levels: UInt8[np.ndarray, "n 3"]
    at: Int64[np.ndarray, " n"]
    descriptors: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)

    def described(self, rows: Int64[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 1056"]:
        """Descriptors of rows that have a picture."""
        return np.asarray(self.descriptors[self.at[rows]])

    def of_kind(self, kind: int) -> Int64[np.ndarray, " n"]:
        return np.flatnonzero(self.kind == kind)

    @property
    def pictures(self) -> Int64[np.ndarray, " n"]:
        return np.flatnonzero((self.kind == LIVELY) | (self.kind == FLAT))


@contextmanager
def catalogue(hashes: str, num_parts: int) -> Iterator[Catalogue]:
    """The catalogue of the rows in the folder of `look_at_part`'s stage, for as long as its scratch file is open."""
    scratch_folder = None if is_remote(hashes) else str(Path(hashes).parent)
    with tempfile.TemporaryFile(dir=scratch_folder) as scratch:
        yield _read(hashes, num_parts, scratch)


def _read(hashes: str, num_parts: int, scratch: IO[bytes]) -> Catalogue:
    arrow, compute = require("pyarrow", extra="data"), require("pyarrow.compute", extra="data")
    parquet = require("pyarrow.parquet", extra="data")
    tables, places, parts, rows, num_described = list[Any](), list[np.ndarray](), list[np.ndarray](), list[np.ndarray](), 0
    for number in range(num_parts):
        with open_file(part_path(hashes, number)) as file:
            table = parquet.read_table(file, use_threads=False)
        has_one = np.asarray(table["descriptor"].is_valid())
        scratch.write(b"".join(table["descriptor"].drop_null().to_pylist()))
        places.append(np.where(has_one, num_described + np.cumsum(has_one) - 1, -1))
        num_described += int(has_one.sum())
        parts.append(np.full(table.num_rows, number, dtype=np.int32))
        rows.append(np.arange(table.num_rows, dtype=np.int32))
        # offsets of 32 bits would not reach over all keys
        keys = table["key"].cast(arrow.large_string())
        tables.append(table.drop_columns(["descriptor"]).set_column(table.column_names.index("key"), "key", keys))
    scratch.flush()
    table = arrow.concat_tables(tables).combine_chunks()
    preferred = [(name, "descending") for name in ("pixels", "length", "num_bytes")]
    order = np.asarray(compute.sort_indices(table, sort_keys=[*preferred, ("key", "ascending"), ("digest", "ascending")]))
    if num_described:
        descriptors: np.ndarray = np.memmap(scratch, dtype=np.uint8, mode="r", shape=(num_described, LENGTH))
    else:
        descriptors = np.empty((0, LENGTH), dtype=np.uint8)
    return Catalogue(
        keys=compute.take(table["key"], arrow.array(order)).combine_chunks(),
        part=_joined(parts, np.int32)[order],
        row=_joined(rows, np.int32)[order],
        kind=np.asarray(table["kind"])[order],
        digest=_fixed(table["digest"], DIGEST_BYTES, np.uint64)[order],
        look=_fixed(table["look"], DIGEST_BYTES, np.uint64)[order],
        hash=np.asarray(table["hash"])[order],
        levels=_fixed(table["levels"], 3, np.uint8)[order],
        at=_joined(places, np.int64)[order],
        descriptors=descriptors,
    )


def _joined(arrays: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype=kind), *arrays]).astype(kind)


def _fixed(column: Any, width: int, kind: type) -> np.ndarray:
    """A column of fixed bytes as numbers [n, width / size of one]; an absent value is zeros."""
    filled = column.combine_chunks().fill_null(bytes(width))
    data = filled.buffers()[1]
    size = width // np.dtype(kind).itemsize
    if not len(filled):
        return np.empty((0, size), dtype=kind)
    return np.frombuffer(data, dtype=kind)[filled.offset * size :][: len(filled) * size].reshape(-1, size)
