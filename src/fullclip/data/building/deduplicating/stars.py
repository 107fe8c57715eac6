"""Groups of what is joined by pairs -> stars: each row that goes is itself like the one that stays for it.

A chain of pairs may end far from where it began: icons in the same frame, flags with the same canton. So within a group the
preferred row stays, those that are like it go; of the rest again the preferred one stays, and so on.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Int64

from fullclip.data.building.deduplicating.catalogue import Catalogue
from fullclip.data.building.deduplicating.grouping import Views, similarity

MOST_STARS = 64  # of a group; what is like none of them stays

Alike = Callable[[int, Int64[np.ndarray, " n"]], Bool[np.ndarray, " n"]]


def groups_of(roots: Int64[np.ndarray, " n"], at_least: int) -> Iterator[Int64[np.ndarray, " members"]]:
    """The members of each group that has so many, rising."""
    order = np.argsort(roots, kind="stable")
    ends = np.flatnonzero(np.diff(roots[order], append=-1)) + 1
    sizes = np.diff(ends, prepend=0)
    for end, size in zip(ends[sizes >= at_least].tolist(), sizes[sizes >= at_least].tolist(), strict=True):
        yield order[end - size : end]


def stars(members: Int64[np.ndarray, " n"], alike: Alike) -> Int64[np.ndarray, " n"]:
    """For each member of a group, the preferred first, the one that stays for it."""
    found = members.copy()
    left = np.arange(len(members))
    for _ in range(MOST_STARS):
        if len(left) < 2:
            break
        like = alike(int(members[left[0]]), members[left[1:]])
        found[left[1:][like]] = members[left[0]]
        left = left[1:][~like]
    return found


def settle(
    found: Catalogue, views: Views, roots: Int64[np.ndarray, " members"], *, threshold: float
) -> tuple[Int64[np.ndarray, " rows"], dict[int, list[int]]]:
    """For each row the one that stays for it, and the sets' pictures by the rows that are themselves like them.

    What is like such a row goes with it. roots: the groups by bytes and looks, of rows and the sets' pictures behind them.
    """
    leaders, wanted = roots[: len(found)].copy(), dict[int, list[int]]()
    pictures: dict[int, list[int]] = {}
    for number, root in enumerate(roots[len(found) :].tolist()):
        if root < len(found):
            pictures.setdefault(root, []).append(number)

    def alike(first: int, others: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        equal: np.ndarray = (found.digest[others] == found.digest[first]).all(axis=1)
        left = np.flatnonzero(~equal & (found.at[others] >= 0))
        if found.at[first] >= 0 and len(left):
            ours = np.repeat(found.described(np.array([first])), len(left), axis=0)
            equal[left] = similarity(ours, found.described(others[left]), enough=threshold) >= threshold
        return equal

    for members in groups_of(roots[: len(found)], at_least=1 if pictures else 3):
        known = pictures.get(int(members[0]))
        if known is not None:
            near = _like_a_set(found, views, members, known)
            wanted.update({int(row): known for row in members[near]})
            members = np.concatenate([members[near], members[~near]])
        elif len(members) < 3:
            continue  # two are joined by nothing but each other
        leaders[members] = stars(members, alike)
    return leaders, wanted


def _like_a_set(found: Catalogue, views: Views, rows: Int64[np.ndarray, " n"], pictures: list[int]) -> Bool[np.ndarray, " n"]:
    """Which rows are themselves like one of a set's pictures; at least the one that is most so."""
    chosen = np.flatnonzero(np.isin(views.picture, pictures))
    beyond = np.full(len(rows), -np.inf)
    for place, row in enumerate(rows.tolist()):
        if found.at[row] < 0:
            continue
        ours = np.repeat(found.described(np.array([row])), len(chosen), axis=0)
        enough = float(views.threshold[chosen].max())
        alike = similarity(views.descriptors[chosen], ours, views.places[chosen], enough=enough)
        beyond[place] = float((alike - views.threshold[chosen]).max())
    near: np.ndarray = beyond >= 0
    near[int(beyond.argmax())] = True
    return near
