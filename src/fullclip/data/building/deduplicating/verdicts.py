"""Groups -> what becomes of each row: a table of what is left out of each partition, and groups.jsonl for people.

DIR/removed/000000.parquet  row (its place in the partition), reason
DIR/groups.jsonl            each group: the kept key, the set and its pictures, what was left out and why
DIR/grouped.json            counts; written last, so that what has it is finished
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from fullclip.core.extras import require
from fullclip.core.folders import whole_file
from fullclip.data.building.deduplicating.catalogue import Catalogue
from fullclip.data.building.deduplicating.grouping import Views, similarity
from fullclip.data.building.deduplicating.looks import UNREADABLE
from fullclip.data.building.rows import write_table

GROUPS, GROUPED, REMOVED = "groups.jsonl", "grouped.json", "removed"
EXACT, NEAR, EMBEDDED, UNREADABLE_PICTURE = "exact copy", "near copy (picture)", "near copy (embedding)", "unreadable picture"
_BLOCK = 4096
_SURE = 0.95  # how alike a row and a set's picture are is told up to here; it is sought no further
_MOST_NAMED = 16  # pictures of a set that a group names


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What is left out: rows of the catalogue, rising; the root of each one's group, its reason, how like it is to what stays
    or to the set's picture (-1 to 1).

    pictures: the numbers of the sets' pictures in each group that has some, by its root.
    """

    rows: Int64[np.ndarray, " n"]
    roots: Int64[np.ndarray, " n"]
    reasons: tuple[str, ...]
    similarities: Float32[np.ndarray, " n"]
    pictures: dict[int, list[int]]


def judge(
    found: Catalogue,
    views: Views,
    *,
    looks: Int64[np.ndarray, " rows"],
    roots: Int64[np.ndarray, " rows"],
    pictures: dict[int, list[int]],
    threshold: float,
) -> Verdicts:
    """What becomes of the rows. looks: which row stays for each by bytes and looks; roots: by embeddings, too; pictures: of
    sets, by the rows that are like them, for which none stays.
    """
    own = np.arange(len(found))
    is_wanted = np.isin(roots, np.fromiter(pictures, dtype=np.int64, count=len(pictures)))
    unreadable = found.kind == UNREADABLE
    rows = np.flatnonzero((roots != own) | is_wanted | unreadable)
    kept = roots[rows]
    same_bytes = (found.digest[rows] == found.digest[kept]).all(axis=1)
    same_look = looks[rows] == looks[kept]
    reasons, similarities = list[str](), np.ones(len(rows), dtype=np.float32)
    for place, row in enumerate(rows.tolist()):
        if unreadable[row]:
            reasons.append(UNREADABLE_PICTURE)
        elif is_wanted[row]:
            reasons.append(f"in {views.name_of(pictures[int(kept[place])][0])[0]}")
        else:
            reasons.append(EXACT if same_bytes[place] else NEAR if same_look[place] else EMBEDDED)
    compared = np.flatnonzero(~same_bytes & ~is_wanted[rows])
    for at in range(0, len(compared), _BLOCK):
        part = compared[at : at + _BLOCK]
        similarities[part] = similarity(found.described(rows[part]), found.described(kept[part]), enough=threshold)
    for place in np.flatnonzero(is_wanted[rows] & ~unreadable[rows]).tolist():
        similarities[place] = _to_a_set(found, views, int(rows[place]), pictures[int(kept[place])])
    return Verdicts(rows=rows, roots=kept, reasons=tuple(reasons), similarities=similarities, pictures=pictures)


def _to_a_set(found: Catalogue, views: Views, row: int, pictures: Sequence[int]) -> float:
    """How like a row is to the nearest of these pictures."""
    chosen = np.flatnonzero(np.isin(views.picture, pictures[:_MOST_NAMED]))
    ours = np.tile(found.described(np.array([row])), (len(chosen), 1))
    return float(similarity(views.descriptors[chosen], ours, views.places[chosen], enough=_SURE).max())


def write_verdicts(out: str, found: Catalogue, views: Views, verdicts: Verdicts, *, num_parts: int, crowded: int) -> None:
    """What the head of this file lists."""
    _write_groups(out, found, views, verdicts)
    parts = found.part[verdicts.rows]
    order = np.lexsort((found.row[verdicts.rows], parts))
    ends = np.searchsorted(parts[order], np.arange(num_parts + 1))
    for number in range(num_parts):
        _write_removed(f"{out}/{REMOVED}/{number:06d}.parquet", found, verdicts, order[ends[number] : ends[number + 1]])
    copies = [
        root for root, reason in zip(verdicts.roots.tolist(), verdicts.reasons, strict=True) if reason != UNREADABLE_PICTURE
    ]
    counts = {"groups": len(set(copies)), "largest_group": max(Counter(copies).values(), default=0) + 1, "crowded": crowded}
    with whole_file(f"{out}/{GROUPED}", "w") as file:
        json.dump(counts if copies else {**counts, "largest_group": 0}, file)


def _write_removed(path: str, found: Catalogue, verdicts: Verdicts, places: Int64[np.ndarray, " n"]) -> None:
    arrow = require("pyarrow", extra="data")
    table = arrow.table(
        {
            "row": arrow.array(found.row[verdicts.rows[places]], arrow.int32()),
            "reason": arrow.array([verdicts.reasons[place] for place in places.tolist()], arrow.string()),
        }
    )
    with whole_file(path) as file:
        write_table(table, file)


def _write_groups(out: str, found: Catalogue, views: Views, verdicts: Verdicts) -> None:
    with whole_file(f"{out}/{GROUPS}", "w") as file:
        for group in _groups(found, views, verdicts):
            file.write(json.dumps(group, ensure_ascii=False) + "\n")


def _groups(found: Catalogue, views: Views, verdicts: Verdicts) -> Iterator[dict[str, Any]]:
    """Each group of copies, in the order of the catalogue."""
    order = np.lexsort((verdicts.rows, verdicts.roots))
    ends = np.flatnonzero(np.diff(verdicts.roots[order], append=-1)) + 1
    for members in np.split(order, ends[:-1]) if len(order) else ():
        told = [
            {
                "key": found.keys[int(verdicts.rows[place])].as_py(),
                "reason": verdicts.reasons[place],
                "similarity": round(float(verdicts.similarities[place]), 3),
            }
            for place in members.tolist()
            if verdicts.reasons[place] != UNREADABLE_PICTURE
        ]
        if not told:
            continue
        root = int(verdicts.roots[members[0]])
        if root in verdicts.pictures:
            named = [views.name_of(picture) for picture in verdicts.pictures[root][:_MOST_NAMED]]
            yield {"kept": None, "in": [{"set": name, "picture": key} for name, key in named], "removed": told}
        else:
            yield {"kept": found.keys[root].as_py(), "removed": told}
