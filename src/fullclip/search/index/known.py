"""What an index holds already, by key: 16 bytes a row."""

import hashlib
from collections.abc import Iterable
from typing import Literal

import numpy as np

State = Literal["new", "same", "changed", "seen"]


class Known:
    """Made of the (key, mark) of all rows; told of those to come."""

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        shorts = (short for key, mark in rows for short in (_short(key), _short(mark)))
        found = np.fromiter(shorts, dtype=np.uint64).reshape(-1, 2)
        found = found[np.argsort(found[:, 0], kind="stable")]
        self._keys, self._marks = found[:, 0].copy(), found[:, 1].copy()
        self._seen = set[int]()

    def meet(self, key: str, mark: str) -> State:
        """What a picture is; "seen" for a key that another picture of this run had."""
        short = _short(key)
        if short in self._seen:
            return "seen"
        self._seen.add(short)
        place = int(np.searchsorted(self._keys, np.uint64(short)))
        if place == len(self._keys) or int(self._keys[place]) != short:
            return "new"
        return "same" if int(self._marks[place]) == _short(mark) else "changed"


def _short(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
