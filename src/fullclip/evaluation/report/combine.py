"""Averages over sets and differences between results, with intervals from those of their parts.

The parts are of different examples, so independent: the squares of the distances from value to bound add up (the method of
variance estimates recovery, Zou and Donner 2008), which for normal intervals is the exact interval.
"""

import math
from collections.abc import Sequence

from fullclip.core.types import Result


def average(results: Sequence[Result], *, task: str) -> Result:
    """The mean over sets, each counting the same, as the paper averages; `n` is the number of examples of all. The interval
    says how much other examples of these sets would change it, not other sets.
    """
    low = math.hypot(*(max(0.0, one.value - one.interval[0]) for one in results)) / len(results)
    high = math.hypot(*(max(0.0, one.interval[1] - one.value) for one in results)) / len(results)
    value = sum(one.value for one in results) / len(results)
    metric = "average score"
    return Result(task=task, metric=metric, value=value, interval=(value - low, value + high), n=sum(one.n for one in results))


def difference(first: Result, second: Result) -> tuple[float, tuple[float, float]]:
    """`second` less `first`, of independent examples, with its interval; of the same examples it is wider than it need be."""
    value = second.value - first.value
    low = math.hypot(max(0.0, second.value - second.interval[0]), max(0.0, first.interval[1] - first.value))
    high = math.hypot(max(0.0, second.interval[1] - second.value), max(0.0, first.value - first.interval[0]))
    return value, (value - low, value + high)
