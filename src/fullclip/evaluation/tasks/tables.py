"""Labels in a table: .csv, .tsv or .jsonl with the columns image, label and maybe split, a row for each image.

What other columns say goes along."""

import csv
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fullclip.core.config import nearest
from fullclip.evaluation.tasks.files import File, FileSplit
from fullclip.evaluation.tasks.labels import Classes, named_beside, ordered_classes
from fullclip.evaluation.tasks.settings import TaskFile
from fullclip.evaluation.tasks.task import SPLITS, Skipped, Split
from fullclip.evaluation.tasks.webdataset import CLASSES, SPLIT_OF

_COLUMNS = ("image", "label", "split")
_VIDEO = "anchor"  # a frame may stand beside two anchors
_UNJUDGED = "not_judged"  # of a multi-label set: classes that nobody has looked for in this image
Row = dict[str, Any]


def from_table(folder: Path, settings: TaskFile) -> tuple[Classes, dict[str, Split]]:
    """The classes and splits of the table that task.toml names; paths in it are relative to `folder`, or absolute.

    A row without a label is counted as skipped. ValueError names the row that cannot be used, and a class that a split has no
    image of.
    """
    table, several = folder / settings.plain.labels, settings.plain.kind == "multilabel"
    rows = [(row, _labels(row, table, several=several)) for row in _rows(table)]
    classes, numbers = _classes([label for _, labels in rows for label in labels], folder, settings)
    files, skipped = defaultdict[str, list[File]](list), defaultdict[str, list[Skipped]](list)
    seen = set[tuple[str, str]]()
    for row, labels in rows:
        split, key = _split(row, table), row["image"]
        if (split, key) in seen and _VIDEO not in row:
            how = "all its labels in one row, between semicolons" if several else "leave one row out"
            raise ValueError(f"{table}: {key} is there twice in the split {split}; {how}")
        seen.add((split, key))
        if not labels and not several:
            skipped[split].append(Skipped(key=key, reason="no label"))
            continue
        meta = {name: value for name, value in row.items() if name not in _COLUMNS}
        if several and _UNJUDGED in row:
            meta[_UNJUDGED] = _numbers(_parts(row[_UNJUDGED]), numbers, f"{table}: {key}")
        found = _numbers(labels, numbers, f"{table}: {key}")
        files[split].append(File(path=folder / key, key=key, labels=tuple(found), meta=meta))
    for split in files:
        _check_complete(files[split], list(classes), f"{table}: in the split {split}")
    return classes, {split: FileSplit(files[split], skipped[split]) for split in SPLITS if files[split] or skipped[split]}


def _numbers(labels: Sequence[str], numbers: Mapping[str, int], where: str) -> list[int]:
    unknown = next((label for label in labels if label not in numbers), None)
    if unknown is not None:
        raise ValueError(f"{where} has the label {unknown!r}, which is no class{nearest(unknown, numbers)}")
    return sorted({numbers[label] for label in labels})


def _check_complete(files: Sequence[File], classes: Sequence[str], where: str) -> None:
    """Frames of a few seconds of video need not show every class."""
    shown = {label for file in files for label in file.labels}
    missing = [name for number, name in enumerate(classes) if number not in shown]
    if missing and not any(_VIDEO in file.meta for file in files):
        raise ValueError(f"{where} no image is of the class {missing[0]!r}; add some, or take it out of every split")


def _classes(found: Sequence[str], folder: Path, settings: TaskFile) -> tuple[Classes, dict[str, int]]:
    """The classes as of folders, and the number of each label; where labels are numbers and classnames.txt is there, they are
    its lines' numbers, from 0.
    """
    beside = named_beside(folder, folder)
    if beside is None or settings.classes or not all(label.isascii() and label.isdigit() for label in found):
        classes = ordered_classes(found, settings, beside, where=folder)
        return classes, {name: number for number, name in enumerate(classes)}
    above = next((label for label in found if int(label) >= len(beside)), None)
    if above is not None:
        table = folder / settings.plain.labels
        raise ValueError(f"{table}: label {above}, but {CLASSES} has {len(beside)} classes, from 0")
    return {str(number): names for number, names in enumerate(beside)}, {label: int(label) for label in found}


def _labels(row: Row, table: Path, *, several: bool) -> list[str]:
    value = row["label"]
    if isinstance(value, list) and not several:
        raise ValueError(f"{table}: {row['image']} has several labels; set kind = 'multilabel' in task.toml")
    return _parts(value if several else [value])


def _parts(value: Any) -> list[str]:
    """The labels of a list, or between semicolons."""
    listed = value if isinstance(value, list) else str(value or "").split(";")
    texts = [unicodedata.normalize("NFC", str(label).strip()) for label in listed]
    return [text for text in texts if text]


def _split(row: Row, table: Path) -> str:
    said = str(row.get("split") or "test").strip()
    if said.lower() not in SPLIT_OF:
        raise ValueError(f"{table}: {row['image']} is of the split {said!r}; the splits are {', '.join(SPLITS)}")
    return SPLIT_OF[said.lower()]


def _rows(table: Path) -> Iterator[Row]:
    if table.suffix not in (".csv", ".tsv", ".jsonl"):
        raise ValueError(f"{table}: labels are in a .csv, .tsv or .jsonl with the columns image, label and maybe split")
    if not table.is_file():
        raise ValueError(f"{table}: no such file; `labels` in task.toml is a table with the columns image and label")
    number = 0
    try:
        for number, row in enumerate(_read(table), 1):
            yield _checked(row, f"{table}: row {number}")
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error, RecursionError) as error:
        raise ValueError(f"{table}: cannot be read after row {number} ({error}); write it anew, in UTF-8") from None
    if not number:
        raise ValueError(f"{table}: no rows in it; the columns are image, label and maybe split")


def _checked(row: Any, where: str) -> Row:
    if not isinstance(row, dict) or not isinstance(row.get("image"), str) or not row["image"].strip():
        raise ValueError(f"{where} has no image; the columns are image, label and maybe split")
    if row.get("label") is None:
        raise ValueError(f"{where} has no label; the columns are image, label and maybe split")
    if None in row:
        raise ValueError(f"{where} has more fields than there are columns; put a text with commas in quotes")
    return {**row, "image": row["image"].strip()}


def _read(table: Path) -> Iterator[Any]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        if table.suffix == ".jsonl":
            yield from (json.loads(line) for line in file if line.strip())
        else:  # strict, or a quote that is never closed swallows the rows behind it
            yield from csv.DictReader(file, delimiter="\t" if table.suffix == ".tsv" else ",", strict=True)
