"""A task by its name or its folder, whatever its layout; which of the known sets are here, and how to bring the rest.

A name stands for the paper's set: its metric, and the names and sentences that the paper's authors chose. A folder is a user's
own task: its own words, whatever it is called.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fullclip.core.config import nearest
from fullclip.core.folders import names_in
from fullclip.core.storage import cache_folder, is_folder, is_remote
from fullclip.evaluation.datasets import DATASETS, HUB_OWNER, Dataset, class_names, imagenet_classes, templates
from fullclip.evaluation.tasks.folder import read_folder
from fullclip.evaluation.tasks.originals import PACKAGED, read_original
from fullclip.evaluation.tasks.settings import SETTINGS
from fullclip.evaluation.tasks.task import Task
from fullclip.evaluation.tasks.webdataset import CLASSES, class_lines, is_webdataset, read_pairs, read_webdataset


@dataclass(frozen=True, kw_only=True)
class Availability:
    """A known set: where it is, or None, and the line that says how to bring it."""

    name: str
    dataset: Dataset
    path: str | None
    how: str


def datasets_folder() -> Path:
    """Where sets lie: $FULLCLIP_DATASETS, else `datasets` in the cache folder."""
    chosen = os.environ.get("FULLCLIP_DATASETS")
    return Path(chosen) if chosen else cache_folder() / "datasets"


def find_task(name: str, *, root: Path | None = None) -> Task:
    """The task in a folder or store, or the known set of that name below `root`. ValueError says how to bring one that is not
    here, or what is wrong with it.
    """
    if name in DATASETS:
        return _known(name, root or datasets_folder())
    if is_remote(name) or Path(name).is_dir():
        return _in_folder(name, name.rstrip("/").rpartition("/")[2])
    if Path(name).is_file():
        raise ValueError(
            f"{name} is a file; a task is a folder (unpack an archive first), or a name of `fullclip evaluate --list`"
        )
    advice = nearest(name, DATASETS) if "/" not in name else "; a task is a folder or a name of `fullclip evaluate --list`"
    raise ValueError(f"no task or folder {name!r}{advice}")


def available(root: Path | None = None) -> list[Availability]:
    """Every known set, with where it is or how to bring it."""
    return [_availability(name, root or datasets_folder()) for name in DATASETS]


def pull(name: str, *, root: Path | None = None, with_train: bool = False) -> Path:
    """Fetch a set from the hub into `root`: its words and test split, the train split if asked for. ValueError where the hub
    does not have it, ConnectionError where it cannot be reached. What is there already is not fetched again.
    """
    found = _availability(name, root or datasets_folder()) if name in DATASETS else None
    if found is None or not found.dataset.hub:
        raise ValueError(f"{name}: {found.how}" if found else f"no data set named {name!r}{nearest(name, DATASETS)}")
    from huggingface_hub import snapshot_download

    repository, place = f"{HUB_OWNER}/{found.dataset.hub}", (root or datasets_folder()) / name
    wanted = ["*.txt", "test/*", *(["train/*", "validation/*"] if with_train else [])]
    try:
        snapshot_download(repository, repo_type="dataset", local_dir=place, allow_patterns=wanted)
    except Exception as error:  # huggingface_hub lets the errors of its HTTP library through, which it has changed twice
        said = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise ConnectionError(
            f"could not fetch https://huggingface.co/datasets/{repository} ({said}); the same command goes on,"
            f" or put the set at {place} by other means"
        ) from None
    return place


def _availability(name: str, root: Path) -> Availability:
    dataset = DATASETS[name]
    if dataset.packaged:
        here = PACKAGED[name]() is not None
        path = f"the package {dataset.packaged}" if here else None
        return Availability(name=name, dataset=dataset, path=path, how=f"pip install {dataset.packaged}")
    places = [root / folder for folder in (name, dataset.hub) if folder and (root / folder).is_dir()]
    by_hand = f"get it from {dataset.home} and put it at {root / name}, a folder of images for each class"
    how = f"fullclip evaluate --pull {name}" if dataset.hub else by_hand
    return Availability(name=name, dataset=dataset, path=str(places[0]) if places else None, how=how)


def _known(name: str, root: Path) -> Task:
    found = _availability(name, root)
    if found.path is None:
        raise ValueError(f"{name} is not here: {found.how}")
    if found.dataset.packaged:
        splits = PACKAGED[name]()
        assert splits is not None
        words = "mnist" if name == "digits" else name
        return Task(
            name=name,
            kind="classification",
            metric="accuracy",
            splits=splits,
            classes=class_names(words),
            templates=templates(words),
        )
    task = _in_folder(found.path, name)
    if task.kind != found.dataset.kind:
        raise ValueError(
            f"{found.path} holds a {task.kind} task, but {name} is a {found.dataset.kind}; see {found.dataset.home}"
        )
    return _with_the_papers_words(replace(task, name=name, metric=found.dataset.metric), found.dataset)


def _with_the_papers_words(task: Task, dataset: Dataset) -> Task:
    """Our class names in the order of the set's own, where each line can be told to be the same class; else the set's own."""
    sentences = templates(task.name) or templates(dataset.reference) or task.templates
    task = replace(task, templates=sentences, reference=dataset.reference or task.reference)
    ours, numbers = class_names(task.name), imagenet_classes(task.name)
    if not ours and not numbers and dataset.reference and len(task.classes) == len(class_names(dataset.reference)):
        ours = class_names(dataset.reference)  # the same thousand classes
    if len(numbers) == len(task.classes):
        task = replace(task, reference_classes=numbers)
    if not ours or task.kind == "retrieval":
        return task
    places = {_plain(names): place for place, names in enumerate(ours)}
    order = [places.get(_plain(names)) for names in task.classes]
    if len(ours) != len(task.classes) or None in order or len(set(order)) != len(order):
        return replace(task, note=f"The set's own class names, not those that openai/CLIP published. {task.note}".strip())
    return replace(task, classes=tuple(ours[place] for place in order if place is not None))


def _plain(names: tuple[str, ...]) -> str:
    """A class's name without what differs from one list to another: case, spaces, hyphens, underscores."""
    return "".join(letter for letter in names[0].casefold() if letter.isalnum())


def _in_folder(path: str, name: str) -> Task:
    readers: list[tuple[Callable[[], bool], Callable[[], Task | None]]] = [
        (lambda: not is_remote(path) and (Path(path) / SETTINGS).is_file(), lambda: read_folder(Path(path), name=name)),
        (lambda: is_webdataset(path), lambda: read_webdataset(path, name=name)),
        (lambda: any(file.endswith(".tar") for file in names_in(path)), lambda: read_pairs([path], name=name)),
        (lambda: not is_remote(path), lambda: _original(Path(path), name)),
        (lambda: not is_remote(path), lambda: read_folder(Path(path), name=name)),
    ]
    for fits, read in readers:
        task = read() if fits() else None
        if task is not None:
            return task
    what = "no shards in WebDataset's layout" if is_folder(path) else "no such folder"
    raise ValueError(f"{path}: {what}; a folder of images has to be on this disk")


def _original(folder: Path, name: str) -> Task | None:
    """A set in its authors' files; its classes are those in classnames.txt beside them, or of the known set that it is."""
    found = read_original(folder)
    if found is None:
        return None
    known, splits = found
    beside = folder / CLASSES
    classes = class_lines(beside.read_text(encoding="utf-8-sig")) if beside.is_file() else class_names(known)
    return Task(name=name, kind="classification", metric="accuracy", splits=splits, classes=classes, templates=templates(known))
