"""The error policy of data steps: what cannot be used is counted by reason and named, or, when strict, an error."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


class DroppedError(ValueError):
    """Something that a strict run will not do without."""


@dataclass(kw_only=True)
class Drops:
    """What was left out so far. Hand one to every step of a way, and show `report()` at its end.

    strict: nothing may be left out. num_examples: how many are named for each reason.
    """

    strict: bool = False
    num_examples: int = 10
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def drop(self, reason: str, name: str) -> None:
        """Count `name` (a key, a path) under `reason`; DroppedError when strict."""
        if self.strict:
            raise DroppedError(f"{reason}: {name} (strict: otherwise it is left out and counted)")
        self.counts[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < self.num_examples:
            examples.append(name)

    def merge(self, others: "Drops") -> None:
        """Count what another process, or a step before, has left out."""
        self.counts.update(others.counts)
        for reason, names in others.examples.items():
            examples = self.examples.setdefault(reason, [])
            examples += names[: self.num_examples - len(examples)]

    def report(self) -> dict[str, Any]:
        """{reason: {"count": how many, "examples": the first of them}}, the most frequent first."""
        return {reason: {"count": count, "examples": self.examples[reason]} for reason, count in self.counts.most_common()}

    def summary(self) -> str:
        """One line for people; empty where nothing was dropped."""
        return ", ".join(f"{count:,} {reason} ({self.examples[reason][0]})" for reason, count in self.counts.most_common())
