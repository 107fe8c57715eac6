"""Features on disk, in chunks of a fixed number of places: a chunk that is there is whole, so that an interrupted pass goes on.

A folder belongs to one backbone and one split: its name is made of their fingerprint and digest.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fullclip.core.kept import read_kept, write_kept

CHUNK = 256  # places; the batches within one are the same whoever computes it, so that features are equal to the bit
_VERSION = 4


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The features of the examples at consecutive places, what is known of each, and those left out, by key and reason."""

    features: Float[np.ndarray, "n dim"]
    examples: list[dict[str, Any]]
    skipped: list[tuple[str, str]]


class FeatureCache:
    """The chunks of one split under one backbone, in a folder of their own below `root`; nowhere where `root` is None."""

    def __init__(self, root: Path | None, *, fingerprint: str, digest: str) -> None:
        mark = hashlib.sha256(f"{_VERSION} {CHUNK} {fingerprint} {digest}".encode()).hexdigest()
        self._folder = None if root is None else root / mark[:2] / mark[2:34]

    def numbers(self) -> set[int]:
        """Which chunks are there."""
        if self._folder is None:
            return set()
        return {int(path.stem) for path in self._folder.glob("*.npz") if path.stem.isdigit()}

    def write(self, number: int, chunk: Chunk) -> None:
        if self._folder is None:
            return
        told = {"examples": chunk.examples, "skipped": chunk.skipped}
        write_kept(self._folder / f"{number:06d}.npz", told, features=chunk.features)

    def read(self, number: int) -> Chunk | None:
        """A chunk that is there, or None where its file is damaged."""
        assert self._folder is not None
        kept = read_kept(self._folder / f"{number:06d}.npz")
        if kept is None:
            return None
        told, arrays = kept
        skipped = [(key, reason) for key, reason in told["skipped"]]
        return Chunk(features=arrays["features"], examples=told["examples"], skipped=skipped)
