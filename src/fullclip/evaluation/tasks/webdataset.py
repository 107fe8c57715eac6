"""Sets in tar shards: the layout of the hub's `clip-benchmark/wds_*` sets, and shards of pairs, on disk or in a store.

    classnames.txt                            one class a line, in the order of the labels
    zeroshot_classification_templates.txt     one sentence a line, with {c} or {} for the class
    dataset_type.txt                          absent for a classification; multilabel; retrieval
    train/, test/ ...                         nshards.txt (how many), 0.tar, 1.tar ...

A sample is an image beside `.cls` (its label), `.npy` (0 or 1 for each class, -1 for not judged) or `.txt` (captions, one a
line; `.json` with "captions", as our own shards have it, does as well).
"""

import hashlib
import io
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np

from fullclip.core.config import lookup
from fullclip.core.folders import names_in, read_text
from fullclip.core.storage import exists, file_info, is_remote, sha256
from fullclip.data.groups import parse_group, read_groups, read_table
from fullclip.data.shards import captions_of, find_shards
from fullclip.evaluation.tasks.task import METRIC_OF, Example, Kind, Metric, Skipped, Split, Task
from fullclip.preprocess.image import IMAGE_EXTENSIONS

CLASSES, TEMPLATES, TYPE = "classnames.txt", "zeroshot_classification_templates.txt", "dataset_type.txt"
SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}


def is_webdataset(folder: str) -> bool:
    """Whether a folder has a split in this layout."""
    return any(name.endswith(".tar") for split in _splits_in(folder).values() for name in names_in(f"{folder}/{split}"))


def read_webdataset(folder: str, *, name: str, metric: Metric | None = None) -> Task:
    """The task in a folder; ValueError where a shard is missing or torn, the type is unknown or there are no class names."""
    folder = folder.rstrip("/")
    kind = _kind(folder)
    classes: tuple[tuple[str, ...], ...] = ()
    templates: tuple[str, ...] = ()
    if kind != "retrieval":
        if not exists(f"{folder}/{CLASSES}"):
            raise ValueError(f"{folder}: {CLASSES} is not there; write it, one class a line, in the order of the labels")
        classes = class_lines(read_text(f"{folder}/{CLASSES}"))
        templates = tuple(lines_of(read_text(f"{folder}/{TEMPLATES}"))) if exists(f"{folder}/{TEMPLATES}") else ()
    splits: dict[str, Split] = {}
    for split, place in _splits_in(folder).items():
        paths = _shards(f"{folder}/{place}")
        if paths:
            splits[split] = ShardSplit(paths, kind=kind, num_classes=len(classes))
    return Task(name=name, kind=kind, metric=metric or METRIC_OF[kind], splits=splits, classes=classes, templates=templates)


def read_pairs(patterns: Sequence[str], *, name: str) -> Task:
    """Retrieval among the pairs of shards, each image with all its captions."""
    split = ShardSplit(find_shards(patterns), kind="retrieval", num_classes=0)
    return Task(name=name, kind="retrieval", metric="recall@1", splits={"test": split})


def _kind(folder: str) -> Kind:
    said = read_text(f"{folder}/{TYPE}").strip().lower() if exists(f"{folder}/{TYPE}") else "classification"
    kinds: dict[str, Kind] = {"classification": "classification", "multilabel": "multilabel", "retrieval": "retrieval"}
    return lookup(kinds, said, what=f"type of a set ({folder}/{TYPE})")


def class_lines(text: str) -> tuple[tuple[str, ...], ...]:
    """The classes of a classnames.txt: one a line; several names of one class stand between ` | `."""
    return tuple(tuple(name.strip() for name in line.split(" | ")) for line in lines_of(text))


def lines_of(text: str) -> list[str]:
    """The lines of a file, stripped; empty ones at its end do not count."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _splits_in(folder: str) -> dict[str, str]:
    """{our name of a split: its folder's}."""
    there = set(names_in(folder))
    found = {}
    for split, names in SPLIT_NAMES.items():
        matches = [name for name in names if name in there]
        if len(matches) > 1:
            raise ValueError(f"{folder} has both {matches[0]} and {matches[1]}; one split is called {split}: rename the other")
        if matches:
            found[split] = matches[0]
    return found


def _shards(folder: str) -> list[str]:
    """The shards of a split, in the order of their numbers; ValueError where nshards.txt counts others."""
    there = [name for name in names_in(folder) if name.endswith(".tar")]
    numbered = sorted(there, key=lambda name: (not name[:-4].isdigit(), int(name[:-4]) if name[:-4].isdigit() else 0, name))
    if exists(f"{folder}/nshards.txt"):
        said = read_text(f"{folder}/nshards.txt").strip()
        wanted = [f"{number}.tar" for number in range(int(said))] if said.isdigit() else None
        if wanted is None:
            raise ValueError(f"{folder}/nshards.txt says {said!r}; it holds the number of shards")
        missing = [name for name in wanted if name not in there]
        if missing or len(there) > len(wanted):
            problem = f"{missing[0]} is not there" if missing else f"{len(there)} are there"
            raise ValueError(f"{folder}/nshards.txt counts {said} shards, but {problem}; fetch the set again")
        numbered = wanted
    return [f"{folder}/{name}" for name in numbered]


class ShardSplit(Split):
    """The samples of shards, one after another. ValueError for a shard that is torn."""

    def __init__(self, paths: Sequence[str], *, kind: Kind, num_classes: int) -> None:
        self._paths, self._kind, self._num_classes = list(paths), kind, num_classes
        self._tables = [read_table(path) for path in self._paths]
        for path, table in zip(self._paths, self._tables, strict=True):
            if table.torn_at is not None:
                raise ValueError(f"{path} is torn from byte {table.torn_at:,}; fetch it again")
        self._starts = [0, *accumulate(table.num_groups for table in self._tables)]

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, places: range) -> Iterator[Example | Skipped]:
        at = places.start
        while at < places.stop:
            shard = bisect_right(self._starts, at) - 1
            first, end = self._starts[shard], min(places.stop, self._starts[shard + 1])
            groups = read_groups(self._paths[shard], self._tables[shard], range(at - first, end - first))
            for place, data in zip(range(at, end), groups, strict=True):
                yield self._example(data, f"{self._paths[shard].rpartition('/')[2]}:{place - first}")
            at = end

    def digest(self) -> str:
        marks = [file_info(path).version if is_remote(path) else sha256(path) for path in self._paths]
        return hashlib.sha256(" ".join([self._kind, *marks]).encode()).hexdigest()

    def _example(self, data: bytes | None, place: str) -> Example | Skipped:
        group = parse_group(data) if data is not None else None
        if group is None:
            return Skipped(key=place, reason="broken sample")
        key, files = group
        image = next((files[extension] for extension in IMAGE_EXTENSIONS if extension in files), None)
        if image is None:
            return Skipped(key=key, reason="sample without image")
        if self._kind == "retrieval":
            return _captioned(key, image, files)
        return self._labelled(key, image, files) if self._kind == "classification" else self._judged(key, image, files)

    def _labelled(self, key: str, image: bytes, files: Mapping[str, bytes]) -> Example | Skipped:
        text = files.get("cls", b"").strip()
        if not text.lstrip(b"-").isdigit():
            return Skipped(key=key, reason="no label" if "cls" not in files else "broken label")
        if not 0 <= int(text) < self._num_classes:
            raise ValueError(f"{key}: label {int(text)}, but {CLASSES} has {self._num_classes} classes, from 0")
        return Example(key=key, image=image, labels=(int(text),))

    def _judged(self, key: str, image: bytes, files: Mapping[str, bytes]) -> Example | Skipped:
        try:
            targets = np.load(io.BytesIO(files["npy"]), allow_pickle=False)
        except KeyError:
            return Skipped(key=key, reason="no label")
        except (ValueError, EOFError, OSError):
            return Skipped(key=key, reason="broken label")
        if targets.shape != (self._num_classes,) or not np.isin(targets, (-1, 0, 1)).all():
            said = f"{list(targets.shape)} of {np.unique(targets)[:4].tolist()}"
            raise ValueError(f"{key}: labels are {said}; one of -1, 0, 1 for each of {self._num_classes} classes is needed")
        labels = tuple(int(label) for label in np.flatnonzero(targets == 1))
        unjudged = [int(label) for label in np.flatnonzero(targets == -1)]
        return Example(key=key, image=image, labels=labels, meta={"not_judged": unjudged} if unjudged else {})


def _captioned(key: str, image: bytes, files: Mapping[str, bytes]) -> Example | Skipped:
    try:
        meta = json.loads(files.get("json", b"{}"))
        texts = captions_of(meta) if isinstance(meta, dict) else ()
        lines = [line.strip() for line in files.get("txt", b"").decode("utf-8-sig").splitlines()]
    except (ValueError, RecursionError):
        return Skipped(key=key, reason="broken text")
    captions = tuple(dict.fromkeys((*texts, *(line for line in lines if line))))
    return Example(key=key, image=image, texts=captions) if captions else Skipped(key=key, reason="sample without text")
