"""Many vectors on disk, in cells, as bytes for looking and as halves for counting: written once, never changed.

A search looks at the int8 codes of the cells that promise most, and scores the best of those anew from the float16 vectors.
Vectors go by numbers, which the table of rows gave them.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fullclip.search.diversity import TIE
from fullclip.search.index import cells as of_cells
from fullclip.search.index.cells import Cells, Scatter, learn_means, nearest_mean
from fullclip.search.index.codes import encode, encode_queries, products

SHARE = 0.03  # of the rows that may be found, how many are looked at; bench/search.py shows what is found
FEWEST = 8192
_FEW = 4  # times as many: of so few the codes of all are looked at, wherever they are
_ANEW = 4  # of each that is asked for, how many are scored anew
_FEWEST_ANEW = 64
_LOOKED_AT = 32  # at least, of each that is asked for: with fewer a tenth of the thousand nearest of 60,000 was missed
_ARRAYS = ("vectors", "codes", "scales", "numbers", "offsets", "means", "variances", "order", "told_ends")

Parts = Callable[
    [], Iterator[tuple[np.ndarray, np.ndarray]]
]  # numbers, int64 [n], and vectors, float16 [n, dim], some at a time


def write_segment(folder: Path, parts: Parts, told: Iterator[Sequence[str]], *, num_rows: int, dim: int) -> None:
    """Write what `parts` gives, the same each of the three times that it is asked: `num_rows` vectors; and what is told of each
    row, in their order. Memory does not grow with them, but by 32 bytes each.
    """
    number = of_cells.num_cells(num_rows)
    means = learn_means(_sample(parts, num_rows), number)
    own, scatter, at = np.empty(num_rows, dtype=np.int64), Scatter(number, dim), 0
    for _, vectors in parts():
        given = torch.from_numpy(vectors.astype(np.float32))
        cells = nearest_mean(given, means)
        scatter.add(given, cells)
        own[at : at + len(cells)] = cells.numpy()
        at += len(cells)
    assert at == num_rows
    offsets = np.concatenate([[0], np.cumsum(scatter.sizes)])
    shapes = {"vectors": (np.float16, (num_rows, dim)), "codes": (np.int8, (num_rows, dim))}
    shapes |= {"scales": (np.float32, (num_rows,)), "numbers": (np.int64, (num_rows,))}  # type: ignore[dict-item]
    to = {name: _made(folder / f"{name}.npy", dtype, shape) for name, (dtype, shape) in shapes.items()}
    places = np.empty(num_rows, dtype=np.int64)
    order = np.argsort(own, kind="stable")
    places[order] = np.arange(num_rows)
    at = 0
    for numbers, vectors in parts():
        place = places[at : at + len(numbers)]
        to["vectors"][place], to["numbers"][place] = vectors, numbers
        to["codes"][place], to["scales"][place] = encode(vectors.astype(np.float32))
        at += len(numbers)
    for array in to.values():
        array.flush()  # type: ignore[attr-defined, unused-ignore]
    found_means, variances = scatter.means_and_variances()
    _write_told(folder, told)
    np.save(folder / "order.npy", order)
    np.save(folder / "offsets.npy", offsets)
    np.save(folder / "means.npy", found_means)
    np.save(folder / "variances.npy", variances)


def _made(path: Path, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """An array on disk, to be written, whose room is taken at once: where a disk is found full by writing into a mapped file,
    the system kills the process.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if sys.platform == "linux":
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _write_told(folder: Path, told: Iterator[Sequence[str]]) -> None:
    ends = [np.zeros(1, dtype=np.int64)]
    with (folder / "told.bin").open("wb") as file:
        for texts in told:
            encoded = [text.encode() for text in texts]
            ends.append(ends[-1][-1] + np.cumsum([len(data) for data in encoded], dtype=np.int64))
            file.write(b"".join(encoded))
    np.save(folder / "told_ends.npy", np.concatenate(ends))


def _sample(parts: Parts, num_rows: int) -> np.ndarray:
    """Some of the vectors, drawn evenly."""
    chosen = np.random.default_rng(0).choice(num_rows, size=of_cells.sample_size(num_rows), replace=False)
    chosen.sort()
    found, at = list[np.ndarray](), 0
    for numbers, vectors in parts():
        first, last = np.searchsorted(chosen, [at, at + len(numbers)])
        found.append(vectors[chosen[first:last] - at].astype(np.float32))
        at += len(numbers)
    return np.concatenate(found)


@dataclass(frozen=True, kw_only=True)
class Passing:
    """mask: bool [rows]. sizes: how many of each cell. number: how many of all."""

    mask: np.ndarray
    sizes: np.ndarray
    number: int


class Segment:
    """A segment that was written, its arrays mapped from the disk. ValueError where they do not fit together."""

    def __init__(self, folder: Path) -> None:
        # "c": pages are still the disk's, and nobody writes; torch wants arrays that could be written
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in _ARRAYS}
        self.vectors, self.numbers = arrays["vectors"], np.array(arrays["numbers"])
        self._codes, self._scales = torch.from_numpy(arrays["codes"]), np.array(arrays["scales"])
        self._offsets = np.array(arrays["offsets"])
        self._cells, num_cells = Cells(arrays["means"], arrays["variances"]), len(arrays["means"])
        self._order, self._told_ends = arrays["order"], arrays["told_ends"]
        self._told = np.memmap(folder / "told.bin", dtype=np.uint8, mode="r")
        lengths = {len(self.vectors), len(self.numbers), len(self._codes), len(self._scales), int(self._offsets[-1])}
        lengths |= {len(self._order), len(self._told_ends) - 1}
        if len(lengths) != 1 or num_cells + 1 != len(self._offsets):
            raise ValueError(f"the arrays in {folder} do not belong together")

    def __len__(self) -> int:
        return len(self.numbers)

    def told(self, place: int) -> str:
        """What a hit tells of the row at a place, in JSON."""
        number = int(self._order[place])
        return self._told[int(self._told_ends[number]) : int(self._told_ends[number + 1])].tobytes().decode()

    def passing(self, allowed: np.ndarray) -> Passing:
        """Which rows may be found, of a bool by number."""
        mask = allowed[self.numbers]
        sizes = np.add.reduceat(np.append(mask, False), self._offsets[:-1], dtype=np.int64)
        sizes[np.diff(self._offsets) == 0] = 0
        return Passing(mask=mask, sizes=sizes, number=int(sizes.sum()))

    def search(self, queries: np.ndarray, count: int, passing: Passing) -> list[np.ndarray]:
        """For each query, float32 [m, dim], the places of the best rows that pass: `count` of them, and those that are as good
        as the last (`best_places`).
        """
        num_anew = max(_FEWEST_ANEW, _ANEW * count)
        if passing.number <= num_anew:
            places = np.flatnonzero(passing.mask)
            return [self._best(query, places, count) for query in queries]
        if passing.number <= FEWEST * _FEW:
            looked_at = self._all(queries, passing)
        else:
            looked_at = self._looked_at(queries, passing, num_looked_at(count, passing.number))
        found = []
        for query, (places, scores) in zip(queries, looked_at, strict=True):
            found.append(self._best(query, places[best_places(scores, num_anew)], count))
        return found

    def _all(self, queries: np.ndarray, passing: Passing) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each query all places that pass, and about what they score."""
        places = np.flatnonzero(passing.mask)
        values = products(self._codes.index_select(0, torch.from_numpy(places)), encode_queries(queries)[0])
        for i in range(len(queries)):
            yield places, values[:, i] * self._scales[places]

    def _looked_at(self, queries: np.ndarray, passing: Passing, budget: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each query the places that pass in the cells that promise most, and about what they score; at least `budget`."""
        sizes = passing.sizes
        promise = self._cells.promise(queries)
        promise[:, sizes == 0] = -np.inf
        order = np.argsort(-promise, axis=1)
        ends = 1 + np.array([np.searchsorted(np.cumsum(sizes[row]), budget) for row in order])
        wanted = np.zeros(promise.shape, dtype=bool)
        for i, (row, end) in enumerate(zip(order, ends, strict=True)):
            wanted[i, row[:end]] = sizes[row[:end]] > 0
        columns = encode_queries(queries)[0]
        answers: list[list[np.ndarray]] = [[] for _ in queries]
        for cell in map(int, np.flatnonzero(wanted.any(axis=0))):
            who = np.flatnonzero(wanted[:, cell])
            start, end = int(self._offsets[cell]), int(self._offsets[cell + 1])
            given = columns if len(who) == len(queries) else columns[:, who].contiguous()
            values = products(self._codes[start:end], given)
            for column, asker in enumerate(who.tolist()):
                answers[asker].append(values[:, column])
        all_pass = passing.number == len(self)
        for i, parts in enumerate(answers):
            chosen = np.flatnonzero(wanted[i])
            lengths = self._offsets[chosen + 1] - self._offsets[chosen]
            firsts = self._offsets[chosen] - np.cumsum(lengths) + lengths
            places = np.arange(int(lengths.sum())) + np.repeat(firsts, lengths)
            scores = np.concatenate(parts) * self._scales[places]
            yield (places, scores) if all_pass else _those(passing.mask[places], places, scores)

    def _best(self, query: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
        places = np.sort(places)
        best: np.ndarray = places[best_places(self.vectors[places].astype(np.float32) @ query, count)]
        return best


def num_looked_at(count: int, num_passing: int) -> int:
    """How many rows a search for `count` looks at, of so many that pass."""
    return max(FEWEST, round(SHARE * num_passing), _LOOKED_AT * count)


def best_places(scores: np.ndarray, count: int) -> np.ndarray:
    """Where the `count` largest are, in no order, with all that are as large as the last of them but for what products of
    float32 vary by with the batch that they are computed in: which of copies come first is not theirs to say.
    """
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, -count)[-count] - TIE)


def _those(which: np.ndarray, places: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return places[which], scores[which]
