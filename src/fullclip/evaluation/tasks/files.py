"""Splits whose examples are files on this disk, read when they are asked for."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.sources import read_source
from fullclip.evaluation.tasks.digests import digests_of
from fullclip.evaluation.tasks.task import Example, Skipped, Split
from fullclip.preprocess.image import IMAGE_EXTENSIONS

# Files that look like pictures: those that Pillow cannot read are counted as unreadable, not passed over.
_SUFFIXES = frozenset(
    f".{extension}"
    for extension in (
        *IMAGE_EXTENSIONS,
        *(
            "jpe",
            "jfif",
            "ppm",
            "pgm",
            "pbm",
            "pnm",
            "tga",
            "jp2",
            "j2k",
            "avif",
            "heic",
            "heif",
            "jxl",
            "psd",
            "dng",
            "nef",
            "cr2",
        ),
    )
)
_MOST_OF_A_DIGEST = 4096  # files whose SHA-256 is kept as one
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """An image's path and what is known of it; `key` is its path within the set."""

    path: Path
    key: str
    labels: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


class FileSplit(Split):
    """Image files, in the given order; `skipped` are places of the set that have no usable label."""

    def __init__(self, files: Sequence[File], skipped: Sequence[Skipped] = ()) -> None:
        self._files, self._skipped, self._digest = list(files), list(skipped), ""

    def __len__(self) -> int:
        return len(self._files) + len(self._skipped)

    def read(self, places: range) -> Iterator[Example | Skipped]:
        for place in places:
            if place >= len(self._files):
                yield self._skipped[place - len(self._files)]
                continue
            file = self._files[place]
            try:
                image = file.path.read_bytes() if file.path.is_file() else None  # reading a pipe would never end
            except (OSError, ValueError) as error:  # ValueError: a NUL in the name
                yield Skipped(key=file.key, reason=f"unreadable file ({getattr(error, 'strerror', error)})")
                continue
            if image is None:
                yield Skipped(key=file.key, reason="no such file")
                continue
            yield Example(key=file.key, image=image, labels=file.labels, texts=file.texts, meta=dict(file.meta))

    def digest(self) -> str:
        if not self._digest:
            digest = hashlib.sha256()
            for file in self._files:
                told = [file.key, file.labels, *([file.texts] if file.texts else []), dict(file.meta)]
                digest.update(json.dumps(told).encode())
            digest.update(json.dumps([[skip.key, skip.reason] for skip in self._skipped]).encode())
            digest.update(" ".join(digests_of(list(self._groups()))).encode())
            self._digest = digest.hexdigest()
        return self._digest

    def _groups(self) -> Iterator[list[Path]]:
        """The files folder by folder, so that a new file in one does not have all read again."""
        ordered = sorted(self._files, key=lambda file: file.key)
        for _, group in groupby(ordered, key=lambda file: file.key.rpartition("/")[0]):
            while part := [file.path for file in islice(group, _MOST_OF_A_DIGEST)]:
                yield part


class PairSplit(Split):
    """Images with captions, from whatever `data/sources.py` reads. What that leaves out are places, too.

    A source is gone through once when it is opened: only its images tell which of them are pairs. ValueError where it has
    changed when it is read.
    """

    def __init__(self, source: str) -> None:
        self._source, self._digest = source, hashlib.sha256()
        drops, self._number = Drops(num_examples=1 << 62), 0
        for pair in read_source(source, drops):
            told = [pair.key, pair.texts, hashlib.sha256(pair.image).hexdigest()]
            self._digest.update(json.dumps(told).encode())
            self._number += 1
        names = [(reason, name) for reason, names in drops.examples.items() for name in names]
        self._skipped = [Skipped(key=name, reason=reason) for reason, name in names]
        self._digest.update(json.dumps(names).encode())
        self._next = 0
        self._pairs: Iterator[Pair] = iter(())

    def __len__(self) -> int:
        return self._number + len(self._skipped)

    def read(self, places: range) -> Iterator[Example | Skipped]:
        readable = range(places.start, min(places.stop, self._number))
        for pair in self._from(readable):
            yield Example(key=pair.key, image=pair.image, texts=pair.texts, meta={})
        for place in range(max(places.start, self._number), places.stop):
            yield self._skipped[place - self._number]

    def digest(self) -> str:
        return self._digest.hexdigest()

    def _from(self, places: range) -> Iterator[Pair]:
        """Sources are read from the beginning on; who asks for one range after another goes on where the last ended."""
        if not len(places):
            return
        if places.start < self._next:
            self._next = 0
        if self._next == 0:
            self._pairs = read_source(self._source, Drops())
        for _ in islice(self._pairs, places.start - self._next):
            pass
        for number, pair in enumerate(islice(self._pairs, len(places)), places.start + 1):
            self._next = number
            yield pair
        if self._next < places.stop:
            raise ValueError(f"{self._source} had {self._number} pairs a moment ago and has fewer now; start again")


def images_in(folder: Path) -> list[Path]:
    """All images at any depth, by their names, in natural order; links are followed, hidden files and folders passed over."""
    return sorted((path for path in _files_below(folder) if is_image_name(path.name)), key=natural)


def is_image_name(name: str) -> bool:
    """Whether a file is called as a picture is, and not hidden."""
    return not _is_hidden(name) and Path(name).suffix.lower() in _SUFFIXES


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))


def key_of(path: Path, folder: Path) -> str:
    """A file's path within the set, as text that can be written: bytes that are no UTF-8 are escaped."""
    name = path.relative_to(folder).as_posix()
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """A key for sorting under which 2.jpg comes before 10.jpg."""
    parts = re.split(r"([0-9]+)", path.as_posix())
    return [(0, int(part), "") if place % 2 else (1, 0, part) for place, part in enumerate(parts)], path.as_posix()


def _files_below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        # a link to a folder above would never end
        loops = {name for name in folders if f"{here}/".startswith(f"{os.path.realpath(f'{place}/{name}')}/")}
        folders[:] = [name for name in folders if not _is_hidden(name) and name not in loops]
        yield from (Path(place, name) for name in names)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))
