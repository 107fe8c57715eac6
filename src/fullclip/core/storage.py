"""Files wherever they are: local paths, s3://, https:// through fsspec; atomic writes, hashes, the cache folder.

A path is a string; what has a scheme is fsspec's, everything else is a local path.
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec

_NEARLY_FULL = 64 << 10


def is_remote(path: str) -> bool:
    return "://" in path


def is_folder(path: str) -> bool:
    filesystem, root = fsspec.core.url_to_fs(path)
    return bool(filesystem.isdir(root))


def open_file(path: str, mode: str = "rb") -> Any:
    """Open `path` for reading or writing, as `open` does; FileNotFoundError names the whole path.

    A local file is an IO[Any]; fsspec's remote files read and seek like one, without being one.
    """
    if is_remote(path):
        return fsspec.open(path, mode).open()
    return open(path, mode)


def expand(patterns: Sequence[str], *, suffix: str) -> list[str]:
    """Every file meant by `patterns` (files, globs, folders), in order, without repetition.

    Globs and folders give the names that end with `suffix`; a file may have any name. Local paths come back absolute. A
    pattern that matches nothing is a ValueError.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        matches = _expand_one(pattern, suffix)
        if not matches:
            raise ValueError(f"no {suffix} files match {pattern!r}; give a file, a folder or a glob such as data/*{suffix}")
        found.update(dict.fromkeys(matches))
    return list(found)


def _expand_one(pattern: str, suffix: str) -> list[str]:
    # url_to_fs makes a local path absolute, so that a file found by two patterns is known as one
    filesystem, root = fsspec.core.url_to_fs(pattern)
    if any(character in pattern for character in "*?[") and not filesystem.exists(root):
        matches = [path for path in filesystem.glob(root) if path.endswith(suffix)]
    elif filesystem.isdir(root):
        matches = [path for path in filesystem.ls(root, detail=False) if path.endswith(suffix)]
    else:
        matches = [root] if filesystem.exists(root) else []
    return sorted(filesystem.unstrip_protocol(match) if is_remote(pattern) else match for match in matches)


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
        _complain_of_a_full_disk(path)
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
            _fsync(file)
        _swap(temporary, path)
        _fsync(path.parent)
    except Exception:
        _complain_of_a_full_disk(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _complain_of_a_full_disk(path: Path) -> None:
    """Libraries that write files say in many ways that they could not; where the disk is full, that is what matters."""
    if shutil.disk_usage(path.parent).free < _NEARLY_FULL:
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


def _fsync(path: Path) -> None:
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
