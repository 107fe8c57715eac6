"""Shards -> the same shards without some of their samples; every byte of the others stays as it was.

Which samples go is decided elsewhere. Samples are known by their number in the shard, since keys may repeat.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from fullclip.core.logs import track
from fullclip.core.storage import atomic_file, read_range
from fullclip.data.groups import Table, read_table, save_table, sidecar
from fullclip.data.shards import Index, ShardInfo, write_index

_BLOCK_BYTES = 4 << 20
_END = bytes(1024)  # a tar's end: two blocks of zeros


def check_removal(shards: Sequence[str]) -> None:
    """ValueError for a torn shard, of which nobody can say what is in it, and for two shards of one name."""
    owner: dict[str, str] = {}
    for path in shards:
        name = path.rpartition("/")[2]
        if owner.setdefault(name, path) != path:
            raise ValueError(f"{owner[name]} and {path} have one name; give each folder of shards an --out of its own")
        torn_at = read_table(path).torn_at
        if torn_at is not None:
            raise ValueError(f"{path} is torn from byte {torn_at:,}; fetch it again, or leave it out")


def write_without(shards: Sequence[str], gone: Mapping[str, Collection[int]], folder: Path) -> Index:
    """Write each of `shards` under its name into `folder`, without the samples whose numbers are in gone[path], with the
    tables and the index that `write_shards` makes. A shard of which nothing is left is not written.

    ValueError as `check_removal` raises, and where no sample at all is left.
    """
    check_removal(shards)
    written = []
    for path in track(shards, "writing", unit="shards"):
        table = read_table(path)
        kept = np.setdiff1d(np.arange(table.num_groups), np.array(sorted(gone.get(path, ())), dtype=np.int64))
        if len(kept):
            written.append(_write(path, table, kept, folder / path.rpartition("/")[2]))
    if not written:
        raise ValueError("no pair would be left: every one is to be removed; a threshold that low finds everything alike")
    return write_index(folder, written)


def _write(path: str, table: Table, kept: np.ndarray, place: Path) -> ShardInfo:
    offsets, digest = table.offsets, hashlib.sha256()
    first = int(offsets[0])  # what stands before the first sample (a header for all that follow) stays there
    sizes = np.diff(offsets)[kept]
    with atomic_file(place) as file:
        for start, end in [(0, first), *_runs(offsets, kept)]:
            _copy(path, start, end, file, digest)
        file.write(_END)
        digest.update(_END)
        num_bytes = file.tell()
    starts = np.concatenate([[0], np.cumsum(sizes)]) + first
    with atomic_file(sidecar(str(place))) as file:
        save_table(Table(num_bytes=num_bytes, offsets=starts.astype(np.int64)), file)
    return ShardInfo(name=place.name, num_pairs=len(kept), num_bytes=num_bytes, sha256=digest.hexdigest())


def _runs(offsets: np.ndarray, kept: np.ndarray) -> Iterator[tuple[int, int]]:
    """The bytes of the kept samples, neighbours in one piece."""
    for run in np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1):
        yield int(offsets[run[0]]), int(offsets[run[-1] + 1])


def _copy(path: str, start: int, end: int, file: IO[bytes], digest: "hashlib._Hash") -> None:
    for at in range(start, end, _BLOCK_BYTES):
        stop = min(at + _BLOCK_BYTES, end)
        data = read_range(path, at, stop)
        if len(data) != stop - at:
            raise OSError(f"{path}: ends at byte {at + len(data):,}, before it should; has it changed meanwhile?")
        file.write(data)
        digest.update(data)
