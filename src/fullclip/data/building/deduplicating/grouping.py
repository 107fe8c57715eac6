"""A catalogue and evaluation sets -> which rows are the same picture, in three steps: bytes, looks, embeddings.

A group is whatever is joined by pairs (connected components; `stars.py` makes stars of them). Pictures of evaluation sets are
members too, further numbers behind the rows; they are known mirrored and a little cut as well.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8, UInt64

from fullclip.data.building.deduplicating.candidates import Crowds, close_hashes, close_levels
from fullclip.data.building.deduplicating.catalogue import Catalogue
from fullclip.data.building.deduplicating.looks import DIGEST_BYTES, FLAT, LIVELY, hashes_of, levels_of, look_digest
from fullclip.data.building.deduplicating.unions import Unions
from fullclip.preprocess.alignment import align, colours_agree, flat_similarity, is_flat, similarity_at
from fullclip.preprocess.descriptor import LENGTH, mirrored

_AT_ONCE = 8192  # pairs that are compared, so that what they join is known before the next
_CUTS = (0.0, 0.05, 0.1)  # of each side of an evaluation set's picture
_WORTH_CLIMBING, _CLIMBS = 0.35, 32
_WHOLE_ON_WHOLE = (0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """The pictures that must not be trained on: their names and descriptors; from which similarity on one is the same."""

    name: str
    keys: Sequence[str]
    descriptors: UInt8[np.ndarray, "n 1056"]
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Views:
    """All pictures of evaluation sets, each several times, as `_CUTS` and mirroring say.

    picture: the number of the picture among all sets' pictures. place: where the view's picture lies on one that is like the
    view (preprocess/alignment.py).
    """

    sets: tuple[EvaluationSet, ...]
    descriptors: UInt8[np.ndarray, "views 1056"]
    hashes: UInt64[np.ndarray, " views"]
    places: Float32[np.ndarray, "views 4"]
    picture: Int64[np.ndarray, " views"]
    threshold: Float32[np.ndarray, " views"]

    @property
    def num_pictures(self) -> int:
        return sum(len(one.keys) for one in self.sets)

    def name_of(self, picture: int) -> tuple[str, str]:
        """(set, key) of a picture by its number."""
        for one in self.sets:
            if picture < len(one.keys):
                return one.name, one.keys[picture]
            picture -= len(one.keys)
        raise AssertionError(picture)


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """The groups by bytes and looks, the numbers of the rows first, then those of the sets' pictures; see `Catalogue`."""

    unions: Unions
    crowds: Crowds = field(default_factory=Crowds)


def views_of(sets: Sequence[EvaluationSet]) -> Views:
    """The views of all sets, in order of their names."""
    sets = tuple(sorted(sets, key=lambda one: one.name))
    nothing = np.empty((0, LENGTH), dtype=np.uint8)
    plain = np.concatenate([nothing, *(one.descriptors for one in sets)])
    thresholds = np.repeat([one.threshold for one in sets], [len(one.keys) for one in sets]).astype(np.float32)
    descriptors, hashes, places = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    both = (plain, mirrored(plain))
    for pictures, cut in product(both, _CUTS):
        part = (cut, 1 - cut)
        descriptors.append(pictures)
        hashes.append(hashes_of(pictures, part, part))
        edges = (-cut / (1 - 2 * cut), (1 - cut) / (1 - 2 * cut))
        places.append(np.tile(np.array([*edges, *edges], dtype=np.float32), (len(pictures), 1)))
    number = len(descriptors)
    return Views(
        sets=sets,
        descriptors=np.concatenate(descriptors),
        hashes=np.concatenate(hashes),
        places=np.concatenate(places),
        picture=np.tile(np.arange(len(plain)), number),
        threshold=np.tile(thresholds, number),
    )


class Pictures:
    """Rows with a picture and, behind them, views: by their places here, what is asked of them when they are compared."""

    def __init__(self, found: Catalogue, rows: Int64[np.ndarray, " n"], views: Views, chosen: Int64[np.ndarray, " m"]) -> None:
        self._found, self._rows, self._views, self._chosen = found, rows, views, chosen
        self.numbers = np.concatenate([rows, len(found) + views.picture[chosen]])

    def descriptors(self, places: Int64[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 1056"]:
        found = np.empty((len(places), LENGTH), dtype=np.uint8)
        is_row = self.is_row(places)
        found[is_row] = self._found.described(self._rows[places[is_row]])
        found[~is_row] = self._views.descriptors[self._view(places[~is_row])]
        return found

    def is_row(self, places: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        found: np.ndarray = places < len(self._rows)
        return found

    def how_they_lie(self, places: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n 4"]:
        """Where those lie on what they are alike to."""
        found = np.tile(np.array(_WHOLE_ON_WHOLE, dtype=np.float32), (len(places), 1))
        is_view = ~self.is_row(places)
        found[is_view] = self._views.places[self._view(places[is_view])]
        return found

    def thresholds(self, places: Int64[np.ndarray, " n"], otherwise: float) -> Float32[np.ndarray, " n"]:
        found = np.full(len(places), otherwise, dtype=np.float32)
        is_view = ~self.is_row(places)
        found[is_view] = self._views.threshold[self._view(places[is_view])]
        return found

    def _view(self, places: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        found: np.ndarray = self._chosen[places - len(self._rows)]
        return found


def group(found: Catalogue, views: Views, *, threshold: float) -> Grouping:
    """Join what has the same bytes, and pictures that are alike from `threshold` on (a set's: from its own on)."""
    grouping = Grouping(unions=Unions(len(found) + views.num_pictures))
    unions = grouping.unions
    unions.join_equal(found.digest, np.arange(len(found)))
    _join_equal_looks(unions, found, views)
    flat_views = is_flat(views.descriptors)
    for kind in (LIVELY, FLAT):
        rows = found.of_kind(kind)
        rows = rows[unions.roots(rows) == rows]  # one of those with an equal look is enough
        chosen = np.flatnonzero(flat_views == (kind == FLAT))
        pictures = Pictures(found, rows, views, chosen)
        if kind == LIVELY:
            hashes = np.concatenate([found.hash[rows], views.hashes[chosen]])
            _join_alike(unions, pictures, close_hashes(hashes, grouping.crowds), _Lively(len(hashes)), threshold)
        else:
            levels = np.concatenate([found.levels[rows], levels_of(views.descriptors[chosen])])
            _join_alike(unions, pictures, close_levels(levels, grouping.crowds), _flat_are_close, threshold)
    return grouping


def similarity(
    first: UInt8[np.ndarray, "n 1056"],
    second: UInt8[np.ndarray, "n 1056"],
    places: np.ndarray | None = None,
    *,
    enough: float,
) -> Float32[np.ndarray, " n"]:
    """How alike pictures are, of whichever kind, lying about as `places` say; from `enough` on it is not sought further."""
    if places is None:
        places = np.tile(np.array(_WHOLE_ON_WHOLE, dtype=np.float32), (len(first), 1))
    colours = colours_agree(first, second)
    found = similarity_at(first, second, places) * colours
    climbing = np.flatnonzero((found < enough) & (colours >= enough))
    better, _ = align(first[climbing], second[climbing], places[climbing])
    found[climbing] = np.maximum(found[climbing], better * colours[climbing])
    flat = is_flat(first) & is_flat(second)
    whole: np.ndarray = np.where(flat, flat_similarity(first, second), found)
    return whole


def _join_equal_looks(unions: Unions, found: Catalogue, views: Views) -> None:
    digests = [look_digest(one.tobytes()) for one in views.descriptors]
    looks = np.frombuffer(b"".join(digests), dtype=np.uint64).reshape(-1, DIGEST_BYTES // 8)
    rows = found.pictures
    unions.join_equal(np.concatenate([found.look[rows], looks]), np.concatenate([rows, len(found) + views.picture]))


def _join_alike(
    unions: Unions,
    pictures: Pictures,
    pairs: Iterator[tuple[np.ndarray, np.ndarray]],
    are_close: Callable[[Pictures, np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    threshold: float,
) -> None:
    for first, second in pairs:
        for at in range(0, len(first), _AT_ONCE):
            # the one that may be a view lies on the one that is a row
            ours = np.maximum(first[at : at + _AT_ONCE], second[at : at + _AT_ONCE])
            theirs = np.minimum(first[at : at + _AT_ONCE], second[at : at + _AT_ONCE])
            apart = unions.roots(pictures.numbers[ours]) != unions.roots(pictures.numbers[theirs])
            kept = apart & pictures.is_row(theirs)
            ours, theirs = ours[kept], theirs[kept]
            if len(ours):
                close = are_close(pictures, ours, theirs, pictures.thresholds(ours, threshold))
                unions.join(pictures.numbers[ours[close]], pictures.numbers[theirs[close]])


class _Lively:
    """Whether pictures with structure are alike.

    To look as they lie takes 5 microseconds a pair and is enough for most copies. To climb to where they lie exactly takes a
    millisecond, so a picture is climbed with `_CLIMBS` times, or a few more, and only where that may help.
    """

    def __init__(self, count: int) -> None:
        self._climbed = np.zeros(count, dtype=np.int32)

    def __call__(self, pictures: Pictures, ours: np.ndarray, theirs: np.ndarray, least: np.ndarray) -> np.ndarray:
        first, second, places = pictures.descriptors(ours), pictures.descriptors(theirs), pictures.how_they_lie(ours)
        colours = colours_agree(first, second)
        alike = similarity_at(first, second, places)
        close: np.ndarray = alike * colours >= least
        fresh = np.maximum(self._climbed[ours], self._climbed[theirs]) < _CLIMBS
        climbing = np.flatnonzero(~close & fresh & (alike >= _WORTH_CLIMBING) & (colours >= least))
        for climbed in (ours[climbing], theirs[climbing]):
            np.add.at(self._climbed, climbed, 1)
        better, _ = align(first[climbing], second[climbing], places[climbing])
        close[climbing] = better * colours[climbing] >= least[climbing]
        return close


def _flat_are_close(pictures: Pictures, ours: np.ndarray, theirs: np.ndarray, least: np.ndarray) -> np.ndarray:
    found: np.ndarray = flat_similarity(pictures.descriptors(ours), pictures.descriptors(theirs)) >= least
    return found
