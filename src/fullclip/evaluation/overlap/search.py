"""A set's descriptors and blocks of training descriptors -> the pairs that may be the same picture, with their similarity.

In two steps: views of either side are compared by matrix products, and the pairs that are each other's best are aligned.
Knows nothing of shards, keys or thresholds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8

from fullclip.preprocess.alignment import align, colours_agree, flat_similarity, is_flat
from fullclip.preprocess.descriptor import cosines, evened, grey, mirrored

METHOD = 1  # of searching: another one may find other pairs

_NUMBER, _POWER, _NOISE = 8, 0.75, 4.0
_CLOSEST = 4  # pairs of each picture, on either side, that are looked at closely
_WORTH_A_LOOK = 0.55  # the views of one in 1,000 pairs of different photographs are as alike as this, 98% of copies' are
_ROWS, _COLUMNS = 8, 512  # of a matrix product, so that it stays in the processor's cache

_Part = tuple[float, float]
_WHOLE: _Part = (0.0, 1.0)
_INNER: _Part = (0.12, 0.88)


def _views() -> tuple[tuple[_Part, _Part], ...]:
    """(across, down) of the parts that are compared with the other picture's whole; the whole is the first."""
    edge, middle, sides = (0.05, 0.95), (0.2, 0.8), (_WHOLE, _INNER, (0.0, 0.85), (0.15, 1.0))
    more = [(edge, edge), (edge, _WHOLE), (_WHOLE, edge), (middle, middle), (middle, _INNER), (_INNER, middle)]
    more += [(middle, _WHOLE), (_WHOLE, middle)]  # the middle square of a wide or tall picture
    return (*((across, down) for across in sides for down in sides), *more)


VIEWS = _views()


@dataclass(frozen=True, kw_only=True)
class Alike:
    """Pairs: the row of the set's picture, the row in the training block, and how alike they are (alignment.py)."""

    rows: Int64[np.ndarray, " pairs"]
    columns: Int64[np.ndarray, " pairs"]
    similarities: Float32[np.ndarray, " pairs"]


class Search:
    """The pictures of one set, to be looked for in any number of blocks."""

    def __init__(self, descriptors: UInt8[np.ndarray, "n 1056"]) -> None:
        self._descriptors, self._mirrored = descriptors, mirrored(descriptors)
        self._flat = is_flat(descriptors)

    def look(self, block: UInt8[np.ndarray, "block 1056"]) -> Alike:
        """The pairs of a picture of the set and one of the block that are worth a close look: the best
        four of either, as long as their views are alike at all. A picture without structure is only like one whose levels
        are nearly equal.
        """
        flat = is_flat(block)
        lively, others = np.flatnonzero(~self._flat), np.flatnonzero(~flat)
        places, column, start, is_mirrored = self._candidates(lively, block[others])
        row, column = lively[places], others[column]
        ours = np.where(is_mirrored[:, None], self._mirrored[row], self._descriptors[row])
        similarities, _ = align(ours, block[column], start)
        similarities = similarities * colours_agree(ours, block[column])
        plain = self._plain_pairs(np.flatnonzero(self._flat), block, np.flatnonzero(flat))
        return Alike(
            rows=np.concatenate([row, plain.rows]),
            columns=np.concatenate([column, plain.columns]),
            similarities=np.concatenate([similarities, plain.similarities]),
        )

    def _plain_pairs(self, rows: np.ndarray, block: np.ndarray, columns: np.ndarray) -> Alike:
        """Each picture without structure with the nearest one, and all that are nearly equal."""
        found: list[tuple[int, int, float]] = []
        for row in rows.tolist() if len(columns) else []:
            similarities = flat_similarity(block[columns], self._descriptors[row])
            close = np.flatnonzero(similarities >= min(0.5, similarities.max()))
            found += [(row, int(columns[place]), float(similarities[place])) for place in close]
        row, column, similarity = zip(*found, strict=True) if found else ((), (), ())
        return Alike(
            rows=np.array(row, dtype=np.int64),
            columns=np.array(column, dtype=np.int64),
            similarities=np.array(similarity, dtype=np.float32),
        )

    def _candidates(self, rows: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(places in `rows`, places in `block`, about how they lie, whether mirrored) of pairs whose views are alike."""
        if not len(rows) or not len(block):
            nothing = np.empty(0, dtype=np.int64)
            return nothing, nothing, np.empty((0, 4), dtype=np.float32), np.empty(0, dtype=bool)
        theirs = _coefficients(block)
        by_column, pairs = _Best(len(block)), set[tuple[int, int]]()
        for start in range(0, len(rows), _ROWS):
            ours = _both_ways(_coefficients(self._descriptors[rows[start : start + _ROWS]]))
            alike = torch.cat(list(_products(ours, theirs)), dim=1)
            values, columns = alike.topk(min(_CLOSEST, alike.shape[1]), dim=1)
            for row, column in (values >= _WORTH_A_LOOK).nonzero().tolist():
                pairs.add((start + row, int(columns[row, column])))
            by_column.add(alike, start)
        chosen = np.array(sorted(pairs | by_column.pairs()), dtype=np.int64).reshape(-1, 2)
        place, is_mirrored = self._best_view(rows[chosen[:, 0]], theirs[:, torch.from_numpy(chosen[:, 1])])
        return chosen[:, 0], chosen[:, 1], place, is_mirrored

    def _best_view(self, rows: np.ndarray, theirs: torch.Tensor) -> tuple[np.ndarray, Bool[np.ndarray, " pairs"]]:
        """Which of all views of each pair are most alike: as a place, and whether the set's picture is mirrored."""
        places, winners = _places(), []
        for start in range(0, len(rows), 4096):
            part = theirs[:, start : start + 4096]
            ours = _both_ways(_coefficients(self._descriptors[rows[start : start + 4096]]))
            of_parts = torch.einsum("vnd,nd->vn", ours, part[0])
            of_wholes = torch.einsum("snd,vnd->svn", ours[:: len(VIEWS)], part[1:]).flatten(0, 1)
            winners.append(torch.cat([of_parts, of_wholes]).argmax(dim=0))
        winner = torch.cat(winners).numpy() if winners else np.empty(0, dtype=np.int64)
        return np.array([place for place, _ in places], dtype=np.float32)[winner], np.array([side for _, side in places])[
            winner
        ]


class _Best:
    """The best rows of each column so far."""

    def __init__(self, columns: int) -> None:
        self._values = torch.full((_CLOSEST, columns), -1.0)
        self._rows = torch.zeros((_CLOSEST, columns), dtype=torch.int64)

    def add(self, alike: torch.Tensor, start: int) -> None:
        rows = torch.arange(start, start + len(alike))[:, None].expand_as(alike)
        self._values, order = torch.cat([self._values, alike]).topk(_CLOSEST, dim=0)
        self._rows = torch.cat([self._rows, rows]).gather(0, order)

    def pairs(self) -> set[tuple[int, int]]:
        places = (self._values >= _WORTH_A_LOOK).nonzero().tolist()
        return {(int(self._rows[rank, column]), column) for rank, column in places}


def _coefficients(descriptors: np.ndarray) -> torch.Tensor:
    """[views, n, dim], of length 1 but for what noise takes."""
    pictures = grey(descriptors)
    found = []
    for across, down in VIEWS:
        part = evened(cosines(*down, _NUMBER) @ pictures @ cosines(*across, _NUMBER).T, _POWER)
        found.append(part / np.sqrt((part**2).sum(axis=1, keepdims=True) + _NOISE**2))
    return torch.from_numpy(np.stack(found))


def _both_ways(views: torch.Tensor) -> torch.Tensor:
    """The same, then of the mirrored pictures, whose odd cosines across have the other sign; [2 views, n, dim]."""
    signs = (1 - 2 * (torch.arange(_NUMBER) % 2)).repeat(_NUMBER)
    return torch.cat([views, views * signs])


def _products(ours: torch.Tensor, theirs: torch.Tensor) -> Iterator[torch.Tensor]:
    """[rows, columns], some columns at a time: how alike the most alike views are."""
    num_ways, num_rows = ours.shape[:2]
    parts, wholes = ours.flatten(0, 1), ours[:: len(VIEWS)].flatten(0, 1)
    for start in range(0, theirs.shape[1], _COLUMNS):
        block = theirs[:, start : start + _COLUMNS]
        of_parts = (parts @ block[0].T).view(num_ways, num_rows, -1).amax(dim=0)
        of_wholes = (wholes @ block[1:].flatten(0, 1).T).view(2, num_rows, len(VIEWS) - 1, -1).amax(dim=(0, 2))
        yield torch.maximum(of_parts, of_wholes)


def _places() -> list[tuple[tuple[float, float, float, float], bool]]:
    """Where the set's picture, mirrored or not, lies on the training picture, by the number of the view that won."""
    found: list[tuple[tuple[float, float, float, float], bool]] = []
    for is_mirrored in (False, True):
        for across, down in VIEWS:
            across = (1 - across[1], 1 - across[0]) if is_mirrored else across
            found.append(((*_whole_on(across), *_whole_on(down)), is_mirrored))
    for is_mirrored in (False, True):
        found += [((*across, *down), is_mirrored) for across, down in VIEWS[1:]]
    return found


def _whole_on(part: _Part) -> _Part:
    """Where the edges lie on the other picture, whose whole is `part` of this one."""
    width = part[1] - part[0]
    return -part[0] / width, (1 - part[0]) / width
