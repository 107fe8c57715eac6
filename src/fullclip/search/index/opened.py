"""An index of pictures, open for reading: vectors in, hits out. Many threads may ask at a time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from fullclip.core.types import Hit
from fullclip.search.index.derived import derived_folder
from fullclip.search.index.folding import Folded, fold
from fullclip.search.index.mark import read_mark
from fullclip.search.index.nearest import Found, Nearest
from fullclip.search.index.table import Table, quoted

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
        """ValueError where there is none, or it is damaged."""
        return cls(folder.rstrip("/") if folder.strip("/") else folder)

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

    def search(self, vectors: np.ndarray, *, top: int = 10, where: str | None = None, fold: bool = True) -> list[list[Hit]]:
        """For each vector, float [n, dim], the `top` pictures with the largest cosine to it, best first.

        where: a condition in SQL on what is known of them, as "width > 500 AND caption LIKE '%dog%'"; it is asked first, so
        that there are `top` hits where so many pass. fold: pictures that are nearly the same are one hit, whose
        meta["duplicates"] has the keys of the others. ValueError for vectors of another width, NaN or zeros, and for a `where`
        that is no condition.
        """
        if not 1 <= top <= MOST:
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
        nearest = self._nearest
        _, vectors = next(nearest.table.vectors(nearest.places([self._number(nearest, key)])))
        vector: np.ndarray = _unit(vectors)[0]
        return vector

    def thumbnail(self, key: str) -> bytes | None:
        """A JPEG of at most 224 pixels a side; None where there is none, KeyError for a key that is not there."""
        nearest = self._nearest
        number = self._number(nearest, key)
        found = nearest.table.rows(nearest.places([number]).tolist(), ["thumbnail"])[number]["thumbnail"]
        return None if found is None else bytes(found)

    def stats(self) -> Stats:
        nearest = self._nearest
        return Stats(
            model=self.model,
            dim=self.dim,
            rows=len(nearest),
            arranged=nearest.num_arranged,
            thumbnails=len(nearest.table.matching("thumbnail IS NOT NULL")),
            captions=len(nearest.table.matching("caption IS NOT NULL")),
            bytes=nearest.table.num_bytes(),
            version=nearest.version,
            fields=nearest.table.fields,
        )

    def _number(self, nearest: Nearest, key: str) -> int:
        found = nearest.table.matching(f"key = {quoted(key)}")
        if not len(found):
            raise KeyError(key)
        return int(found[-1])

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        """The vectors as float32, of length 1."""
        given = np.asarray(vectors)
        if given.ndim != 2 or given.shape[1] != self.dim:
            raise ValueError(f"vectors are {list(given.shape)}: [n, {self.dim}] is needed, from the model {self.model}")
        given = given.astype(np.float32)
        if not np.isfinite(given).all():
            raise ValueError("a vector has NaN or infinite numbers")
        if not given.any(axis=1).all():
            raise ValueError("a vector is zero, and has no direction")
        return _unit(given)

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
