"""Accuracy on video frames that holds for their neighbours, too: ImageNet-Vid-Robust, YTBB-Robust (Shankar et al. 2021)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import bootstrap_mean
from fullclip.evaluation.statistics.metrics import Measured, ranks


def mean_pm0_pm10(
    scores: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"], meta: Sequence[Mapping[str, Any]], *, task: str
) -> Measured:
    """The mean of pm-0, the share of anchor frames that are right, and pm-10, the share of which all frames up to ten before
    and behind are right, too (section 3.3).

    Every example's `meta` has its "anchor" (any name) and its "offset" in frames, 0 for the anchor itself; frames further than
    ten away do not count. Bootstrap interval over anchors, which the values belong to. ValueError where an anchor has not
    exactly one frame of offset 0.
    """
    right = ranks(scores, labels) == 0
    frames: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, facts in enumerate(meta):
        if "anchor" not in facts or "offset" not in facts:
            raise ValueError(f"{task}: example {place} says no 'anchor' and 'offset', which frames of a video need")
        frames[str(facts["anchor"])].append((int(facts["offset"]), place))
    places, values = [], []
    for anchor, found in frames.items():
        middle = [place for offset, place in found if offset == 0]
        if len(middle) != 1:
            raise ValueError(f"{task}: anchor {anchor!r} has {len(middle)} frames of offset 0; exactly one is needed")
        held = all(right[place] for offset, place in found if abs(offset) <= 10)
        places.append(middle[0])
        values.append((float(right[middle[0]]) + float(held)) / 2)
    each = np.array(values, dtype=np.float64)
    value = float(each.mean())
    result = Result(task=task, metric="mean_pm0_pm10", value=value, interval=bootstrap_mean(each), n=len(each))
    return Measured(result=result, values=each, places=np.array(places))
