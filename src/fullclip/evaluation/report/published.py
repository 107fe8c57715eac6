"""Accuracies of other models, as papers publish them: a CSV in, the models of each shift out."""

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from fullclip.evaluation.statistics.robustness import Accuracies

COLUMNS = ("model", "shift", "reference_accuracy", "shift_accuracy", "reference_n", "shift_n")


def read_published(path: Path) -> Mapping[str, tuple[Accuracies, ...]]:
    """The models of each shift. Accuracies are shares, 0 to 1.

    ValueError for a file without one of COLUMNS, a value that is no such number, a model twice on one shift, or no line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a CSV file in UTF-8") from None
    rows = csv.DictReader(text.splitlines())
    lacking = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if lacking:
        raise ValueError(f"{path}: the column {lacking[0]!r} is missing; the first line is to be {','.join(COLUMNS)}")
    found: dict[str, dict[str, Accuracies]] = defaultdict(dict)
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        one, shift = _accuracies(row, where), str(row["shift"]).strip()
        if one.model in found[shift]:
            raise ValueError(f"{where}: {one.model} is there twice for {shift}; remove one of the lines")
        found[shift][one.model] = one
    if not found:
        raise ValueError(f"{path}: no model is in it; a line is model,shift,0.76,0.64,50000,10000")
    return {shift: tuple(models.values()) for shift, models in found.items()}


def _accuracies(row: Mapping[str, str | Sequence[str] | None], where: str) -> Accuracies:
    values: dict[str, str] = {}
    for name in COLUMNS:
        value = row[name]
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{where}: {name} is empty")
        values[name] = value.strip()
    return Accuracies(
        model=values["model"],
        reference=_share(values, "reference_accuracy", where),
        shift=_share(values, "shift_accuracy", where),
        reference_n=_count(values, "reference_n", where),
        shift_n=_count(values, "shift_n", where),
    )


def _share(values: Mapping[str, str], name: str, where: str) -> float:
    try:
        value = float(values[name])
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"{where}: {name} {values[name]!r} is no share from 0 to 1; write 0.762 for 76.2%")
    return value


def _count(values: Mapping[str, str], name: str, where: str) -> int:
    if not values[name].isdecimal() or int(values[name]) == 0:
        raise ValueError(f"{where}: {name} {values[name]!r} is no number of examples; write a whole number such as 10000")
    return int(values[name])
