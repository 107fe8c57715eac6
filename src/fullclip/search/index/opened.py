"""An index of pictures, open for reading: vectors in, hits out. Many threads may ask at a time."""

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from fullclip.core.types import Hit
from fullclip.search.index.derived import derived_folder
from fullclip.search.index.folding import Folded, fold
from fullclip.search.index.mark import plain, read_mark
from fullclip.search.index.nearest import Found, Nearest
from fullclip.search.index.table import Table, as_text
from fullclip.search.vectors import of_usual_size, real_numbers

MOST = 1000
_MORE = 4  # times as many are looked at as are asked for, where duplicates are folded; then again as many times
_LAST = 4096


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What an index holds. arranged: rows that need not all be looked at."""

    model: str
    dim: int
    rows: int
    arranged: int
    thumbnails: int
    captions: int
    bytes: int
    version: int
    fields: Mapping[str, str]


class Index:
    """Made by `Index.open`. What another process adds is seen after `refresh`."""

    def __init__(self, folder: str) -> None:
        self.folder, self._mark = folder, read_mark(folder)
        self.model, self.fingerprint, self.dim = self._mark.model, self._mark.fingerprint, self._mark.dim
        self._lock = Lock()
        self._nearest = self._read()

    @classmethod
    def open(cls, folder: str) -> "Index":
        """ValueError where there is none, or its index.json is damaged; OSError where its rows cannot be read."""
        return cls(plain(folder))

    def refresh(self) -> None:
        """See what was written since. Searches that are going on end with what they began with."""
        with self._lock:
            table = Table.open_table(self.folder)
            if table.version != self._nearest.version or read_mark(self.folder) != self._mark:
                self._nearest = self._read()

    def _read(self) -> Nearest:
        table = Table.open_table(self.folder)
        if table.dim != self.dim:
            raise ValueError(f"{self.folder} is damaged: vectors of {table.dim} numbers, where index.json says {self.dim}")
        return Nearest(table, derived_folder(self.folder), self._mark.identity)

    def __len__(self) -> int:
        return len(self._nearest)

    def search(self, vectors: Any, *, top: int = 10, where: str | None = None, fold: bool = True) -> list[list[Hit]]:
        """For each vector, real numbers [n, dim] in an array or a tensor, the `top` pictures with the largest cosine, best
        first; of equals, as copies are, those that were added first.

        where: a condition in SQL on what is known of them, as "width > 500 AND caption LIKE '%dog%'"; it is asked first, so
        that there are `top` hits where so many pass. fold: pictures that are nearly the same are one hit, whose
        meta["duplicates"] has the keys of the others. ValueError for vectors of another width, NaN or zeros, and for a `where`
        that is no condition.
        """
        if not 1 <= operator.index(top) <= MOST:
            raise ValueError(f"top is {top}: from 1 to {MOST:,}")
        queries = self._checked(vectors)
        try:
            return self._searched(self._nearest, queries, top=top, where=where, fold=fold)
        except OSError:  # this version's files may be gone: who writes keeps older ones for an hour
            self.refresh()
            return self._searched(self._nearest, queries, top=top, where=where, fold=fold)

    def _searched(self, nearest: Nearest, queries: np.ndarray, *, top: int, where: str | None, fold: bool) -> list[list[Hit]]:
        if not len(nearest) or not len(queries):
            if where is not None:
                nearest.num_passing(where)
            return [[] for _ in queries]
        if not fold:
            found = nearest.search(queries, top, where)
            chosen = [(one, [Folded(first=i) for i in range(len(one.numbers))]) for one in found]
        else:
            chosen = self._folded(nearest, queries, top, where)
        return [[_hit(nearest, one, group, fold=fold) for group in groups] for one, groups in chosen]

    def vector(self, key: str) -> np.ndarray:
        """float32 [dim], of length 1; KeyError for a key that is not there."""
        return self.vectors([key])[key]

    def vectors(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """The same of many, by key, in one look into the table; keys that are not there are left out."""
        try:
            return _vectors(self._nearest, keys)
        except OSError:  # as in `search`
            self.refresh()
            return _vectors(self._nearest, keys)

    def thumbnail(self, key: str) -> bytes | None:
        """A JPEG of at most 224 pixels a side; None where there is none, KeyError for a key that is not there."""
        return self.thumbnails([key])[key]

    def thumbnails(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """The same of many, by key, in one look into the table; keys that are not there are left out."""
        try:
            return _thumbnails(self._nearest, keys)
        except OSError:  # as in `search`
            self.refresh()
            return _thumbnails(self._nearest, keys)

    def stats(self) -> Stats:
        nearest = self._nearest
        return Stats(
            model=self.model,
            dim=self.dim,
            rows=len(nearest),
            arranged=nearest.num_arranged,
            thumbnails=nearest.table.count("thumbnail"),
            captions=nearest.table.count("caption"),
            bytes=nearest.table.num_bytes(),
            version=nearest.version,
            fields=nearest.table.fields,
        )

    def _checked(self, vectors: Any) -> np.ndarray:
        """The vectors as float32, of length 1."""
        given = real_numbers(vectors, "vectors")
        if given.ndim != 2 or given.shape[1] != self.dim:
            raise ValueError(f"vectors are {list(given.shape)}: [n, {self.dim}] is needed, from the model {self.model}")
        if not np.isfinite(given).all():
            raise ValueError("a vector has NaN or infinite numbers")
        if not given.any(axis=1).all():
            raise ValueError("a vector is zero, and has no direction")
        return _unit(of_usual_size(given))

    @staticmethod
    def _folded(nearest: Nearest, queries: np.ndarray, top: int, where: str | None) -> list[tuple[Found, list[Folded]]]:
        count, num_passing = _MORE * top, nearest.num_passing(where)
        answers = [(one, list(fold(one.vectors, top=top))) for one in nearest.search(queries, count, where)]
        while count < min(num_passing, _LAST):
            few = [i for i, (_, groups) in enumerate(answers) if len(groups) < top]
            if not few:
                break
            count *= _MORE
            for i, one in zip(few, nearest.search(queries[few], count, where), strict=True):
                answers[i] = one, list(fold(one.vectors, top=top))
        return answers


def _vectors(nearest: Nearest, keys: Sequence[str]) -> dict[str, np.ndarray]:
    return {key: _unit(np.array([row["vector"]]))[0] for key, row in _rows(nearest, keys, "vector").items()}


def _thumbnails(nearest: Nearest, keys: Sequence[str]) -> dict[str, bytes | None]:
    return {key: row["thumbnail"] for key, row in _rows(nearest, keys, "thumbnail").items()}


def _rows(nearest: Nearest, keys: Sequence[str], column: str) -> dict[str, dict[str, Any]]:
    """By key, one column of those that are there."""
    if not keys:
        return {}
    places = nearest.places(nearest.table.numbers_of_keys([as_text(key) for key in keys]))
    found = {row["key"]: row for row in nearest.table.rows(places.tolist(), ["key", column]).values()}
    return {key: found[text] for key in keys if (text := as_text(key)) in found}


def _unit(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    found: np.ndarray = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return found


def _hit(nearest: Nearest, found: Found, group: Folded, *, fold: bool) -> Hit:
    key, meta = _key_and_meta(nearest, found.numbers[group.first])
    if fold:
        meta["duplicates"] = [_key_and_meta(nearest, found.numbers[place])[0] for place in group.others]
    return Hit(key=key, score=float(found.scores[group.first]), meta=meta)


def _key_and_meta(nearest: Nearest, number: np.integer[Any]) -> tuple[str, dict[str, Any]]:
    meta: dict[str, Any] = json.loads(nearest.told(int(number)))
    return meta.pop("key"), meta
