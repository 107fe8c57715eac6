"""Pictures that a model finds nearly the same, although their pixels differ: embeddings of what is left, and pairs of them.

Up to 20,000 pictures are all compared with each other. Of more, those are compared that agree in all signs of a band: 24 or
less (so many that about one picture has each) of the dot products with random directions, after the mean picture is taken
off; there are 32 bands. A pair with centred cosine c agrees in a sign with probability p = 1 - arccos(c) / pi, and is found
with 1 - (1 - p**24)**32: for c = 0.99 in all but one of 2,000 cases, for 0.98 in 99.9%, for 0.96 in 97%.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from fullclip.core.folders import appeared, whole_file
from fullclip.core.logs import track
from fullclip.core.storage import open_file
from fullclip.data.building.deduplicating.candidates import Crowds, equal_keys
from fullclip.data.building.deduplicating.catalogue import Catalogue
from fullclip.data.building.deduplicating.stars import groups_of, stars
from fullclip.data.building.deduplicating.unions import Unions
from fullclip.data.building.rows import Work
from fullclip.data.drops import Drops
from fullclip.data.tables import read_rows

EMBEDDINGS = "embeddings"
_AT_ONCE = 64  # pictures that the model is given
_ALL_PAIRS = 20_000
_BANDS, _MOST_BITS = 32, 24
_BLOCK = 2048
_SEED = 0
_UNIT = 1 << 15  # embeddings are summed as whole numbers, so that the order of summing is nothing


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A model's name, from which cosine on its pictures are the same, and encoded pictures -> vectors of length 1."""

    name: str
    threshold: float
    function: Callable[[Sequence[bytes]], Float32[np.ndarray, "n dim"]]


def joined_by_embedding(
    leaders: Int64[np.ndarray, " rows"], found: Catalogue, works: Sequence[Work], *, embedding: Embedding, out: str
) -> Int64[np.ndarray, " rows"]:
    """Which row stays for each, once those whose embeddings are near are the same, too. leaders: which stays by bytes and
    looks; only these are embedded, in this process.

    What is embedded of a partition is kept in `out`, so that a run that was stopped goes on.
    """
    rows = found.pictures
    rows = rows[leaders[rows] == rows]
    if len(rows) < 2:
        return leaders
    vectors = _embedded(found, rows, works, embedding, f"{out}/{EMBEDDINGS}")
    unions = Unions(len(rows))
    for first, second in _near(vectors, embedding.threshold):
        unions.join(first, second)
    own = np.arange(len(rows))

    def alike(first: int, others: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        near: np.ndarray = vectors[others].astype(np.float32) @ vectors[first].astype(np.float32) >= embedding.threshold
        return near

    for members in groups_of(unions.all_roots(), at_least=2):
        own[members] = stars(members, alike)
    joined = np.arange(len(found))
    joined[rows] = rows[own]
    stays: np.ndarray = joined[leaders]
    return stays


def _embedded(
    found: Catalogue, rows: Int64[np.ndarray, " n"], works: Sequence[Work], embedding: Embedding, folder: str
) -> np.ndarray:
    """The embeddings of the rows in their order, float16 [n, dim]."""
    vectors: np.ndarray | None = None
    order = np.lexsort((found.row[rows], found.part[rows]))
    ends = np.searchsorted(found.part[rows][order], np.arange(len(works) + 1))
    for work in track(works, "embedding", unit="parts"):
        chosen = order[ends[work.number] : ends[work.number + 1]]
        if not len(chosen):
            continue
        path = f"{folder}/{work.number:06d}.npy"
        if not appeared(path):
            part = _embed_part(work, found.row[rows[chosen]], embedding)
            with whole_file(path) as file:
                np.save(file, part, allow_pickle=False)
        with open_file(path) as file:
            part = np.load(file, allow_pickle=False)
        if part.shape[0] != len(chosen):
            raise ValueError(f"{path} is damaged; remove it, and the same command makes it again")
        if vectors is None:
            vectors = np.empty((len(rows), part.shape[1]), dtype=np.float16)
        vectors[chosen] = part
    assert vectors is not None
    return vectors


def _embed_part(work: Work, wanted: np.ndarray, embedding: Embedding) -> np.ndarray:
    """The embeddings of the rows `wanted` (rising) of a partition, some pictures at a time."""
    parts, waiting = list[np.ndarray](), list[bytes]()
    for image in _images(work, set(wanted.tolist())):
        waiting.append(image)
        if len(waiting) == _AT_ONCE:
            parts.append(embedding.function(waiting).astype(np.float16))
            waiting = []
    if waiting:
        parts.append(embedding.function(waiting).astype(np.float16))
    return np.concatenate(parts)


def _images(work: Work, wanted: set[int]) -> Iterator[bytes]:
    for number, row in read_rows(work.path, Drops(), columns=["image"]):
        if number in wanted:
            yield row["image"]


def _near(vectors: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if len(vectors) <= _ALL_PAIRS:
        yield from _all_near(vectors, threshold)
        return
    for first, second in _in_one_band(vectors):
        for at in range(0, len(first), _BLOCK):
            ours, theirs = first[at : at + _BLOCK], second[at : at + _BLOCK]
            cosines = (vectors[ours].astype(np.float32) * vectors[theirs].astype(np.float32)).sum(axis=1)
            close = cosines >= threshold
            yield ours[close], theirs[close]


def _all_near(vectors: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    wide = vectors.astype(np.float32)
    for at in range(0, len(wide), _BLOCK):
        first, second = np.nonzero(wide[at : at + _BLOCK] @ wide[at:].T >= threshold)
        rising = first < second
        yield at + first[rising], at + second[rising]


def _in_one_band(vectors: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    num_bits = min(_MOST_BITS, math.ceil(math.log2(len(vectors))))
    total = sum(
        np.rint(vectors[at : at + _BLOCK].astype(np.float64) * _UNIT).astype(np.int64).sum(axis=0)
        for at in range(0, len(vectors), _BLOCK)
    )
    mean = (np.asarray(total) / (_UNIT * len(vectors))).astype(np.float32)
    for band in range(_BANDS):
        directions = np.random.default_rng([_SEED, band]).normal(size=(vectors.shape[1], num_bits)).astype(np.float32)
        weights = 1 << np.arange(num_bits, dtype=np.uint32)
        keys = np.empty(len(vectors), dtype=np.uint32)
        for at in range(0, len(vectors), _BLOCK):
            above = (vectors[at : at + _BLOCK].astype(np.float32) - mean) @ directions > 0
            keys[at : at + _BLOCK] = above @ weights
        yield from equal_keys(keys, Crowds())
