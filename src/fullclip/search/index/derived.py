"""The segments beside a table: which there are, and new ones of rows that no segment has. All of it can be made anew of the
table, so that what is torn or of another table counts as not there.

Beside a local table in nearest/; of one in a store, in the cache folder. manifest.json names the segments and is written last.
"""

import hashlib
import json
import shutil
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fullclip.core.say import say
from fullclip.core.storage import atomic_file, atomic_folder, cache_folder, is_remote
from fullclip.search.index.segment import Segment, write_segment
from fullclip.search.index.table import Table

SWITCH = 20_000  # below so many rows all are looked at, which takes 4 ms (bench/search.py); from there on cells take less
_MANIFEST = "manifest.json"
_TRIES = 3
_ROW_BY_ROW = ("vectors.npy", "codes.npy", "told.bin")


def derived_folder(index: str) -> Path:
    if is_remote(index):
        return cache_folder() / "search" / hashlib.sha256(index.encode()).hexdigest()[:32]
    return Path(index) / "nearest"


def read_segments(folder: Path, identity: str, *, whole: bool = False) -> list[Segment]:
    """The segments that belong to the table of this identity; none where one is not as it was written. That is told by the sums
    of what is read at once; of what is looked at row by row, which takes long to read, only if `whole`.
    """
    for _ in range(_TRIES):
        listed = _listed(folder, identity)
        try:
            return [_opened(folder, one, whole=whole) for one in listed]
        except (OSError, ValueError, EOFError):
            if listed == _listed(folder, identity):  # or a writer has put others in their place
                break
    if listed:
        say(f"{folder} is damaged and not used; `fullclip search add` makes it anew")
    return []


def catch_up(folder: Path, identity: str, table: Table) -> None:
    """Have all but fewer than `SWITCH` rows in segments, each of which is more than twice as large as all smaller ones, so that
    there are few, and a row is arranged anew few times. Asked by who writes the table, alone.
    """
    segments = read_segments(folder, identity, whole=True)
    listed = _listed(folder, identity)
    if len(segments) != len(listed):  # damaged
        listed = []
        _finish(folder, identity, listed)
    numbers, places = table.numbers()
    alive = [np.isin(segment.numbers, numbers).sum() for segment in segments]
    is_left, num_left = np.ones(len(numbers), dtype=bool), len(numbers) - int(sum(alive))
    is_kept = [2 * number > len(segment) for number, segment in zip(alive, segments, strict=True)]
    if all(is_kept) and num_left < SWITCH:
        return
    for i in np.argsort(alive):
        is_kept[i] = is_kept[i] and alive[i] > 2 * num_left
        num_left += 0 if is_kept[i] else int(alive[i])
    kept = [one for one, keep in zip(listed, is_kept, strict=True) if keep]
    for segment, keep in zip(segments, is_kept, strict=True):
        if keep:
            is_left &= ~np.isin(numbers, segment.numbers)
    if num_left < SWITCH:
        _finish(folder, identity, kept)
        return
    name = uuid.uuid4().hex
    say(f"arranging {num_left:,} vectors for fast search")
    with atomic_folder(folder / name) as made:
        told = (texts for _, texts in table.told(places[is_left]))
        write_segment(made, lambda: table.vectors(places[is_left]), told, num_rows=num_left, dim=table.dim)
    files = sorted((folder / name).iterdir())
    sizes, sums = {path.name: path.stat().st_size for path in files}, {path.name: _sum(path) for path in files}
    _finish(folder, identity, [*kept, {"name": name, "sizes": sizes, "sums": sums}])


def _finish(folder: Path, identity: str, listed: Sequence[dict[str, Any]]) -> None:
    """From now on these are the segments; others go. Who has them open still reads them."""
    with atomic_file(folder / _MANIFEST, "w") as file:
        json.dump({"identity": identity, "segments": list(listed)}, file)
    names = {one["name"] for one in listed} | {_MANIFEST}
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _listed(folder: Path, identity: str) -> list[dict[str, Any]]:
    try:
        said = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if said["identity"] == identity:
            return [
                {"name": str(one["name"]), "sizes": dict(one["sizes"]), "sums": dict(one.get("sums", {}))}
                for one in said["segments"]
            ]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return []


def _opened(folder: Path, listed: dict[str, Any], *, whole: bool) -> Segment:
    where = folder / listed["name"]
    for name, size in listed["sizes"].items():
        path, known = where / name, listed["sums"].get(name)
        is_summed = known is not None and (whole or name not in _ROW_BY_ROW)
        if path.stat().st_size != size or (is_summed and _sum(path) != known):
            raise ValueError(f"{path} is not as it was written")
    return Segment(where)


def _sum(path: Path) -> int:
    """The CRC-32 of a file."""
    found = 0
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            found = zlib.crc32(data, found)
    return found
