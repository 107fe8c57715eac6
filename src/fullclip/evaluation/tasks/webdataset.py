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
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fullclip.core.config import lookup
from fullclip.core.folders import names_in, read_text
from fullclip.core.storage import file_info, is_remote, sha256
from fullclip.data.groups import parse_group
from fullclip.data.shards import captions_of, find_shards
from fullclip.evaluation.tasks.digests import digests_of
from fullclip.evaluation.tasks.groups import ShardGroups
from fullclip.evaluation.tasks.task import METRIC_OF, Example, Kind, Metric, Skipped, Split, Task
from fullclip.preprocess.image import IMAGE_EXTENSIONS

CLASSES, TEMPLATES, TYPE = "classnames.txt", "zeroshot_classification_templates.txt", "dataset_type.txt"
SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
SPLIT_OF: Mapping[str, str] = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_NUMBER = re.compile(rb"-?[0-9]{1,18}")


def is_webdataset(folder: str) -> bool:
    """Whether a folder has a split in this layout, or shards beside the names of classes."""
    there = names_in(folder)
    if CLASSES in there and any(name.endswith(".tar") for name in there):
        return True
    return any(
        name.endswith(".tar") for split in splits_among(there, folder)[0].values() for name in names_in(f"{folder}/{split}")
    )


def read_webdataset(folder: str, *, name: str, metric: Metric | None = None) -> Task:
    """The task in a folder; ValueError where a shard is missing or torn, the type is unknown or there are no class names."""
    folder = folder.rstrip("/")
    there = set(names_in(folder))
    kind = _kind(folder) if TYPE in there else "classification"
    classes: tuple[tuple[str, ...], ...] = ()
    templates: tuple[str, ...] = ()
    if kind != "retrieval":
        if CLASSES not in there:
            raise ValueError(f"{folder}: {CLASSES} is not there; write it, one class a line, in the order of the labels")
        classes = lines_of_classes(f"{folder}/{CLASSES}")
        templates = tuple(lines_of_file(f"{folder}/{TEMPLATES}")) if TEMPLATES in there else ()
    found, note = splits_among(there, folder)
    places = {split: f"{folder}/{place}" for split, place in found.items()} or {"test": folder}
    splits = {split: ShardSplit(shards_in(place), kind=kind, num_classes=len(classes)) for split, place in places.items()}
    return Task(
        name=name,
        kind=kind,
        metric=metric or METRIC_OF[kind],
        splits=splits,
        classes=classes,
        templates=templates,
        note=note,
    )


def read_pairs(patterns: Sequence[str], *, name: str) -> Task:
    """Retrieval among the pairs of shards, each image with all its captions."""
    split = ShardSplit(find_shards(patterns), kind="retrieval", num_classes=0)
    return Task(name=name, kind="retrieval", metric="recall@1", splits={"test": split})


def _kind(folder: str) -> Kind:
    said = " ".join(lines_of_file(f"{folder}/{TYPE}")).lower()
    kinds: dict[str, Kind] = {"classification": "classification", "multilabel": "multilabel", "retrieval": "retrieval"}
    return lookup(kinds, said, what=f"type of a set ({folder}/{TYPE})")


def lines_of_classes(path: str) -> tuple[tuple[str, ...], ...]:
    """`class_lines` of a file; ValueError with its name where it is no text."""
    return class_lines("\n".join(lines_of_file(path)))


def class_lines(text: str) -> tuple[tuple[str, ...], ...]:
    """The classes of a classnames.txt: one a line; several names of one class stand between ` | `. An underscore is a space, as
    in the names of folders.
    """
    return tuple(tuple(name.replace("_", " ").strip() for name in line.split(" | ")) for line in lines_of(text))


def lines_of_file(path: str) -> list[str]:
    """`lines_of` a file; ValueError with its name where it is no text."""
    try:
        return lines_of(read_text(path))
    except UnicodeDecodeError:
        raise ValueError(f"{path}: no text in UTF-8; save it as such") from None


def lines_of(text: str) -> list[str]:
    """The lines of a file, stripped; empty ones at its end do not count."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def splits_among(names: Iterable[str], where: str) -> tuple[dict[str, str], str]:
    """{split: the name that is its folder's}, and what should be known of them: a set that has a validation split, but no test
    split, is measured on that one. ValueError where two are one split.
    """
    found: dict[str, str] = {}
    for name in names:
        split = SPLIT_OF.get(name.lower())
        if split in found:
            raise ValueError(f"{where} has both {found[split]} and {name}; one split is called {split}: rename the other")
        if split is not None:
            found[split] = name
    if "validation" not in found or "test" in found:
        return found, ""
    measured = found.pop("validation")
    return {**found, "test": measured}, f"Measured on {measured}: there is no test split."


def shards_in(folder: str) -> list[str]:
    """The shards of a split, in the order of their numbers; ValueError where there is none, one is missing between two, or
    nshards.txt counts others.
    """
    there = names_in(folder)
    shards = [name for name in there if name.endswith(".tar")]
    by_number = {int(name[:-4]): name for name in shards if name[:-4].isascii() and name[:-4].isdigit()}
    wanted = range(min(by_number, default=0), max(by_number, default=-1) + 1)
    said = " ".join(lines_of_file(f"{folder}/nshards.txt")) if "nshards.txt" in there else None
    if said is not None:
        if not (said.isascii() and said.isdigit()):
            raise ValueError(f"{folder}/nshards.txt says {said!r}; it holds the number of shards")
        wanted = range(int(said))
    elif not shards:
        raise ValueError(f"{folder}: no .tar shards in it; fetch the set again, or remove the folder")
    elif len(by_number) < len(shards):
        return [f"{folder}/{name}" for name in shards]
    missing = [number for number in wanted if number not in by_number]
    counted = f"; {folder}/nshards.txt counts {said}" if said is not None else ""
    if missing:
        raise ValueError(f"{folder}: the shard {missing[0]}.tar is not there{counted}; fetch the set again")
    if len(shards) > len(wanted):
        raise ValueError(f"{folder}: {len(shards)} shards are there{counted}; fetch the set again")
    return [f"{folder}/{by_number[number]}" for number in wanted]


def label_of(content: bytes) -> int | None:
    """The number in a `.cls`; None where it holds something else."""
    text = content.strip()
    return int(text) if _NUMBER.fullmatch(text) else None


class ShardSplit(Split):
    """The samples of shards, one after another. ValueError for a shard that is torn."""

    def __init__(self, paths: Sequence[str], *, kind: Kind, num_classes: int) -> None:
        self._groups, self._kind, self._num_classes = ShardGroups(paths), kind, num_classes
        self._digest = ""

    def __len__(self) -> int:
        return len(self._groups)

    def read(self, places: range) -> Iterator[Example | Skipped]:
        for place, data in self._groups.read(places):
            yield self._example(data, place)

    def digest(self) -> str:
        if not self._digest:
            local = [Path(path) for path in self._groups.paths if not is_remote(path)]
            marks = digests_of([[path] for path in local]) + [_version(path) for path in self._groups.paths if is_remote(path)]
            self._digest = hashlib.sha256(" ".join([self._kind, *marks]).encode()).hexdigest()
        return self._digest

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
        label = label_of(files.get("cls", b""))
        if label is None:
            return Skipped(key=key, reason="no label" if "cls" not in files else "broken label")
        if not 0 <= label < self._num_classes:
            raise ValueError(f"{key}: label {label}, but {CLASSES} has {self._num_classes} classes, from 0")
        return Example(key=key, image=image, labels=(label,))

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


def _version(path: str) -> str:
    """What a store says of a file's content; where it says nothing, all of it is read."""
    info = file_info(path)
    return f"{info.num_bytes} {info.version}" if info.version else sha256(path)


def _captioned(key: str, image: bytes, files: Mapping[str, bytes]) -> Example | Skipped:
    """The lines of the .txt, as CLIP_benchmark reads them; captions of the .json before, where it has others."""
    try:
        meta = json.loads(files.get("json", b"{}"))
        told = captions_of(meta) if isinstance(meta, dict) else ()
        lines = [line.strip() for line in files.get("txt", b"").decode("utf-8-sig").splitlines()]
    except (ValueError, RecursionError):
        return Skipped(key=key, reason="broken text")
    captions = (*told, *(line for line in lines if line and line not in told))
    return Example(key=key, image=image, texts=captions) if captions else Skipped(key=key, reason="sample without text")
