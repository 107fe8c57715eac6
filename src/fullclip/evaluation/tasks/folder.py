"""A user's own task: a folder with a folder of images for each class, with or without a task.toml. No code is needed.

    photos/dog/1.jpg  photos/cat/2.jpg                      the folders' names are the classes' (_ is a space)
    photos/train/dog/...  photos/test/dog/...               the same with splits: train, validation (val), test
    photos/1.jpg photos/1.cls photos/classnames.txt         labels in files beside the images

What task.toml may say (all of it can be left out):

    name = "pets at home"              kind = "classification"        # or multilabel, retrieval
    metric = "mean_per_class"          templates = ["a photo of a {}, a pet.", "{}"]
    labels = "labels.csv"              # columns image, label and, where there are splits, split; in place of folders
    reference = "imagenet"             # this is a shift of that task
    note = "some were trained on"      # what a reader of the numbers should know

    [classes]                          # folder or label -> name, or a list of names; their order is the labels'
    n02085620 = "Chihuahua"

    [splits]                           # split -> folder
    test = "photos_of_2024"

    [reference_classes]                # class -> the reference's class it is, or several; without, names are compared
    dog = ["golden retriever", "beagle"]

A class that the reference has not is `cow = []`. Paths are relative to the folder, or absolute. A multi-label table has several
labels between semicolons, and maybe a column not_judged. Columns beyond these are kept: frames of videos say their anchor and
offset there. Retrieval takes whatever `fullclip data shard` takes: images beside captions, or a table of both.

Beside shards of WebDataset's layout, task.toml may say the name, metric, templates, reference, note and names of classes.

Folders within a lone folder are looked at as if they were in its place. Where there is a validation split, but no test split,
as in ImageNet, validation is what is measured.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fullclip.core.config import nearest
from fullclip.evaluation.tasks.files import PairSplit, folders_in, images_in, is_image_name
from fullclip.evaluation.tasks.labels import Classes, from_folders, from_sidecars, has_sidecars
from fullclip.evaluation.tasks.settings import SETTINGS, TaskFile, read_settings
from fullclip.evaluation.tasks.tables import from_table
from fullclip.evaluation.tasks.task import METRIC_OF, Split, Task, noted
from fullclip.evaluation.tasks.webdataset import (
    CLASSES,
    SPLIT_OF,
    TEMPLATES,
    TYPE,
    lines_of_file,
    read_webdataset,
    splits_among,
)


def read_folder(folder: Path, *, name: str | None = None) -> Task:
    """The task in a folder; `name` is for one whose task.toml gives none. ValueError names what is wrong, and where."""
    settings = read_settings(folder)
    plain = settings.plain
    if plain.kind == "multilabel" and not plain.labels:
        raise ValueError(
            f"{folder / SETTINGS}: a multi-label task needs `labels`, a table with several labels between semicolons"
        )
    classes, splits, note = _read(folder, settings)
    return Task(
        name=plain.name or name or folder.resolve().name,
        kind=plain.kind,
        metric=plain.metric or METRIC_OF[plain.kind],
        splits=splits,
        classes=tuple(classes.values()),
        templates=plain.templates or _templates_beside(folder),
        reference=plain.reference or None,
        reference_classes=_reference_classes(folder, settings, classes),
        note=noted(note, plain.note),
    )


def read_shards(folder: Path, *, name: str) -> Task:
    """The task in shards of WebDataset's layout that a task.toml stands beside: it may say the name, metric, templates,
    reference and note, and under [classes] other names for lines of classnames.txt. ValueError names what it may not say, and
    where.
    """
    settings, task = read_settings(folder), read_webdataset(str(folder), name=name)
    plain, own = settings.plain, [names[0] for names in task.classes]
    if plain.labels or settings.splits:
        raise ValueError(f"{folder / SETTINGS}: labels and [splits] are for folders of images; shards have theirs in them")
    if plain.kind not in (task.kind, "classification"):
        raise ValueError(
            f"{folder / SETTINGS}: kind = {plain.kind!r}, but the shards are of a {task.kind} task ({TYPE} says it)"
        )
    for unknown in sorted(settings.classes.keys() - set(own)):
        raise ValueError(f"{folder / SETTINGS}: classes.{unknown}: no such line in {CLASSES}{nearest(unknown, own)}")
    classes = [settings.classes.get(names[0], names) for names in task.classes]
    return replace(
        task,
        name=plain.name or name,
        metric=plain.metric or task.metric,
        classes=tuple(classes),
        templates=plain.templates or task.templates,
        reference=plain.reference or None,
        reference_classes=_reference_classes(folder, settings, dict(zip(own, classes, strict=True))),
        note=noted(task.note, plain.note),
    )


def _read(folder: Path, settings: TaskFile) -> tuple[Classes, Mapping[str, Split], str]:
    """The classes, the splits, and what should be known of these."""
    if settings.plain.labels and settings.plain.kind != "retrieval":
        return (*from_table(folder, settings), "")
    places, note = _places(folder, settings)
    if settings.plain.kind == "retrieval":
        return {}, {split: PairSplit(str(place)) for split, place in places.items()}, note
    if has_sidecars(places["test"]):
        return (*from_sidecars(places, root=folder), note)
    inner = {split: _within(place, settings) for split, place in places.items()}
    return (*from_folders(inner, settings, root=folder), note)


def _reference_classes(folder: Path, settings: TaskFile, classes: Classes) -> tuple[tuple[int | str, ...], ...]:
    told = settings.reference_classes
    if not told:
        return ()
    for name in sorted(told.keys() ^ classes.keys()):
        problem = "no such class" if name in told else "missing; write [] where the reference has no such class"
        raise ValueError(f"{folder / SETTINGS}: reference_classes.{name}: {problem}; the classes are {', '.join(classes)}")
    return tuple(told[name] for name in classes)


def _places(folder: Path, settings: TaskFile) -> tuple[dict[str, Path], str]:
    """{split: its folder}: as task.toml says, else by the folders' names; a folder without splits is its test split. And what
    should be known of them.
    """
    note = ""
    if settings.splits:
        places = {split: folder / place for split, place in settings.splits.items()}
    else:
        folder = _within(folder, settings) if settings.plain.kind != "retrieval" else folder
        found, note = splits_among([path.name for path in folders_in(folder)], str(folder))
        places = {split: folder / name for split, name in found.items()}
        flat = [split for split, place in places.items() if _has_no_classes(place, settings)]
        if flat and (len(flat) < len(places) or not _are_classes(folder, places, settings)):
            raise ValueError(
                f"{places[flat[0]]} holds images, but no folder for each class, so that their labels are not known; sort them"
                " into folders, give a table of labels, or name the classes under [classes] in task.toml"
            )
        places = {"test": folder} if flat or not places else places
    for split, place in places.items():
        if not place.is_dir():
            raise ValueError(f"{place}: no such folder, but {SETTINGS} calls it the {split} split")
    if "test" not in places:
        raise ValueError(f"{folder}: there is no test split, only {', '.join(places)}; what is measured is the folder test")
    return places, note


def _within(folder: Path, settings: TaskFile) -> Path:
    """The folder that lone folders lead to: archives have often one around the whole, or `images` around the classes."""
    while True:
        folders = folders_in(folder)
        if len(folders) != 1 or any(is_image_name(path.name) for path in folder.iterdir()):
            return folder
        (lone,) = folders
        if lone.name in settings.classes or lone.name.lower() in SPLIT_OF or not folders_in(lone):
            return folder
        folder = lone


def _has_no_classes(place: Path, settings: TaskFile) -> bool:
    """Whether images in a split's folder have no labels there: it may be a class that is called train, val or test."""
    if settings.plain.kind == "retrieval" or has_sidecars(place):
        return False
    inner = {path.name for path in folders_in(place)}
    if place.name in settings.classes:
        return not inner & settings.classes.keys()
    return not inner and bool(images_in(place))


def _are_classes(folder: Path, places: Mapping[str, Path], settings: TaskFile) -> bool:
    """Whether folders that could be splits are classes: others stand beside them, or task.toml names them."""
    others = {path.name for path in folders_in(folder)} - {place.name for place in places.values()}
    return bool(others) or all(place.name in settings.classes for place in places.values())


def _templates_beside(folder: Path) -> tuple[str, ...]:
    path = folder / TEMPLATES
    return tuple(lines_of_file(str(path))) if path.is_file() else ()
