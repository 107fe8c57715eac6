"""Files wherever they are: local paths, s3://, https:// through fsspec; atomic writes, hashes, the cache folder.

A path is a string; what has a scheme is fsspec's, everything else is a local path. Remote reads are tried again
(`core/remote.py`).
"""

import errno
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import IO, Any

import fsspec

from fullclip.core.remote import filesystem_of, open_remote, patiently, read_remote, remote_info

_NEARLY_FULL = 64 << 10
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def is_remote(path: str) -> bool:
    return "://" in path


def is_folder(path: str) -> bool:
    """Whether files lie below `path`; never for https://, which cannot list."""
    if _is_http(path):
        return False
    filesystem, root = filesystem_of(path)
    return patiently(lambda: bool(filesystem.isdir(root)), path)


def open_file(path: str, mode: str = "rb") -> Any:
    """Open `path` for reading or writing, as `open` does; FileNotFoundError names the whole path.

    A local file is an IO[Any]; a remote one reads and seeks like one, without being one.
    """
    if not is_remote(path):
        return open(path, mode)
    return open_remote(path) if mode == "rb" else fsspec.open(path, mode).open()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileInfo:
    """`num_bytes` is None where a web server does not tell; `version` changes when the file does."""

    num_bytes: int | None
    version: str


def file_info(path: str) -> FileInfo:
    """Size and version of a file, without reading it; FileNotFoundError where there is none."""
    if not is_remote(path):
        found = Path(path).stat()
        return FileInfo(num_bytes=found.st_size, version=str(found.st_mtime_ns))
    return info_of(remote_info(path))


def info_of(info: Mapping[str, Any]) -> FileInfo:
    """Size and version in what a remote store says of a file."""
    marks = ("ETag", "etag", "LastModified", "Last-Modified", "mtime", "created")
    return FileInfo(num_bytes=info["size"], version=" ".join(str(info[mark]) for mark in marks if mark in info))


def read_range(path: str, start: int, end: int) -> bytes:
    """The bytes from `start` up to `end`, or to the file's end where that comes first."""
    if is_remote(path):
        return read_remote(path, start, end)
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), end - start, start)


def expand(patterns: Sequence[str], *, suffix: str) -> list[str]:
    """Every file meant by `patterns` (files, globs, folders, ranges such as {000..123}), in order, without repetition.

    Globs and folders give the names that end with `suffix`; a file may have any name. https:// takes files and ranges only,
    since it cannot list. Local paths come back absolute. A pattern that matches nothing is a ValueError.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        for single in _ranges(pattern):
            matches = _expand_one(single, suffix, is_listed=single != pattern)
            if not matches:
                advice = f"give a file, a folder, a glob such as data/*{suffix} or a range such as data/{{000..123}}{suffix}"
                raise ValueError(f"no {suffix} files match {single!r}; {advice}")
            found.update(dict.fromkeys(matches))
    return list(found)


def _ranges(pattern: str) -> list[str]:
    """The pattern for each number of its ranges; numbers are as wide as the range's first."""
    if not _RANGE.search(pattern) or (not is_remote(pattern) and Path(pattern).exists()):
        return [pattern]
    texts = _RANGE.split(pattern)  # text, first, last, text, first, last, text
    numbers = []
    for first, last in zip(texts[1::3], texts[2::3], strict=True):
        if int(last) < int(first):
            raise ValueError(f"{pattern}: the range {{{first}..{last}}} goes down; write the smaller number first")
        numbers.append([f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)])
    return [
        "".join(text + number for text, number in zip(texts[::3], (*chosen, ""), strict=True)) for chosen in product(*numbers)
    ]


def _expand_one(pattern: str, suffix: str, *, is_listed: bool) -> list[str]:
    """The files of a pattern without ranges; those that a range lists one by one are not looked for in a remote store."""
    is_glob = any(character in pattern for character in "*?[")
    if is_remote(pattern) and is_listed and not is_glob:
        return [pattern]
    if _is_http(pattern):
        return [pattern] if exists(pattern) else []
    # url_to_fs makes a local path absolute, so that a file found by two patterns is known as one
    filesystem, root = filesystem_of(pattern)
    if is_glob and not exists(pattern):
        matches = [path for path in patiently(lambda: filesystem.glob(root), pattern) if path.endswith(suffix)]
    elif is_folder(pattern):
        listed = patiently(lambda: filesystem.ls(root, detail=False), pattern)
        matches = [path for path in listed if path.endswith(suffix)]
    else:
        matches = [root] if exists(pattern) else []
    return sorted(filesystem.unstrip_protocol(match) if is_remote(pattern) else match for match in matches)


def _is_http(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def exists(path: str) -> bool:
    """Whether there is a file or a folder."""
    if not is_remote(path):
        return Path(path).exists()
    try:
        remote_info(path)
    except FileNotFoundError:
        return False
    return True


def sha256(path: str | Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open_file(str(path)) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_file(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A local file that appears under its name only when all of it is on disk; on an error nothing is left behind."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except Exception:
        complain_of_a_full_disk(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A local folder that appears, or takes an older one's place, only when everything in it is on disk."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
    try:
        temporary.chmod(0o755)  # mkdtemp gives 0700, which would hide the finished folder from other users
        yield temporary
        for file in temporary.rglob("*"):
            fsync(file)
        _swap(temporary, path)
        fsync(path.parent)
    except Exception:
        complain_of_a_full_disk(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def complain_of_a_full_disk(path: Path) -> None:
    """OSError in place of the error being handled, where the disk is full: libraries that write files say in many ways that
    they could not, and this is what matters.
    """
    said = str(sys.exc_info()[1])
    if os.strerror(errno.ENOSPC) in said or shutil.disk_usage(path.parent).free < _NEARLY_FULL:
        raise OSError(errno.ENOSPC, "no space left on the disk; what was there before is whole", str(path)) from None


def _swap(new: Path, path: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    old = path.with_name(f".{path.name}.replaced-{os.getpid()}")
    os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(old, path)
        raise
    shutil.rmtree(old)


def fsync(path: Path) -> None:
    """Have a file's or a folder's content on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_folder() -> Path:
    """Where downloads are kept: $FULLCLIP_CACHE, else $XDG_CACHE_HOME/fullclip, else ~/.cache/fullclip."""
    chosen = os.environ.get("FULLCLIP_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base) / "fullclip"
