"""One version of an index, as it is searched: its segments, and the rows that are in none, all of which are looked at."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from fullclip.core.processor import num_cores
from fullclip.search.index.derived import read_segments
from fullclip.search.index.segment import Passing, Segment, best_places, num_looked_at
from fullclip.search.index.table import Table
from fullclip.search.index.threads import in_threads

_TOGETHER = 256  # queries that one thread takes at most: of so many, several ask the same cells, which are read once for all
_ROWS_TOGETHER = 8_000_000  # looked at for all of them, which take a hundred megabytes
_FILTERS = 16
_PLACES = 40  # bits


@dataclass(frozen=True, kw_only=True)
class Found:
    """The best rows for a query: their numbers, scores and vectors, best first."""

    numbers: np.ndarray
    scores: np.ndarray
    vectors: np.ndarray


def _products(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """float32 [n], the same for the same vector wherever it lies, so that copies are equal, and those that came first lead."""
    products: np.ndarray = np.einsum("ij,j->i", vectors.astype(np.float64), query.astype(np.float64)).astype(np.float32)
    return products


@dataclass(frozen=True, kw_only=True)
class _Filter:
    """Which rows pass: of each segment, and of the rest."""

    segments: list[Passing]
    rest: np.ndarray

    @property
    def number(self) -> int:
        return sum(one.number for one in self.segments) + int(self.rest.sum())


class Nearest:
    """What `table` holds at its version now, which is not to change; segments are read from `folder`."""

    def __init__(self, table: Table, folder: Path, identity: str) -> None:
        self.table, self.version = table, table.version
        numbers, places = table.numbers()
        size = int(numbers[-1]) + 1 if len(numbers) else 0
        found = read_segments(folder, identity)
        self._segments: list[Segment] = [segment for segment in found if segment.vectors.shape[1] == table.dim and len(segment)]
        size = max([size, *(int(segment.numbers.max()) + 1 for segment in self._segments)])
        self._alive = np.zeros(size, dtype=bool)
        self._alive[numbers] = True
        self._places = np.zeros(size, dtype=np.int64)
        self._places[numbers] = places
        self._num_rows = len(numbers)
        self._homes = np.full(size, -1, dtype=np.int64)  # the segment and the place in it
        for i, segment in enumerate(self._segments):
            self._homes[segment.numbers] = (i << _PLACES) + np.arange(len(segment))
        rest = places[self._homes[numbers] < 0]
        self._rest_numbers, self._rest = self._read(rest)
        self._rest_told = {
            int(number): text for some, texts in table.told(rest) for number, text in zip(some, texts, strict=True)
        }
        self._rest_tensor = torch.from_numpy(self._rest)
        self._all = self._filter(self._alive)
        self._filters, self._lock = OrderedDict[str, _Filter](), Lock()

    def __len__(self) -> int:
        return self._num_rows

    @property
    def num_arranged(self) -> int:
        """How many rows are in segments."""
        return self._num_rows - len(self._rest_numbers)

    def places(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Where the table has these rows."""
        return self._places[np.asarray(numbers, dtype=np.int64)]

    def told(self, number: int) -> str:
        """What a hit tells of a row, in JSON: of a row in a segment it is read there, which takes no look into the table."""
        home = int(self._homes[number])
        if home < 0:
            return self._rest_told[number]
        return self._segments[home >> _PLACES].told(home & ((1 << _PLACES) - 1))

    def num_passing(self, where: str | None) -> int:
        return self._passing(where).number

    def search(self, queries: np.ndarray, count: int, where: str | None) -> list[Found]:
        """For each query, float32 [m, dim] of length 1, the best `count` of the rows that pass the filter."""
        passing = self._passing(where)
        most = _ROWS_TOGETHER // num_looked_at(count, passing.number)
        together = max(1, min(_TOGETHER, most, -(-len(queries) // num_cores())))
        parts = [queries[start : start + together] for start in range(0, len(queries), together)]
        return [found for part in in_threads(lambda part: self._searched(part, count, passing), parts) for found in part]

    def _searched(self, queries: np.ndarray, count: int, passing: _Filter) -> list[Found]:
        answers = [
            (segment, segment.search(queries, count, passes))
            for segment, passes in zip(self._segments, passing.segments, strict=True)
        ]
        found = []
        rest = np.flatnonzero(passing.rest)
        scores = (self._rest_tensor @ torch.from_numpy(queries.T)).numpy()
        for i in range(len(queries)):
            best = rest[best_places(scores[rest, i], count)]
            parts = [(self._rest_numbers[best], self._rest[best])]
            for segment, of_queries in answers:
                places = of_queries[i]
                parts.append((segment.numbers[places], segment.vectors[places].astype(np.float32)))
            numbers, vectors = (np.concatenate(column) for column in zip(*parts, strict=True))
            values = _products(vectors, queries[i])
            order = np.lexsort((numbers, -values))[:count]
            found.append(Found(numbers=numbers[order], scores=values[order], vectors=vectors[order]))
        return found

    def _passing(self, where: str | None) -> _Filter:
        if where is None:
            return self._all
        with self._lock:
            if where in self._filters:
                self._filters.move_to_end(where)
                return self._filters[where]
        numbers = self.table.matching(where)
        allowed = np.zeros(len(self._alive), dtype=bool)
        allowed[numbers] = True
        made = self._filter(allowed)
        with self._lock:
            self._filters[where] = made
            if len(self._filters) > _FILTERS:
                self._filters.popitem(last=False)
        return made

    def _filter(self, allowed: np.ndarray) -> _Filter:
        return _Filter(segments=[segment.passing(allowed) for segment in self._segments], rest=allowed[self._rest_numbers])

    def _read(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows in no segment: their numbers, and their vectors as float32."""
        numbers, vectors = np.empty(len(places), dtype=np.int64), np.empty((len(places), self.table.dim), dtype=np.float32)
        at = 0
        for some, given in self.table.vectors(places):
            numbers[at : at + len(some)], vectors[at : at + len(some)] = some, given
            at += len(some)
        return numbers, vectors
