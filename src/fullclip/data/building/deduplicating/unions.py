"""Things that are joined two by two -> the groups that come of it (connected components), whatever the order of joining."""

import numpy as np
from jaxtyping import Int64, UInt64


class Unions:
    """Groups of the numbers below `count`; each begins as one of its own. A group is known by its smallest number."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count, dtype=np.int64)

    def roots(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The smallest number of the group of each."""
        found: np.ndarray = self._parent[numbers]
        while True:
            above = self._parent[found]
            top = self._parent[above]
            if np.array_equal(top, found):
                break
            self._parent[found] = top  # each way up is halved, so that a long chain is gone after a few steps
            found = top
        self._parent[numbers] = found
        return found

    def join(self, first: Int64[np.ndarray, " n"], second: Int64[np.ndarray, " n"]) -> None:
        """Make one group of the groups of first[i] and second[i], for each i."""
        while len(first):
            ours, theirs = self.roots(first), self.roots(second)
            apart = ours != theirs
            first, second, ours, theirs = first[apart], second[apart], ours[apart], theirs[apart]
            np.minimum.at(self._parent, np.maximum(ours, theirs), np.minimum(ours, theirs))

    def join_equal(self, values: UInt64[np.ndarray, "n parts"], numbers: Int64[np.ndarray, " n"]) -> None:
        """Make one group of all `numbers` whose values are equal."""
        order = np.lexsort(values.T)
        ordered, numbers = values[order], numbers[order]
        same = np.flatnonzero((ordered[1:] == ordered[:-1]).all(axis=1))
        self.join(numbers[same], numbers[same + 1])

    def all_roots(self) -> Int64[np.ndarray, " count"]:
        return self.roots(np.arange(len(self._parent), dtype=np.int64))
