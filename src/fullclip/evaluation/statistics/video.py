"""Accuracy on video frames that holds for their neighbours, too: ImageNet-Vid-Robust, YTBB-Robust (Shankar et al. 2021)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import mean_of_shares
from fullclip.evaluation.statistics.metrics import Measured, ranks

_AWAY = 10


def mean_pm0_pm10(
    scores: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"], meta: Sequence[Mapping[str, Any]], *, task: str
) -> Measured:
    """The mean of pm-0, the share of anchor frames that are right, and pm-10, the share of which all frames up to ten before
    and behind are right, too (section 3.3).

    Every example's `meta` has its "anchor" (any name) and its "offset" in frames, 0 for the anchor itself; frames further than
    ten away do not count. An anchor whose own frame is not there, since it could not be read, is left out (`lost_anchors`).
    Bootstrap interval over anchors, which the values belong to. ValueError where an anchor has two frames of offset 0, or none
    has one.
    """
    right = ranks(scores, labels) == 0
    places, values = [], []
    for anchor, found in _frames(meta, task).items():
        middle = [place for offset, place in found if offset == 0]
        if len(middle) > 1:
            raise ValueError(f"{task}: anchor {anchor!r} has {len(middle)} frames of offset 0; one is needed")
        if middle:
            held = all(right[place] for offset, place in found if abs(offset) <= _AWAY)
            places.append(middle[0])
            values.append((float(right[middle[0]]) + float(held)) / 2)
    if not places:
        raise ValueError(f"{task}: no anchor has a frame of offset 0; say which frame of each is the anchor itself")
    each = np.array(values, dtype=np.float64)
    value = float(each.mean())
    result = Result(task=task, metric="mean_pm0_pm10", value=value, interval=mean_of_shares(each), n=len(each))
    return Measured(result=result, values=each, places=np.array(places))


def lost_anchors(meta: Sequence[Mapping[str, Any]], *, task: str) -> list[str]:
    """The anchors of which there are frames, but not the anchor itself."""
    return [anchor for anchor, found in _frames(meta, task).items() if all(offset != 0 for offset, _ in found)]


def _frames(meta: Sequence[Mapping[str, Any]], task: str) -> dict[str, list[tuple[int, int]]]:
    """Anchor -> (offset, place) of each of its frames."""
    frames: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, facts in enumerate(meta):
        if "anchor" not in facts or "offset" not in facts:
            raise ValueError(f"{task}: example {place} says no 'anchor' and 'offset', which frames of a video need")
        try:
            offset = int(str(facts["offset"]))
        except ValueError:
            raise ValueError(f"{task}: example {place} has the offset {facts['offset']!r}; write a number of frames") from None
        frames[str(facts["anchor"])].append((offset, place))
    return frames
