"""Whose label an image is given by: the folder it lies in, or a file beside it. Tables of labels: tables.py."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fullclip.core.config import nearest
from fullclip.evaluation.tasks.files import File, FileSplit, folders_in, images_in, is_image_name, key_of
from fullclip.evaluation.tasks.settings import TaskFile
from fullclip.evaluation.tasks.task import Skipped, Split
from fullclip.evaluation.tasks.webdataset import CLASSES, SPLIT_OF, label_of, lines_of_classes

Classes = dict[str, tuple[str, ...]]  # what the set calls a class -> its names in words, in the order of the labels


def from_folders(splits: Mapping[str, Path], settings: TaskFile, *, root: Path) -> tuple[Classes, dict[str, Split]]:
    """A folder of images for each class. Every split has images of every class; ValueError names the one that has not."""
    there = {split: _by_class(place, settings) for split, place in splits.items()}
    found = [name for folders in there.values() for name, images in folders.items() if images or not settings.classes]
    classes = ordered_classes(found, settings, named_beside(splits["test"], root), where=splits["test"])
    made: dict[str, Split] = {}
    for split, folders in there.items():
        place = splits[split]
        _check_folders(folders, classes, place)
        files = [
            File(path=path, key=key_of(path, place), labels=(label,))
            for label, name in enumerate(classes)
            for path in folders[name]
        ]
        made[split] = FileSplit(files, list(_loose(place)))
    return classes, made


def _by_class(place: Path, settings: TaskFile) -> dict[str, list[Path]]:
    """{class: its images}; ValueError where two folders have one name, or none tells which folders the classes are."""
    found, nested = dict[str, list[Path]](), list[set[str]]()
    for folder in folders_in(place):
        name = class_name(folder.name, where=place)
        if name in found:
            raise ValueError(f"{place}: two folders are called {name!r}, written in two ways; make them one")
        found[name] = images_in(folder)
        own = any(path.parent == folder for path in found[name])
        nested.append(set() if own else {inner.name for inner in folders_in(folder)})
    same = sorted(set[str].intersection(*nested)) if len(nested) > 1 and not settings.classes else []
    if len(same) > 1 or any(name.lower() in SPLIT_OF for name in same):
        raise ValueError(
            f"{place}: {', '.join(list(found)[:3])} hold the same folders ({', '.join(same[:3])}), so which are the classes?"
            " Point at one of them, or say so in task.toml, under [classes] or [splits]"
        )
    return found


def class_name(name: str, *, where: Path) -> str:
    """A folder's name as composed Unicode, whichever way its file system writes it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where}: the name of the folder {name!r} is no UTF-8; rename it") from None
    return unicodedata.normalize("NFC", name)


def _check_folders(folders: Mapping[str, Sequence[Path]], classes: Classes, place: Path) -> None:
    if not any(folders.values()):
        raise ValueError(f"{place}: no folder of images for each class in it, and nothing else that a task is made of")
    for name in classes:
        if not folders.get(name):
            what = "no image in it" if name in folders else "no folder"
            raise ValueError(f"{place}: the class {name!r} has {what}; add its images, or take it out of every split")
    strange = sorted(name for name, images in folders.items() if images and name not in classes)
    if strange:
        raise ValueError(f"{place}: the folder {strange[0]!r} is no class{nearest(strange[0], classes)}")


def _loose(place: Path) -> Iterator[Skipped]:
    """Images beside the folders of the classes."""
    for path in sorted(place.iterdir()):
        if is_image_name(path.name) and not path.is_dir():
            yield Skipped(key=key_of(path, place), reason="in no class's folder")


def named_beside(folder: Path, root: Path) -> tuple[tuple[str, ...], ...] | None:
    """The classnames.txt of a split, or that of the set, whose folder is `root`."""
    for place in (folder / CLASSES, root / CLASSES):
        if place.is_file():
            return lines_of_classes(str(place))
    return None


def ordered_classes(
    found: Sequence[str], settings: TaskFile, beside: tuple[tuple[str, ...], ...] | None, *, where: Path
) -> Classes:
    """The classes in the order of task.toml; else of classnames.txt, whose lines are the folders' own names in any order, or
    names for the folders in sorted order; else sorted, numbers by their value.
    """
    if settings.classes:
        return dict(settings.classes)
    names = sorted(set(found), key=lambda name: (not _is_number(name), int(name) if _is_number(name) else 0, name))
    if beside is None:
        return {name: (_plain(name),) for name in names}
    if len(beside) != len(names):
        some = ", ".join(names[:4])
        raise ValueError(f"{where}: {CLASSES} has {len(beside)} lines for {len(names)} classes ({some} ...); one a class")
    by_name = {_plain(name).casefold(): name for name in names}
    known = [next((by_name[each.casefold()] for each in line if each.casefold() in by_name), None) for line in beside]
    if None not in known and len(set(known)) == len(names):
        return {name: line for name, line in zip(known, beside, strict=True) if name is not None}
    for number, name in enumerate(known):
        if name is not None and name != names[number]:
            raise ValueError(
                f"{where}: {CLASSES} has {name!r} on line {number + 1}, and {beside[known.index(None)][0]!r}, which is no"
                " folder: write the folders' names in any order, or a name for each in the order of the sorted folders"
            )
    return dict(zip(names, beside, strict=True))


def _is_number(name: str) -> bool:
    return re.fullmatch(r"[0-9]{1,18}", name) is not None


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def from_sidecars(splits: Mapping[str, Path], *, root: Path) -> tuple[Classes, dict[str, Split]]:
    """Images with a `.cls` of the same name beside them, which holds the number of the class in classnames.txt."""
    beside = named_beside(splits["test"], root)
    if beside is None:
        raise ValueError(f"{splits['test']}: labels are in .cls files, but {CLASSES} is not there; write it, one class a line")
    made: dict[str, Split] = {}
    for split, place in splits.items():
        files, skipped = [], []
        for path in images_in(place):
            key, sidecar = key_of(path, place), path.with_suffix(".cls")
            try:
                label = label_of(sidecar.read_bytes())
            except FileNotFoundError:
                skipped.append(Skipped(key=key, reason="no label"))
                continue
            if label is None:
                skipped.append(Skipped(key=key, reason="broken label"))
                continue
            if not 0 <= label < len(beside):
                raise ValueError(f"{sidecar}: label {label}, but {CLASSES} has {len(beside)} classes, from 0")
            files.append(File(path=path, key=key, labels=(label,)))
        if not files:
            raise ValueError(f"{place}: no image with a label in it; the split is empty")
        made[split] = FileSplit(files, skipped)
    return {str(label): names for label, names in enumerate(beside)}, made


def has_sidecars(folder: Path) -> bool:
    """Whether labels lie in files beside the images of a folder."""
    there = {path.name for path in folder.iterdir()}
    return any(is_image_name(name) and Path(name).with_suffix(".cls").name in there for name in there)
