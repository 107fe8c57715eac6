"""A split through a backbone: features with what is known of each example, the same numbers from one process and from many."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """The examples of a split that could be read, in its order: features float32 [n, dim], keys, labels, captions, meta. What
    could not is counted in `drops`.
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
    """The features of a split. Every process computes the chunks that no process has kept, and all learn all of them.

    cache: the folder where chunks are kept, or None. title: what the progress bar says. ValueError where no image of the
    split can be read, or as `Split.read` raises.
    """
    kept = FeatureCache(cache, fingerprint=backbone.fingerprint, digest=split.digest() if cache else "")
    ranges = [range(start, min(start + CHUNK, len(split))) for start in range(0, len(split), CHUNK)]
    owners = _owners(everyones(sorted(kept.numbers()), world), len(ranges), world)
    own = [number for number, owner in enumerate(owners) if owner == world.rank]
    here = kept.numbers()

    def work() -> dict[int, Chunk]:
        chunks = {}
        for number in _shown(own, title, speaks=world.leads):
            chunk = kept.read(number) if number in here else None
            if chunk is None:
                chunk = _computed(split, ranges[number], backbone)
                kept.write(number, chunk)
            chunks[number] = chunk
        return chunks

    found: dict[int, Chunk] = {}
    for chunks in everyones(together(work, world), world):
        found |= chunks
    return _joined([found[number] for number in range(len(ranges))], title)


def _owners(kept: Sequence[Sequence[int]], num_chunks: int, world: World) -> list[int]:
    """Who brings each chunk: the first that has kept it, else one after another."""
    owners = [-1] * num_chunks
    for rank in reversed(range(world.size)):
        for number in kept[rank]:
            if number < num_chunks:
                owners[number] = rank
    missing = [number for number, owner in enumerate(owners) if owner < 0]
    for place, number in enumerate(missing):
        owners[number] = place % world.size
    return owners


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
        "labels": list(example.labels),
        "texts": list(example.texts),
        "meta": dict(example.meta),
    }


def _joined(chunks: Sequence[Chunk], title: str) -> Extracted:
    drops = Drops()
    for chunk in chunks:
        for key, reason in chunk.skipped:
            drops.drop(reason, key)
    parts = [chunk.features for chunk in chunks if len(chunk.examples)]
    if not parts:
        raise ValueError(f"{title}: no image can be read: {drops.summary()}")
    told = [example for chunk in chunks for example in chunk.examples]
    of: Callable[[str], Iterator[Any]] = lambda name: (example[name] for example in told)  # noqa: E731
    return Extracted(
        features=np.concatenate(parts),
        keys=tuple(of("key")),
        labels=tuple(tuple(labels) for labels in of("labels")),
        texts=tuple(tuple(texts) for texts in of("texts")),
        meta=tuple(of("meta")),
        drops=drops,
    )
