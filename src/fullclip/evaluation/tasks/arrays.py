"""Splits whose pictures are arrays in memory: the small sets whose original files are few and not images."""

import hashlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int, UInt8

from fullclip.evaluation.tasks.task import Example, Skipped, Split


class ArraySplit(Split):
    """uint8 pixels [n, height, width, 3], or [n, height, width] of grey, and the label of each."""

    def __init__(self, pixels: UInt8[np.ndarray, "n height width *channels"], labels: Int[np.ndarray, " labels"]) -> None:
        if len(pixels) != len(labels):
            raise ValueError(f"{len(pixels)} pictures, but {len(labels)} labels: a file of another set?")
        grey = pixels.ndim == 3
        self._pixels = np.repeat(pixels[..., None], 3, axis=-1) if grey else pixels
        self._labels = [int(label) for label in labels]
        self._digest = ""

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, places: range) -> Iterator[Example | Skipped]:
        for place in places:
            yield Example(key=f"{place:06d}", image=self._pixels[place], labels=(self._labels[place],))

    def check(self, num_classes: int, where: str) -> None:
        """ValueError for a label that is none of so many classes."""
        wrong = next((label for label in self._labels if not 0 <= label < num_classes), None)
        if wrong is not None:
            raise ValueError(f"{where} has the label {wrong}, but there are {num_classes} classes, from 0")

    def digest(self) -> str:
        if not self._digest:
            digest = hashlib.sha256(str(self._pixels.shape).encode())
            digest.update(np.ascontiguousarray(self._pixels).data)
            digest.update(np.array(self._labels, dtype=np.int64).tobytes())
            self._digest = digest.hexdigest()
        return self._digest
