"""A user's own task: a folder with a folder of images for each class, with or without a task.toml. No code is needed.

    photos/dog/1.jpg  photos/cat/2.jpg                      the folders' names are the classes' (_ is a space)
    photos/train/dog/...  photos/test/dog/...               the same with splits: train, validation (val), test
    photos/1.jpg photos/1.cls photos/classnames.txt         labels in files beside the images

What task.toml may say (all of it can be left out):

    name = "pets at home"              kind = "classification"        # or multilabel, retrieval
    metric = "mean_per_class"          templates = ["a photo of a {}, a pet.", "{}"]
    labels = "labels.csv"              # columns image, label and, where there are splits, split; in place of folders
    reference = "imagenet"             # this is a shift of that task

    [classes]                          # folder or label -> name, or a list of names; their order is the labels'
    n02085620 = "Chihuahua"

    [splits]                           # split -> folder
    test = "photos_of_2024"

    [reference_classes]                # class -> the reference's class it is, or several; without, names are compared
    dog = ["golden retriever", "beagle"]

A multi-label table has several labels between semicolons. Columns beyond these are kept: frames of videos say their anchor and
offset there. Retrieval takes whatever `fullclip data shard` takes: images beside captions, or a table of both.
"""

from pathlib import Path

from fullclip.evaluation.tasks.files import PairSplit, folders_in, images_in
from fullclip.evaluation.tasks.labels import from_folders, from_sidecars, from_table, has_sidecars
from fullclip.evaluation.tasks.settings import SETTINGS, TaskFile, read_settings
from fullclip.evaluation.tasks.task import METRIC_OF, Split, Task
from fullclip.evaluation.tasks.webdataset import SPLIT_NAMES, TEMPLATES, lines_of


def read_folder(folder: Path, *, name: str | None = None) -> Task:
    """The task in a folder; `name` is for one whose task.toml gives none. ValueError names what is wrong, and where."""
    settings = read_settings(folder)
    plain = settings.plain
    name = plain.name or name or folder.resolve().name
    if plain.kind == "retrieval":
        splits: dict[str, Split] = {split: PairSplit(str(place)) for split, place in _places(folder, settings).items()}
        return Task(name=name, kind=plain.kind, metric=plain.metric or "recall@1", splits=splits, templates=plain.templates)
    if plain.kind == "multilabel" and not plain.labels:
        raise ValueError(
            f"{folder / SETTINGS}: a multi-label task needs `labels`, a table with several labels between semicolons"
        )
    if plain.labels:
        classes, splits = from_table(folder, settings)
    else:
        places = _places(folder, settings)
        classes, splits = (from_sidecars if has_sidecars(places["test"]) else from_folders)(places, settings)
    unknown = sorted(settings.reference_classes.keys() - classes.keys())
    if unknown:
        raise ValueError(f"{folder / SETTINGS}: reference_classes.{unknown[0]}: no such class; there are: {', '.join(classes)}")
    reference = tuple(settings.reference_classes[name] for name in classes) if settings.reference_classes else ()
    return Task(
        name=name,
        kind=plain.kind,
        metric=plain.metric or METRIC_OF[plain.kind],
        splits=splits,
        classes=tuple(classes.values()),
        templates=plain.templates or _templates_beside(folder),
        reference=plain.reference or None,
        reference_classes=reference,
    )


def _places(folder: Path, settings: TaskFile) -> dict[str, Path]:
    """{split: its folder}: as task.toml says, else by the folders' names; a folder without splits is its test split."""
    if settings.splits:
        places = {split: folder / place for split, place in settings.splits.items()}
    else:
        places = {}
        for split, names in SPLIT_NAMES.items():
            found = [folder / name for name in names if (folder / name).is_dir() and not _is_class(folder / name, settings)]
            if len(found) > 1:
                raise ValueError(f"{folder} has both {found[0].name} and {found[1].name}; say which is which under [splits]")
            if found:
                places[split] = found[0]
        places = places or {"test": folder}
    for split, place in places.items():
        if not place.is_dir():
            raise ValueError(f"{place}: no such folder, but {SETTINGS} calls it the {split} split")
    if "test" not in places:
        raise ValueError(f"{folder}: there is no test split, only {', '.join(places)}; what is measured is the folder test")
    return places


def _is_class(folder: Path, settings: TaskFile) -> bool:
    """Whether a folder that is called train, val or test is a class of that name: it holds images, and they have no labels."""
    if settings.plain.kind == "retrieval" or folders_in(folder) or has_sidecars(folder):
        return False
    return bool(images_in(folder))


def _templates_beside(folder: Path) -> tuple[str, ...]:
    path = folder / TEMPLATES
    return tuple(lines_of(path.read_text(encoding="utf-8-sig"))) if path.is_file() else ()
