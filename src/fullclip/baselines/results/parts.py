"""The parts of a comparison: its ways by name, its seeds, and which of them are lacking. Knows nothing of learning."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fullclip.baselines.results.records import Row, held
from fullclip.core.config import lookup

Part = Mapping[str, Any]
"""The values that tell a part's rows from all others, such as {"method": "contrastive", "seed": 0}."""


def completed(
    folder: Path, settings: Mapping[str, Any], parts: Sequence[Part], make: Callable[[Part], Sequence[Row]]
) -> Iterator[tuple[Row, ...]]:
    """The rows in `folder` after each part that was lacking there and that `make` has made, and once at the end. ValueError as
    from `held`.
    """
    with held(folder, settings) as records:
        for part in parts:
            if not records.has(**part):
                records.add(make(part))
                yield records.rows
        yield records.rows


def parts_of(methods: Sequence[str], seeds: Sequence[int], *, named: str = "method") -> list[Part]:
    """Every way with every seed; all ways with the first seed come first."""
    return [{named: method, "seed": seed} for seed in seeds for method in methods]


def in_order(rows: Sequence[Row], table: Mapping[str, Any], *, named: str = "method") -> list[Row]:
    """The rows by way, in the table's order, then by seed; a way's own keep their order."""
    places = list(table)
    return sorted(rows, key=lambda row: (places.index(row[named]), row["seed"]))


def check_methods(names: Sequence[str], table: Mapping[str, Any]) -> tuple[str, ...]:
    """The names, each once, in the table's order. ValueError where one is unknown or there is none."""
    for name in names:
        lookup(table, name, what="way of learning")
    if not names:
        raise ValueError(f"no way of learning is named; there are: {', '.join(table)}")
    return tuple(name for name in table if name in names)


def check_seeds(number: int) -> range:
    """The seeds 0 to number - 1. ValueError for less than one."""
    if number < 1:
        raise ValueError(f"{number} seeds: at least 1 is needed, and 3 show how much chance decides")
    return range(number)
