"""Whose label an image is given by: its folder, a row of a table, or a file beside it."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fullclip.core.config import nearest
from fullclip.evaluation.tasks.files import File, FileSplit, folders_in, images_in
from fullclip.evaluation.tasks.settings import TaskFile
from fullclip.evaluation.tasks.task import SPLITS, Skipped, Split
from fullclip.evaluation.tasks.webdataset import CLASSES, class_lines
from fullclip.preprocess.image import IMAGE_EXTENSIONS

Classes = dict[str, tuple[str, ...]]  # what the set calls a class -> its names in words, in the order of the labels
_TABLE_COLUMNS = ("image", "label", "split")


def from_folders(splits: Mapping[str, Path], settings: TaskFile) -> tuple[Classes, dict[str, Split]]:
    """A folder of images for each class. Every split has images of every class; ValueError names the one that has not."""
    there = {split: {folder.name: images_in(folder) for folder in folders_in(place)} for split, place in splits.items()}
    classes = _classes([name for folders in there.values() for name in folders], settings, _named_beside(splits["test"]))
    made: dict[str, Split] = {}
    for split, folders in there.items():
        _check_folders(folders, classes, splits[split])
        files = [
            File(path=path, key=path.relative_to(splits[split]).as_posix(), labels=(label,))
            for label, name in enumerate(classes)
            for path in folders[name]
        ]
        made[split] = FileSplit(files)
    return classes, made


def _check_folders(folders: Mapping[str, Sequence[Path]], classes: Classes, place: Path) -> None:
    for name in classes:
        if not folders.get(name):
            what = "no image in it" if name in folders else "no folder"
            raise ValueError(f"{place}: the class {name!r} has {what}; add its images, or take it out of every split")
    strange = sorted(folders.keys() - classes.keys())
    if strange:
        raise ValueError(f"{place}: the folder {strange[0]!r} is no class{nearest(strange[0], classes)}")


def _named_beside(folder: Path) -> tuple[tuple[str, ...], ...] | None:
    """The classnames.txt in the set's folder or the one above, where there is one."""
    for place in (folder / CLASSES, folder.parent / CLASSES):
        if place.is_file():
            return class_lines(place.read_text(encoding="utf-8-sig"))
    return None


def _classes(found: Sequence[str], settings: TaskFile, beside: tuple[tuple[str, ...], ...] | None = None) -> Classes:
    """The classes in the order of task.toml; else of classnames.txt, whose lines are the folders' own names in any order, or
    names for the folders in sorted order; else sorted.
    """
    if settings.classes:
        return dict(settings.classes)
    names = sorted(set(found), key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    if beside is None:
        return {name: (name.replace("_", " ").strip(),) for name in names}
    by_folder = {name.replace("_", " ").strip(): name for name in names}
    if len(beside) == len(names) and all(line[0] in by_folder for line in beside):
        return {by_folder[line[0]]: line for line in beside}
    if len(beside) != len(names):
        raise ValueError(
            f"{CLASSES} has {len(beside)} lines for {len(names)} classes ({', '.join(names[:4])} ...); one a class"
        )
    return dict(zip(names, beside, strict=True))


def from_sidecars(splits: Mapping[str, Path], settings: TaskFile) -> tuple[Classes, dict[str, Split]]:
    """Images with a `.cls` of the same name beside them, which holds the number of the class in classnames.txt."""
    beside = _named_beside(splits["test"])
    if beside is None:
        raise ValueError(f"{splits['test']}: labels are in .cls files, but {CLASSES} is not there; write it, one class a line")
    classes = {str(label): names for label, names in enumerate(beside)}
    made: dict[str, Split] = {}
    for split, place in splits.items():
        files, skipped = [], []
        for path in images_in(place):
            key, sidecar = path.relative_to(place).as_posix(), path.with_suffix(".cls")
            text = sidecar.read_text(encoding="utf-8", errors="replace").strip() if sidecar.is_file() else None
            if text is None or not text.lstrip("-").isdigit():
                skipped.append(Skipped(key=key, reason="no label" if text is None else "broken label"))
                continue
            if text not in classes:
                raise ValueError(f"{sidecar}: label {text}, but {CLASSES} has {len(classes)} classes, from 0")
            files.append(File(path=path, key=key, labels=(int(text),)))
        made[split] = FileSplit(files, skipped)
    return classes, made


def from_table(folder: Path, settings: TaskFile) -> tuple[Classes, dict[str, Split]]:
    """A table with an image and its label in each row. ValueError names the row that cannot be used."""
    table = folder / settings.plain.labels
    rows = list(_rows(table))
    several = settings.plain.kind == "multilabel"
    listed = [[part.strip() for part in row["label"].split(";") if part.strip()] if several else [row["label"]] for row in rows]
    classes = _classes([label for labels in listed for label in labels], settings)
    numbers = {name: number for number, name in enumerate(classes)}
    files, skipped = defaultdict[str, list[File]](list), defaultdict[str, list[Skipped]](list)
    for row, labels in zip(rows, listed, strict=True):
        split = {"val": "validation"}.get(row.get("split", ""), row.get("split") or "test")
        if split not in SPLITS:
            raise ValueError(f"{table}: {row['image']} is of the split {split!r}; the splits are {', '.join(SPLITS)}")
        if not several and not row["label"]:
            skipped[split].append(Skipped(key=row["image"], reason="no label"))
            continue
        unknown = [label for label in labels if label not in numbers]
        if unknown:
            raise ValueError(
                f"{table}: {row['image']} has the label {unknown[0]!r}, which is no class{nearest(unknown[0], numbers)}"
            )
        meta = {name: value for name, value in row.items() if name not in _TABLE_COLUMNS}
        found = File(path=folder / row["image"], key=row["image"], labels=tuple(numbers[label] for label in labels), meta=meta)
        files[split].append(found)
    return classes, {split: FileSplit(files[split], skipped[split]) for split in SPLITS if files[split] or skipped[split]}


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    if not table.is_file():
        raise ValueError(f"{table}: no such file; `labels` in task.toml is a table with the columns image and label")
    with table.open(encoding="utf-8-sig", newline="") as file:
        if table.suffix == ".jsonl":
            rows: Iterator[dict[str, Any]] = (json.loads(line) for line in file if line.strip())
        else:
            rows = csv.DictReader(file, delimiter="\t" if table.suffix == ".tsv" else ",")
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict) or not row.get("image") or row.get("label") is None:
                raise ValueError(
                    f"{table}: row {number} has no image or no label; the columns are image, label and maybe split"
                )
            yield {**row, "image": str(row["image"]).strip(), "label": str(row["label"]).strip()}


def has_sidecars(folder: Path) -> bool:
    """Whether a folder's first image has its label in a file beside it."""
    first = next((path for path in sorted(folder.iterdir()) if path.suffix.lower().lstrip(".") in IMAGE_EXTENSIONS), None)
    return first is not None and first.with_suffix(".cls").is_file()
