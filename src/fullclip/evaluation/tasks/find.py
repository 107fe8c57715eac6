"""A task by its name or its folder, whatever its layout; which of the known sets are here, and how to bring the rest.

A name stands for the paper's set: its metric, and the names and sentences that the paper's authors chose. A folder is a user's
own task: its own words, whatever it is called.
"""

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from fullclip.core.config import nearest
from fullclip.core.folders import names_in
from fullclip.core.storage import cache_folder, is_folder, is_remote
from fullclip.evaluation.datasets import DATASETS, HUB_OWNER, Dataset, class_names, templates
from fullclip.evaluation.tasks.arrays import ArraySplit
from fullclip.evaluation.tasks.files import folders_in
from fullclip.evaluation.tasks.folder import read_folder, read_shards
from fullclip.evaluation.tasks.originals import read_original
from fullclip.evaluation.tasks.packaged import PACKAGED
from fullclip.evaluation.tasks.settings import SETTINGS
from fullclip.evaluation.tasks.task import METRIC_OF, Task, noted
from fullclip.evaluation.tasks.webdataset import (
    CLASSES,
    TEMPLATES,
    TYPE,
    is_webdataset,
    lines_of_classes,
    read_pairs,
    read_webdataset,
)
from fullclip.evaluation.tasks.words import with_imagenets_names, with_the_papers_words

_PULLING = ".fullclip-pulling"  # in a folder that is being fetched: what is there is not all of it
_TRAIN = ("train/*", "validation/*", "val/*", "valid/*")


PULL = "fullclip evaluate --pull"


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
    """The task in a folder or store, or the known set of that name below `root`; a single .tar shard is one of pairs.
    ValueError says how to bring one that is not here, or what is wrong with it.
    """
    if name in DATASETS:
        return _known(name, root or datasets_folder())
    if is_remote(name) or Path(name).is_dir():
        path = name.rstrip("/") if is_remote(name) else name
        own = path.rpartition("/")[2] if is_remote(name) else Path(name).resolve().name
        return with_imagenets_names(_in_folder(path, own))
    if Path(name).is_file():
        if name.endswith(".tar"):
            return read_pairs([name], name=Path(name).stem)
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
    repository, place = f"{HUB_OWNER}/{found.dataset.hub}", (root or datasets_folder()) / name
    wanted = [CLASSES, TEMPLATES, TYPE, "test/*", *(_TRAIN if with_train else ())]
    place.mkdir(parents=True, exist_ok=True)
    (place / _PULLING).touch()
    try:
        _fetch(repository, place, wanted)
    except Exception as error:  # huggingface_hub lets the errors of its HTTP library through, which it has changed twice
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise ConnectionError(
            f"could not fetch https://huggingface.co/datasets/{repository} ({said}); the same command goes on,"
            f" or put the set at {place} by other means"
        ) from None
    (place / _PULLING).unlink()
    return place


def _fetch(repository: str, place: Path, wanted: list[str]) -> None:
    """The files of a data set whose names fit. Where the hub does not answer, snapshot_download is content with what is there,
    so they are looked for.
    """
    from huggingface_hub import HfApi, snapshot_download

    listed = [file.rfilename for file in HfApi().dataset_info(repository).siblings or ()]
    snapshot_download(repository, repo_type="dataset", local_dir=place, allow_patterns=wanted)
    files = [file for file in listed if any(fnmatch(file, pattern) for pattern in wanted)]
    missing = [file for file in files if not (place / file).is_file()]
    if missing or not files:
        raise FileNotFoundError(f"{missing[0]} did not come" if missing else f"none of {', '.join(wanted)} is there")


def _availability(name: str, root: Path) -> Availability:
    dataset = DATASETS[name]
    if dataset.packaged:
        here = importlib.util.find_spec(PACKAGED[name].module) is not None
        path = f"the package {dataset.packaged}" if here else None
        return Availability(name=name, dataset=dataset, path=path, how=f"pip install {dataset.packaged}")
    there = [root / folder for folder in (name, dataset.hub) if folder and (root / folder).is_dir()]
    whole = [place for place in there if not (place / _PULLING).exists()]
    by_hand = f"get it from {dataset.home} and put it at {root / name}, a folder of images for each class"
    how = f"{PULL} {name}" if dataset.hub else by_hand
    if there and not whole:
        how += f" goes on; only a part of it is at {there[0]}"
    return Availability(name=name, dataset=dataset, path=str(whole[0]) if whole else None, how=how)


def _known(name: str, root: Path) -> Task:
    found = _availability(name, root)
    dataset = found.dataset
    if found.path is None:
        raise ValueError(f"{name} is not here: {found.how}")
    if dataset.packaged:
        words, splits = PACKAGED[name].words, PACKAGED[name].read()
        return Task(
            name=name,
            kind=dataset.kind,
            metric=dataset.metric,
            splits=splits,
            classes=class_names(words),
            templates=templates(words),
            dataset=name,
        )
    task = _in_folder(found.path, name)
    if task.kind != dataset.kind:
        raise ValueError(f"{found.path} holds a {task.kind} task, but {name} is a {dataset.kind}; see {dataset.home}")
    if len(task.classes) != dataset.classes:
        raise ValueError(
            f"{found.path} has {len(task.classes)} classes, but {dataset.title} has {dataset.classes}; a part of it or another"
            f" set is measured as a task of its own, by its folder: --task {found.path}"
        )
    number = len(task.splits["test"])
    if dataset.test not in (0, number):
        task = replace(task, note=noted(task.note, f"{number:,} test images; the paper has {dataset.test:,}."))
    return with_the_papers_words(replace(task, name=name, metric=dataset.metric, dataset=name), dataset)


def _in_folder(path: str, name: str) -> Task:
    """The task in a folder, whatever its layout, or in the one folder that it holds."""
    for place in _and_lone_folders(path):
        if not is_remote(place) and (Path(place) / SETTINGS).is_file():
            in_shards = is_webdataset(place) and CLASSES in names_in(place)
            return (read_shards if in_shards else read_folder)(Path(place), name=name)
        if is_webdataset(place):
            return read_webdataset(place, name=name)
        if any(file.endswith(".tar") for file in names_in(place)):
            return read_pairs([place], name=name)
        task = None if is_remote(place) else _original(Path(place), name)
        if task is not None:
            return task
    if not is_remote(path):
        return read_folder(Path(path), name=name)
    what = "no shards in WebDataset's layout" if is_folder(path) else "no such folder"
    raise ValueError(f"{path}: {what}; a folder of images has to be on this disk")


def _and_lone_folders(path: str) -> Iterator[str]:
    """A folder, the one in it where there is no other, the one in that: archives are often unpacked like this."""
    yield path
    if is_remote(path):
        return
    folders = folders_in(Path(path))
    while len(folders) == 1:
        yield str(folders[0])
        folders = folders_in(folders[0])


def _original(folder: Path, name: str) -> Task | None:
    """A set in its authors' files; its classes are those in classnames.txt beside them, or of the known set that it is."""
    found = read_original(folder)
    if found is None:
        return None
    if name in DATASETS and found.known and name != found.known and DATASETS[name].classes != DATASETS[found.known].classes:
        raise ValueError(f"{folder} holds the files of {found.known}, not of {name}")
    words = found.known or name
    beside = folder / CLASSES
    classes = lines_of_classes(str(beside)) if beside.is_file() else found.classes or class_names(words)
    kind = DATASETS[words].kind if words in DATASETS else "classification"
    if not classes and kind != "retrieval":
        raise ValueError(
            f"{folder}: of which set are these files? Write {CLASSES} beside them, one class a line, in label order"
        )
    for split, part in found.splits.items():
        if isinstance(part, ArraySplit):
            part.check(len(classes), f"{folder}: the split {split}")
    metric = METRIC_OF[kind]
    return Task(name=name, kind=kind, metric=metric, splits=found.splits, classes=classes, templates=templates(words))
