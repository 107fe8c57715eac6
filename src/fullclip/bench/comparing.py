"""Our side and others', timed in turn -> a row for each of the others; those that are absent, and those that compute something
else, are said and not compared with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fullclip.bench.peers import AGREES, Absent
from fullclip.bench.rows import Bar, Row
from fullclip.bench.timing import Side, each_took, rates
from fullclip.core.processor import free_as_usual


@dataclass(frozen=True, kw_only=True)
class Rival:
    """Another's side of the same work, how near its embeddings come to ours, where it makes some, and what we ask of ourselves
    beside it.
    """

    name: str
    side: Side
    cosine: float | None = None
    bar: Bar | None = None


def lowest_cosine(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Of the rows of two arrays of embeddings of length 1."""
    return float((ours * theirs).sum(axis=1).min())


def compared(
    like: Row, ours: Side, rivals: Sequence[Rival], absent: Sequence[Absent] = (), *, rounds: int, seconds: float = 0.0
) -> Iterator[Row]:
    """`like` with what the sides took: a row for each rival, and for each that is absent; ours alone where there is nobody."""
    same = [rival for rival in rivals if rival.cosine is None or rival.cosine >= AGREES]
    sides = [replace(rival.side, prepare=free_as_usual) for rival in same]
    values, *others = rates([ours, *sides], rounds=rounds, seconds=seconds)
    in_unit = each_took if like.better == "less" else tuple
    like = replace(like, ours=in_unit(values))
    for rival, found in zip(same, others, strict=True):
        yield replace(like, beside=rival.name, theirs=in_unit(found), cosine=rival.cosine, bar=rival.bar or like.bar)
    for rival in rivals:
        if rival not in same:
            note = f"{rival.name} computes something else (lowest cosine with ours {rival.cosine:.3f}): not compared"
            yield replace(like, beside=rival.name, cosine=rival.cosine, note=note)
    for other in absent:
        yield replace(like, beside=other.name, note=other.why)
    if not rivals and not absent:
        yield like
