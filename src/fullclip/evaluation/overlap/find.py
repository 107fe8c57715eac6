"""Sets and shards -> for each picture of a set the training picture most like it, and all training pictures that are copies.

The shards are shared by all processes; one and several find the same, since a block of training pictures never depends on who
looks at it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fullclip.core.distributed import World, everyones, together
from fullclip.core.logs import track
from fullclip.data.drops import Drops
from fullclip.evaluation.overlap.pictures import Pictures
from fullclip.evaluation.overlap.search import Search
from fullclip.evaluation.overlap.training import Described, describe_shard

_BLOCK = 4096  # training pictures


@dataclass(frozen=True, kw_only=True)
class Match:
    """A picture of a set (its row) and a training picture: the shard, the sample's number in it, its key, how alike."""

    row: int
    shard: str
    sample: int
    key: str
    similarity: float


@dataclass(frozen=True, kw_only=True)
class SetMatches:
    """`nearest` holds the best match of each of the set's pictures that has one; `copies` each training picture at or above the
    set's threshold, with the picture of the set that is most like it. Both are in order of the shards, then of samples.
    """

    nearest: Mapping[int, Match]
    copies: tuple[Match, ...]

    def similarities(self, n: int) -> np.ndarray:
        """The nearest similarity of each of n pictures, float32 [n]; 0 where nothing was worth a close look."""
        found = np.zeros(n, dtype=np.float32)
        for row, match in self.nearest.items():
            found[row] = max(match.similarity, 0.0)
        return found


@dataclass(frozen=True, kw_only=True)
class Overlaps:
    """What was found for each set, by name; how many training pictures were looked at; `drops` counts those that were not."""

    sets: Mapping[str, SetMatches]
    num_pictures: int
    drops: Drops


@dataclass
class _Ours:
    """What a process has found of one set."""

    nearest: dict[int, Match] = field(default_factory=dict)
    copies: dict[tuple[str, int], Match] = field(default_factory=dict)


def find_overlaps(
    sets: Sequence[tuple[Pictures, float]], shards: Sequence[str], *, cache: Path | None, world: World
) -> Overlaps:
    """Look for the pictures of `sets`, each with its threshold, in `shards`. All processes call this together.

    cache: the folder where descriptors of shards are kept, or None. OSError where a shard cannot be read.
    """
    names = [pictures.name for pictures, _ in sets]
    assert len(set(names)) == len(names)
    order = {path: place for place, path in enumerate(shards)}
    searches = [(pictures.name, Search(pictures.descriptors), threshold) for pictures, threshold in sets]

    def work() -> tuple[dict[str, _Ours], int, Drops]:
        found, number, drops = {name: _Ours() for name in names}, 0, Drops()
        own = shards[world.rank :: world.size]
        with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="describe") as pool:
            for path in track(own, "searching", unit="shards") if world.leads else own:
                described = describe_shard(path, cache=cache, pool=pool)
                drops.merge(described.drops)
                number += len(described)
                for name, search, threshold in searches:
                    for match in _matches(search, described, path):
                        _add_nearest(found[name], match, order)
                        if match.similarity >= threshold:
                            _add_copy(found[name], match, order)
        return found, number, drops

    merged, number, drops = {name: _Ours() for name in names}, 0, Drops()
    for theirs, num_theirs, their_drops in everyones(together(work, world), world):
        number += num_theirs
        drops.merge(their_drops)
        for name, ours in theirs.items():
            for match in ours.nearest.values():
                _add_nearest(merged[name], match, order)
            merged[name].copies.update(ours.copies)
    return Overlaps(sets={name: _sorted(ours, order) for name, ours in merged.items()}, num_pictures=number, drops=drops)


def _matches(search: Search, described: Described, path: str) -> Iterator[Match]:
    for start in range(0, len(described), _BLOCK):
        alike = search.look(described.descriptors[start : start + _BLOCK])
        for row, column, similarity in zip(
            alike.rows.tolist(), (alike.columns + start).tolist(), alike.similarities.tolist(), strict=True
        ):
            yield Match(
                row=row,
                shard=path,
                sample=int(described.samples[column]),
                key=described.keys[column],
                similarity=similarity,
            )


def _rank(match: Match, order: Mapping[str, int]) -> tuple[float, int, int, int]:
    """Sorts the best match first; of equals the one that comes first in the shards, then in the set."""
    return -match.similarity, order[match.shard], match.sample, match.row


def _add_nearest(ours: _Ours, match: Match, order: Mapping[str, int]) -> None:
    before = ours.nearest.get(match.row)
    if before is None or _rank(match, order) < _rank(before, order):
        ours.nearest[match.row] = match


def _add_copy(ours: _Ours, match: Match, order: Mapping[str, int]) -> None:
    place = (match.shard, match.sample)
    before = ours.copies.get(place)
    if before is None or _rank(match, order) < _rank(before, order):
        ours.copies[place] = match


def _sorted(ours: _Ours, order: Mapping[str, int]) -> SetMatches:
    copies = sorted(ours.copies.values(), key=lambda match: (order[match.shard], match.sample))
    return SetMatches(nearest=dict(sorted(ours.nearest.items())), copies=tuple(copies))
