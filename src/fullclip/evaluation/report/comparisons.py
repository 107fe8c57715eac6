"""Paired tests between the records of two runs, task by task, and wins, counted as the paper does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fullclip.evaluation.report.runs import Run, all_tasks
from fullclip.evaluation.report.wording import p_text, points
from fullclip.evaluation.statistics.paired import Comparison, compare, holm
from fullclip.evaluation.suite.records import Record

PROTOCOLS = ("zero-shot", "probe", "retrieval")
_MOST_FOR_EVERY_TWO = 4


@dataclass(frozen=True, kw_only=True)
class Duel:
    """Two contestants on the tasks that both were asked, the second measured against the first.

    `p_values` are after Holm's correction over the duel's tasks; `failed` says what could not be compared, and why.
    """

    first: str
    second: str
    protocol: str
    comparisons: tuple[Comparison, ...]
    p_values: tuple[float, ...]
    failed: tuple[str, ...] = ()

    @property
    def is_beyond_chance(self) -> tuple[bool, ...]:
        """Of each task: does the test say so?"""
        return tuple(p < 0.05 for p in self.p_values)

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

    def _sentence(self, one: Comparison, p: float, sure: bool) -> str:
        better, other = (self.second, self.first) if one.difference > 0 else (self.first, self.second)
        sign = 1 if one.difference > 0 else -1
        low, high = sorted(sign * end for end in one.interval)
        size = f"{points(abs(one.difference)).lstrip('+')} points ({_bare(low)} to {_bare(high)})"
        test = p_text(p)
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
    return Duel(
        first=names[0] if names else first.name,
        second=names[1] if names else second.name,
        protocol=protocols[1],
        comparisons=tuple(comparisons),
        p_values=tuple(holm([each.p_value for each in comparisons])),
        failed=tuple(failed),
    )


def compare_records(first: Record, second: Record) -> Comparison:
    """The paired test of two records' own metrics. ValueError where the two are of different metrics, of no common example, or
    lack what the test needs.
    """
    mine, theirs = first.results[0].metric, second.results[0].metric
    if mine != theirs:
        raise ValueError(f"{first.task}: one run has {mine}, the other {theirs}; measure one of them again")
    found = compare(first.arrays, second.arrays, task=first.task, metric=mine)
    if found.num_alone:
        return replace(found, test=f"{found.test}; {found.num_alone:,} examples that only one has are left out")
    return found
