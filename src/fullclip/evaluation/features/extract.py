"""A split through a backbone: features with what is known of each example, the same numbers from one process and from many."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fullclip.core.distributed import World, everyones, together
from fullclip.core.logs import progress
from fullclip.data.drops import Drops
from fullclip.evaluation.features.backbone import Backbone
from fullclip.evaluation.features.cache import CHUNK, Chunk, FeatureCache
from fullclip.evaluation.tasks.task import Example, Skipped, Split

_TOLD_AT_ONCE = 64  # chunks of one process: 50 MB of features of 768 numbers


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """The examples of a split that could be read: features float32 [n, dim], keys, labels, captions, meta. What could not is
    counted in `drops`.

    They come in the order of a check sum of their pictures, which is at random and the same in every layout that a set lies in:
    so are halves, shots and bootstrap samples that are drawn by places.
    """

    features: Float[np.ndarray, "n dim"]
    keys: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    meta: tuple[Mapping[str, Any], ...]
    drops: Drops

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def classes(self) -> np.ndarray:
        """The one label of each example, int64 [n]: of a classification."""
        return np.array([label for (label,) in self.labels], dtype=np.int64)

    def targets(self, num_classes: int) -> np.ndarray:
        """1 where an example shows a class, -1 where it was not judged, else 0: int8 [n, classes], of a multi-label set."""
        targets = np.zeros((len(self), num_classes), dtype=np.int8)
        for row, labels in enumerate(self.labels):
            targets[row, list(labels)] = 1
            targets[row, list(self.meta[row].get("not_judged", ()))] = -1
        return targets

    def at(self, places: Sequence[int] | np.ndarray) -> "Extracted":
        """The examples at these places."""
        chosen = [int(place) for place in places]
        return replace(
            self,
            features=self.features[chosen],
            keys=tuple(self.keys[i] for i in chosen),
            labels=tuple(self.labels[i] for i in chosen),
            texts=tuple(self.texts[i] for i in chosen),
            meta=tuple(self.meta[i] for i in chosen),
        )


def extract(split: Split, backbone: Backbone, *, cache: Path | None, world: World, title: str) -> Extracted:
    """The features of a split. Every process reads the chunks that it finds kept; those that not all of them find are told by
    one that does, or computed by one, and kept. So processes that share a disk tell each other what is new, and no more.

    cache: the folder where chunks are kept, or None. title: what the progress bar says. ValueError where no image of the
    split can be read, or as `Split.read` raises.
    """
    ranges = [range(start, min(start + CHUNK, len(split))) for start in range(0, len(split), CHUNK)]
    kept, found = together(lambda: _kept(split, backbone, cache, len(ranges)), world)
    owners = _owners(everyones(sorted(found), world), len(ranges), world)
    own = [number for number, owner in owners.items() if owner == world.rank]

    def work() -> dict[int, Chunk]:
        chunks = {number: found[number] for number in own if number in found}
        for number in _shown([number for number in own if number not in found], title, speaks=world.leads):
            chunks[number] = _computed(split, ranges[number], backbone)
            kept.write(number, chunks[number])
        return chunks

    mine = together(work, world)
    for numbers in _portions(owners, world):
        for chunks in everyones({number: mine[number] for number in numbers if number in mine}, world):
            found |= chunks
    return _joined([found[number] for number in range(len(ranges))], title)


def _kept(split: Split, backbone: Backbone, root: Path | None, num_chunks: int) -> tuple[FeatureCache, dict[int, Chunk]]:
    """The cache, and the chunks in it that are whole. Without a cache nothing is asked that takes time to find."""
    if root is None:
        return FeatureCache(None, fingerprint="", digest=""), {}
    cache = FeatureCache(root, fingerprint=backbone.fingerprint, digest=split.digest())
    read = {number: cache.read(number) for number in sorted(cache.numbers()) if number < num_chunks}
    return cache, {number: chunk for number, chunk in read.items() if chunk is not None}


def _owners(kept: Sequence[Sequence[int]], num_chunks: int, world: World) -> dict[int, int]:
    """Who tells the others each chunk that not all have: the first that has kept it, else one after another."""
    own = [set(numbers) for numbers in kept]
    owners, missing = dict[int, int](), list[int]()
    for number in range(num_chunks):
        holders = [rank for rank in range(world.size) if number in own[rank]]
        if not holders:
            missing.append(number)
        elif len(holders) < world.size:
            owners[number] = holders[0]
    return owners | {number: place % world.size for place, number in enumerate(missing)}


def _portions(owners: Mapping[int, int], world: World) -> Iterator[list[int]]:
    """The chunks that are told at once, from each process as many: what is sent stays small beside what is kept."""
    by_rank = [[number for number, owner in owners.items() if owner == rank] for rank in range(world.size)]
    for start in range(0, max(map(len, by_rank)), _TOLD_AT_ONCE):
        yield [number for numbers in by_rank for number in numbers[start : start + _TOLD_AT_ONCE]]


def _shown(numbers: Sequence[int], title: str, *, speaks: bool) -> Iterator[int]:
    if not speaks:
        yield from numbers
        return
    with progress(f"x {CHUNK} images") as bar:
        yield from bar.track(numbers, description=title)


def _computed(split: Split, places: range, backbone: Backbone) -> Chunk:
    found = list(split.read(places))
    examples = [example for example in found if isinstance(example, Example)]
    features, kept, errors = backbone.features([example.image for example in examples])
    skipped = [(skip.key, skip.reason) for skip in found if isinstance(skip, Skipped)]
    unread = sorted(set(range(len(examples))) - set(kept))
    skipped += [(f"{examples[i].key} ({error})", "unreadable image") for i, error in zip(unread, errors, strict=True)]
    return Chunk(features=features, examples=[_told(examples[i]) for i in kept], skipped=skipped)


def _told(example: Example) -> dict[str, Any]:
    """What is kept of an example beside its features, as JSON holds it."""
    return {
        "key": example.key,
        "content": _content(example.image),
        "labels": list(example.labels),
        "texts": list(example.texts),
        "meta": dict(example.meta),
    }


def _content(image: bytes | np.ndarray) -> str:
    """A check sum of a picture: of its file, or of its pixels and their shape."""
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()[:32]
    return hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()[:32]


def _joined(chunks: Sequence[Chunk], title: str) -> Extracted:
    drops = Drops()
    for chunk in chunks:
        for key, reason in chunk.skipped:
            drops.drop(reason, key)
    parts = [chunk.features for chunk in chunks if len(chunk.examples)]
    if not parts:
        raise ValueError(f"{title}: no image can be read: {drops.summary()}")
    every = [example for chunk in chunks for example in chunk.examples]
    order = sorted(range(len(every)), key=lambda place: [every[place][name] for name in ("content", "labels", "texts")])
    told = [every[place] for place in order]
    ranks = np.argsort(order)
    features = np.empty((len(every), parts[0].shape[1]), dtype=parts[0].dtype)  # filled part by part: a set may be large
    at = 0
    for part in parts:
        features[ranks[at : at + len(part)]] = part
        at += len(part)
    return Extracted(
        features=features,
        keys=tuple(example["key"] for example in told),
        labels=tuple(tuple(example["labels"]) for example in told),
        texts=tuple(tuple(example["texts"]) for example in told),
        meta=tuple(example["meta"] for example in told),
        drops=drops,
    )
