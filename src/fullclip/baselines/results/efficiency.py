"""How many fewer images one way needs to reach what another reaches at its end: the factors of the paper's Figure 2."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fullclip.baselines.results.records import Row


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A way's accuracy, by the number of images processed, for each seed: `accuracies` is [seeds, marks]."""

    method: str
    rule: str
    images: tuple[int, ...]
    accuracies: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        found: np.ndarray = self.accuracies.mean(axis=0)
        return found


def curves_of(rows: Sequence[Row]) -> list[Curve]:
    """A curve for each way and rule, in the order of the rows. ValueError where seeds were asked at different marks."""
    groups: dict[tuple[str, str], dict[int, list[Row]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["rule"]), {}).setdefault(row["seed"], []).append(row)
    found = []
    for (method, rule), seeds in groups.items():
        marks = {tuple(row["images"] for row in own) for own in seeds.values()}
        if len(marks) > 1:
            raise ValueError(f"{method}: its seeds were asked after different numbers of images; give another --out")
        values = np.array([[row["value"] for row in own] for own in seeds.values()], dtype=np.float64)
        found.append(Curve(method=method, rule=rule, images=marks.pop(), accuracies=values))
    return found


@dataclass(frozen=True, kw_only=True)
class Factor:
    """`better` reaches the last accuracy of `base` with a `value`-th of its images: the mean curves', then each seed's.

    Infinity for one that is at that accuracy at its first mark already, which says no more than that the factor is larger than
    what the marks can tell (`most`); NaN for one that does not reach it.
    """

    base: Curve
    better: Curve
    value: float
    by_seed: tuple[float, ...]
    most: float

    @property
    def said(self) -> str:
        """In words, such as "3.1 times (2.8 to 3.3)" or "not reached"."""
        if math.isnan(self.value):
            return "not reached"
        return f"{_times(self.value, self.most)} times{self._range()}"

    def _range(self) -> str:
        reached = [value for value in self.by_seed if not math.isnan(value)]
        if len(self.by_seed) < 2:
            return ""
        failed = len(self.by_seed) - len(reached)
        tail = f", not reached by {failed} of {len(self.by_seed)} seeds" if failed else ""
        within = f"{_times(min(reached), self.most)} to {_times(max(reached), self.most)}" if reached else "by no seed"
        return f" ({within}{tail})"


def _times(value: float, most: float) -> str:
    return f"over {most:.3g}" if math.isinf(value) else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def factor(base: Curve, better: Curve) -> Factor:
    """What `better` saves against `base`. Seeds are paired in their order, since a seed fixes pictures and order for both."""
    own = [
        _factor(better.images, values, base.images[-1], goal[-1])
        for values, goal in zip(better.accuracies, base.accuracies, strict=False)
    ]
    value = _factor(better.images, better.mean, base.images[-1], float(base.mean[-1]))
    return Factor(base=base, better=better, value=value, by_seed=tuple(own), most=base.images[-1] / better.images[0])


def _factor(images: Sequence[int], values: np.ndarray, base_images: int, goal: float) -> float:
    """Base's images by those at which the values first reach the goal, interpolated between marks on a logarithmic axis."""
    reached = np.flatnonzero(values >= goal)
    if not len(reached):
        return math.nan
    place = int(reached[0])
    if place == 0:
        return math.inf
    share = (goal - values[place - 1]) / (values[place] - values[place - 1])
    log_images = math.log(images[place - 1]) + share * math.log(images[place] / images[place - 1])
    return base_images / math.exp(log_images)


def factors(curves: Sequence[Curve], order: Sequence[str], *, rule: str) -> list[Factor]:
    """Of each way against the one before it in `order`, ways of likelihood by `rule`."""
    chosen: Mapping[str, Curve] = {curve.method: curve for curve in curves if curve.rule in (rule, "similarity")}
    there = [chosen[method] for method in order if method in chosen]
    return [factor(base, better) for base, better in pairwise(there)]
