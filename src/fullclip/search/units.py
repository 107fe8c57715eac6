"""What a user names (images, folders, globs, shards, tables, texts; local or remote) -> units of work, the same each time.

A unit is a shard, some thousand files of a list, a run of a table's rows or of a text file's lines. Nothing is decoded here.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from fullclip.core.folders import files_below
from fullclip.core.storage import FileInfo, expand, file_info, is_folder, is_remote, open_file
from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards
from fullclip.data.stages import batches
from fullclip.data.tables import TABLE_ENDINGS, cut, ending, is_table
from fullclip.preprocess.image import IMAGE_EXTENSIONS
from fullclip.search.columns import Columns, What

UNIT_SIZE = 4096

OTHER_PICTURE, NO_PICTURE = "picture in a format that is not read (convert it to JPEG or PNG)", "no picture"
_TABLE_NAMES = ("captions", "metadata")
_OTHER_PICTURES = frozenset((
    "arw", "avif", "cr2", "cr3", "dng", "eps", "exr", "hdr", "heic", "heif", "hif", "ico", "j2k", "jfif", "jp2", "jpe", "jpx",
    "jxl", "nef", "orf", "pbm", "pcx", "pgm", "pnm", "ppm", "psd", "qoi", "raf", "raw", "rw2", "svg", "tga", "xcf"
))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A part of the work.

    path: the shard, the table, the text file, or the first of the image files. start, end: bytes of a text file or a table,
    rows of Parquet, places in the list of image files. first: the number of the first row or line. version: changes when what
    is read does.
    """

    kind: Literal["shard", "files", "table", "lines"]
    path: str
    start: int = 0
    end: int = 0
    first: int = 0
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A unit with its number and, of a list of image files, their paths as they were typed, in the folder `base`."""

    number: int
    unit: Unit
    files: tuple[str, ...] = ()
    base: str = ""


_Listed = tuple[str, str]  # an image file as it was typed, and what changes when it does


def find_work(inputs: Sequence[str], *, what: What, drops: Drops | None = None) -> list[Work]:
    """All units of the inputs, in order; image files that follow one another are cut into units together. What lies among
    images and is none, by its ending, goes to `drops`.

    ValueError for an input that is not there, or of a kind that has no such thing as `what`.
    """
    if not inputs:
        raise ValueError("nothing to embed; name images, folders, globs, .tar shards, tables or .txt files")
    found, num_files, base = list[Work](), 0, os.getcwd()
    left_out = Drops() if drops is None else drops
    pieces = (piece for pattern in inputs for piece in _pieces(pattern, what, left_out))
    for is_unit, group in groupby(pieces, key=lambda piece: isinstance(piece, Unit)):
        if is_unit:
            for piece in group:
                assert isinstance(piece, Unit)
                found.append(Work(number=len(found), unit=piece))
            continue
        different = dict(piece for piece in group if not isinstance(piece, Unit))
        for part in batches(different.items(), UNIT_SIZE):
            end = num_files + len(part)
            unit = Unit(kind="files", path=everywhere(part[0][0], base), start=num_files, end=end, version=_mark(part, base))
            found.append(Work(number=len(found), unit=unit, files=tuple(name for name, _ in part), base=base))
            num_files = end
    return found


def everywhere(path: str, base: str) -> str:
    """A path that is good from every folder, of one that is from `base`."""
    if is_remote(path):
        return path
    whole = path if path[:1] == "/" else f"{base}/{path}"
    return whole if is_remote(whole) else os.path.normpath(whole)


def _pieces(pattern: str, what: What, drops: Drops) -> Iterator[Unit | _Listed]:
    if not pattern:
        raise ValueError("one of the inputs has an empty name; is a variable of your shell not set?")
    found = ending(pattern)
    if found == ".tar":
        yield from (_shard(path) for path in find_shards([pattern]))
    elif found in TABLE_ENDINGS:
        for path in expand([pattern], suffix=found):
            yield from _table(path, what)
    elif found == ".txt":
        if what != "texts":
            raise ValueError(f"{pattern}: a file of texts, of which there are no images to embed; add --what texts")
        for path in expand([pattern], suffix=found):
            yield from _lines(path)
    elif is_folder(pattern):
        yield from _folder(pattern, what, drops)
    elif pattern.startswith(("http://", "https://")) and not found:
        yield from (_shard(path) for path in find_shards([pattern]))
    else:
        yield from _files(pattern, what, drops)


def _folder(folder: str, what: What, drops: Drops) -> Iterator[Unit | _Listed]:
    """A table of pairs in it, else its shards, else its images, else its tables."""
    below, root = files_below(folder), folder.rstrip("/")
    tables = [path for path in below if is_table(path)]
    pairs = [path for path in tables if path in {f"{root}/{name}{ending(path)}" for name in _TABLE_NAMES}]
    shards = [path for path in below if ending(path) == ".tar"]
    images = [path for path in below if _is_image(path)]
    if shards and images and not pairs:
        raise ValueError(f"{folder} holds images and shards; name which: {root}/**/*.tar or {root}/**/*{ending(images[0])}")
    if pairs or not (shards or images):
        for path in pairs[:1] or tables:
            yield from _table(everywhere(path, os.getcwd()), what)
        if not tables:
            raise ValueError(f"{folder}: no images, shards or tables in this folder{_others(below)}")
    elif shards:
        is_flat = all(path.rpartition("/")[0] == root for path in shards)
        yield from (_shard(path) for path in find_shards([folder] if is_flat else shards))
    for path in images if not pairs else ():
        beside = below.get(captions_beside(path)) if what != "images" else None
        yield _as_typed(path, folder), f"{_version(below[path])} {_version(beside) if beside else ''}"
    if not (pairs or shards):
        _leave_out(below, {*images, *map(captions_beside, images)}, drops)


def _leave_out(paths: Iterable[str], known: Collection[str], drops: Drops) -> None:
    """Hidden files, as systems write them beside pictures, are not worth a word."""
    for path in paths:
        if path not in known and not path.rpartition("/")[2].startswith("."):
            drops.drop(OTHER_PICTURE if _is_another_picture(path) else NO_PICTURE, path)


def _others(paths: Iterable[str]) -> str:
    """What a folder without images that are read holds in their place."""
    found = [path for path in paths if _is_another_picture(path)]
    return f", but {len(found):,} {ending(found[0])} and such, which are not read: convert them to JPEG or PNG" if found else ""


def _is_another_picture(path: str) -> bool:
    return ending(path).removeprefix(".") in _OTHER_PICTURES


def captions_beside(image: str) -> str:
    """Where the texts of an image file are, one a line: in a file of the same name beside it."""
    return f"{image[: len(image) - len(ending(image))]}.txt"


def _files(pattern: str, what: What, drops: Drops) -> Iterator[_Listed]:
    is_glob = any(character in pattern for character in "*?[") and (is_remote(pattern) or not Path(pattern).exists())
    try:
        found = expand([pattern], suffix="")
    except ValueError:
        raise ValueError(f"{pattern}: no such file or folder") from None
    if is_glob:
        images = [path for path in found if _is_image(path)]
        if not images:
            raise ValueError(f"no images match {pattern!r}{_others(found)}")
        _leave_out(found, {*images, *map(captions_beside, images)}, drops)
        found = images
    for path in found:
        # of a range on the web, which may be long, nothing is asked beforehand: what is not there is counted when it is read
        is_asked = path == pattern or not path.startswith(("http://", "https://"))
        version = _version(file_info(path)) if is_asked else ""
        yield _as_typed(path, pattern), version if what == "images" else f"{version} {_version_of_captions(path)}"


def _version_of_captions(image: str) -> str:
    try:
        return _version(file_info(captions_beside(image)))
    except FileNotFoundError:
        return ""


def _is_image(path: str) -> bool:
    return ending(path).removeprefix(".") in IMAGE_EXTENSIONS


def _as_typed(path: str, pattern: str) -> str:
    """A path that was found by a pattern, from the working folder where the pattern is."""
    return path if is_remote(path) or pattern[:1] == "/" else os.path.relpath(path)


def _mark(files: Iterable[_Listed], base: str) -> str:
    """The SHA-256 of names, sizes and versions."""
    digest = hashlib.sha256()
    for name, version in files:
        digest.update(f"{name}\0{everywhere(name, base)}\0{version}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _version(info: FileInfo) -> str:
    return f"{info.num_bytes} {info.version}".strip()


def _shard(path: str) -> Unit:
    return Unit(kind="shard", path=path, version=_version(file_info(path)))


def _table(path: str, what: What) -> Iterator[Unit]:
    columns, version = Columns.of(path, what), _version(file_info(path))
    for run in cut(path, UNIT_SIZE, together=columns.image or None):
        yield Unit(kind="table", path=path, start=run.start, end=run.end, first=run.first, version=version)


def _lines(path: str) -> Iterator[Unit]:
    """Runs of lines."""
    version = _version(file_info(path))
    with open_file(path) as file:
        start = end = number = first = 0
        for number, line in enumerate(file, 1):
            end += len(line)
            if number - first == UNIT_SIZE:
                yield Unit(kind="lines", path=path, start=start, end=end, first=first, version=version)
                start, first = end, number
        if end > start:
            yield Unit(kind="lines", path=path, start=start, end=end, first=first, version=version)
