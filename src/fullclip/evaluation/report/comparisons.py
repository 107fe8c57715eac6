"""Paired tests between the records of two runs, task by task, and wins, counted as the paper does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fullclip.evaluation.report.combine import difference
from fullclip.evaluation.report.runs import Run, all_tasks
from fullclip.evaluation.report.wording import p_text, points
from fullclip.evaluation.statistics.paired import Comparison, compare, holm
from fullclip.evaluation.suite.records import Record

PROTOCOLS = ("zero-shot", "probe", "retrieval")
_MOST_FOR_EVERY_TWO = 4
# Their examples' values are no mean of independent cases, so no paired test here is one of them.
_NOT_A_MEAN = ("map_11_point", "roc_auc")
UNPAIRED = "two intervals"


@dataclass(frozen=True, kw_only=True)
class Duel:
    """Two contestants on the tasks that both were asked, the second measured against the first.

    Where a test is paired, `p_values` has its p-value after Holm's correction over the duel's tasks; else None.
    """

    first: str
    second: str
    protocol: str
    comparisons: tuple[Comparison, ...]
    p_values: tuple[float | None, ...]
    failed: tuple[str, ...] = ()

    @property
    def is_beyond_chance(self) -> tuple[bool, ...]:
        """Of each task: does the paired test say so, or where there is none, the interval?"""
        return tuple(
            p < 0.05 if p is not None else not one.interval[0] <= 0 <= one.interval[1]
            for one, p in zip(self.comparisons, self.p_values, strict=True)
        )

    @property
    def wins_of_second(self) -> str:
        """'B is better than A on 16 of 27 sets, of which 12 beyond chance; worse on 10, of which 3 beyond chance.'"""
        return self._wins(self.second, self.first, 1)

    @property
    def wins(self) -> str:
        """The same, of the one that is better on more sets."""
        ahead = sum(np.sign(one.difference) for one in self.comparisons) >= 0
        return self.wins_of_second if ahead else self._wins(self.first, self.second, -1)

    def _wins(self, winner: str, other: str, sign: int) -> str:
        told = [(sign * one.difference, sure) for one, sure in zip(self.comparisons, self.is_beyond_chance, strict=True)]
        better, worse = [sure for value, sure in told if value > 0], [sure for value, sure in told if value < 0]
        sets = "set" if len(told) == 1 else "sets"
        said = f"{winner} is better than {other} on {len(better)} of {len(told)} {sets}"
        said += f", of which {sum(better)} beyond chance" if better else ""
        return f"{said}; worse on {len(worse)}, of which {sum(worse)} beyond chance." if worse else f"{said}."

    def sentences(self) -> list[str]:
        """What each comparison says, the largest difference first."""
        told = zip(self.comparisons, self.p_values, self.is_beyond_chance, strict=True)
        ordered = sorted(told, key=lambda each: -abs(each[0].difference))
        return [self._sentence(one, p, sure) for one, p, sure in ordered]

    def _sentence(self, one: Comparison, p: float | None, sure: bool) -> str:
        better, other = (self.second, self.first) if one.difference > 0 else (self.first, self.second)
        sign = 1 if one.difference > 0 else -1
        low, high = sorted(sign * end for end in one.interval)
        size = f"{points(abs(one.difference)).lstrip('+')} points ({_bare(low)} to {_bare(high)})"
        test = "the intervals of both taken together" if p is None else p_text(p)
        if one.difference == 0:
            return f"On {one.task} {self.first} and {self.second} are equal ({points(low)} to {points(high)}), {test}."
        if sure:
            return f"{better} is better than {other} on {one.task} by {size}, {test}."
        return f"On {one.task} {better} is ahead of {other} by {size}, which may be chance, {test}."


def _bare(difference: float) -> str:
    return points(difference).lstrip("+")


def duels(runs: Sequence[Run]) -> Iterator[Duel]:
    """Of every two runs up to four, of the first one with each other beyond that; only where they share a task."""
    for first, second in pairs_of(runs):
        for protocol in PROTOCOLS:
            found = duel(first, second, protocols=(protocol, protocol))
            if found is not None:
                yield found


def pairs_of(runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    if len(runs) > _MOST_FOR_EVERY_TWO:
        return [(runs[0], other) for other in runs[1:]]
    return [(runs[i], runs[j]) for i in range(len(runs)) for j in range(i + 1, len(runs))]


def duel(first: Run, second: Run, *, protocols: tuple[str, str], names: tuple[str, str] | None = None) -> Duel | None:
    """The second run's records of the second protocol against the first run's of the first, on the tasks that both have.

    `names` are what the two are called, where that is not the runs' names.
    """
    comparisons, failed = [], []
    for task in all_tasks([first], protocols[0]):
        one, other = first.record(protocols[0], task), second.record(protocols[1], task)
        if one is None or other is None:
            continue
        try:
            comparisons.append(compare_records(one, other))
        except ValueError as error:
            failed.append(str(error))
    if not comparisons and not failed:
        return None
    tested = [place for place, each in enumerate(comparisons) if each.test != UNPAIRED]
    corrected = dict(zip(tested, holm([comparisons[place].p_value for place in tested]), strict=True))
    return Duel(
        first=names[0] if names else first.name,
        second=names[1] if names else second.name,
        protocol=protocols[1],
        comparisons=tuple(comparisons),
        p_values=tuple(corrected.get(place) for place in range(len(comparisons))),
        failed=tuple(failed),
    )


def compare_records(first: Record, second: Record) -> Comparison:
    """The paired test of two records' own metrics; for one that is no mean over examples the two intervals alone, without a
    p-value. ValueError where the two are of different metrics, or of no common example.
    """
    mine, theirs = first.results[0], second.results[0]
    if mine.metric != theirs.metric:
        raise ValueError(f"{first.task}: one run has {mine.metric}, the other {theirs.metric}; measure one of them again")
    if mine.metric in _NOT_A_MEAN or "keys" not in first.arrays or "keys" not in second.arrays:
        value, interval = difference(mine, theirs)
        return Comparison(
            task=first.task,
            metric=mine.metric,
            first=mine.value,
            second=theirs.value,
            difference=value,
            interval=interval,
            p_value=float("nan"),
            n=min(mine.n, theirs.n),
            test=UNPAIRED,
        )
    if first.protocol == "retrieval":
        return compare(_by_image(first), _by_image(second), task=first.task, metric=f"{mine.metric}, by image")
    found = compare(first.arrays, second.arrays, task=first.task, metric=mine.metric)
    if found.num_alone:
        return replace(found, test=f"{found.test}; {found.num_alone:,} examples that only one has are left out")
    return found


def _by_image(record: Record) -> Mapping[str, np.ndarray]:
    """An image's captions are not independent of each other: the mean of their values, image by image."""
    images = np.array([str(key).rsplit(" ", 1)[0] for key in record.arrays["keys"]])
    names, places = np.unique(images, return_inverse=True)
    means = np.bincount(places, weights=record.arrays["values"]) / np.bincount(places)
    return {"keys": names, "values": means}
