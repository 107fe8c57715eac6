"""What an index holds already, by key: 24 bytes a row."""

import hashlib
from collections.abc import Iterable
from typing import Literal

import numpy as np

State = Literal["new", "same", "changed", "another's"]
_NOWHERE = 0


class Known:
    """Made of the (key, mark, root) of all rows; told of those to come. root: what stands for the folder, where it is known."""

    def __init__(self, rows: Iterable[tuple[str, str, str | None]]) -> None:
        shorts = (short for key, mark, root in rows for short in (_short(key), _short(mark), _short_root(root)))
        found = np.fromiter(shorts, dtype=np.uint64).reshape(-1, 3)
        found = found[np.argsort(found[:, 0], kind="stable")]
        self._keys, self._marks, self._roots = (column.copy() for column in found.T)
        self._seen = set[int]()

    def meet(self, key: str, mark: str, root: str | None) -> State:
        """What a picture is; "another's" for a key that another picture of this run had, or one of another folder has."""
        short = _short(key)
        if short in self._seen:
            return "another's"
        self._seen.add(short)
        place = int(np.searchsorted(self._keys, np.uint64(short)))
        if place == len(self._keys) or int(self._keys[place]) != short:
            return "new"
        if int(self._marks[place]) == _short(mark):
            return "same"
        before, now = int(self._roots[place]), _short_root(root)
        return "changed" if _NOWHERE in (before, now) or before == now else "another's"


def _short_root(root: str | None) -> int:
    return _NOWHERE if root is None else _short(root)


def _short(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
