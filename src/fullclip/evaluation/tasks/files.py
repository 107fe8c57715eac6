"""Splits whose examples are files on this disk, read when they are asked for."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from fullclip.core.storage import sha256
from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.sources import read_source
from fullclip.evaluation.tasks.task import Example, Skipped, Split
from fullclip.preprocess.image import IMAGE_EXTENSIONS


@dataclass(frozen=True, kw_only=True)
class File:
    """An image's path and what is known of it; `key` is its path within the set."""

    path: Path
    key: str
    labels: tuple[int, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)


class FileSplit(Split):
    """Image files, in the given order; `skipped` are places of the set that have no usable label."""

    def __init__(self, files: Sequence[File], skipped: Sequence[Skipped] = ()) -> None:
        self._files, self._skipped = list(files), list(skipped)

    def __len__(self) -> int:
        return len(self._files) + len(self._skipped)

    def read(self, places: range) -> Iterator[Example | Skipped]:
        for place in places:
            if place >= len(self._files):
                yield self._skipped[place - len(self._files)]
                continue
            file = self._files[place]
            try:
                image = file.path.read_bytes()
            except OSError as error:
                yield Skipped(key=file.key, reason=f"unreadable file ({error.strerror})")
                continue
            yield Example(key=file.key, image=image, labels=file.labels, meta=file.meta)

    def digest(self) -> str:
        digest = hashlib.sha256()
        for file in self._files:
            content = sha256(file.path) if file.path.is_file() else "missing"
            digest.update(json.dumps([file.key, file.labels, dict(file.meta), content]).encode())
        digest.update(json.dumps([[skip.key, skip.reason] for skip in self._skipped]).encode())
        return digest.hexdigest()


class PairSplit(Split):
    """Images with captions, from whatever `data/sources.py` reads. What that leaves out are places, too."""

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


def images_in(folder: Path) -> list[Path]:
    """All images at any depth, in natural order; hidden files and folders are passed over."""
    found = (path for path in folder.rglob("*") if path.suffix.lower().lstrip(".") in IMAGE_EXTENSIONS and path.is_file())
    return sorted((path for path in found if not _is_hidden(path.relative_to(folder))), key=natural)


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(Path(path.name)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def natural(path: Path) -> list[tuple[int, int, str]]:
    """A key for sorting under which 2.jpg comes before 10.jpg."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part) for part in parts]
