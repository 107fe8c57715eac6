"""Folders wherever they are: what lies in them, files in and out. A remote store is asked again where that may help."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from fullclip.core.remote import filesystem_of, patiently, read_remote
from fullclip.core.storage import FileInfo, atomic_file, exists, file_info, info_of, is_remote

LOCK_NAME = ".lock"


def names_in(folder: str) -> list[str]:
    """The names of the files and folders in `folder`, sorted; none where it is not there."""
    if not is_remote(folder):
        return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).is_dir() else []
    files, root = filesystem_of(folder)

    def look() -> list[str]:
        files.invalidate_cache()
        try:
            return [str(path).rstrip("/").rpartition("/")[2] for path in files.ls(root, detail=False)]
        except FileNotFoundError:
            return []

    return sorted(patiently(look, folder))


def files_below(folder: str) -> dict[str, FileInfo]:
    """All files of a folder at any depth, by path in the order of their paths, with sizes and versions. Links to folders are
    followed, once each; a link to nothing has neither.
    """
    if not is_remote(folder):
        return {path: _info_or_nothing(path) for path in sorted(_local_files(folder))}
    files, root = filesystem_of(folder)
    files.invalidate_cache()
    found = patiently(lambda: files.find(root, detail=True), folder)
    return {files.unstrip_protocol(path): info_of(info) for path, info in sorted(found.items())}


def _local_files(folder: str) -> Iterator[str]:
    seen = {Path(folder).resolve()}
    for where, folders, names in os.walk(folder, onerror=_complain, followlinks=True):
        yield from (os.path.join(where, name) for name in names)  # noqa: PTH118  # a million Paths take seconds
        for name in [name for name in folders if Path(where, name).is_symlink()]:
            target = Path(where, name).resolve()
            if target in seen:
                folders.remove(name)
            seen.add(target)


def _info_or_nothing(path: str) -> FileInfo:
    try:
        return file_info(path)
    except FileNotFoundError:
        return FileInfo(num_bytes=None, version="")


def _complain(error: OSError) -> None:
    raise error


def appeared(path: str) -> bool:
    """Whether there is a file or a folder by now: another process may have written it since the last look."""
    if is_remote(path):
        filesystem_of(path)[0].invalidate_cache()
    return exists(path)


def remove(path: str) -> None:
    """Remove a file, or a folder with all that is in it."""
    if is_remote(path):
        files, root = filesystem_of(path)
        patiently(lambda: files.rm(root, recursive=True), path)
    elif Path(path).is_dir():
        shutil.rmtree(path)
    else:
        Path(path).unlink()


def upload(local: Path, path: str) -> None:
    """A local file to a remote store."""
    files, root = filesystem_of(path)
    patiently(lambda: files.put_file(str(local), root), path)


def download(path: str, local: Path) -> None:
    """A file of a remote store to the local disk."""
    files, root = filesystem_of(path)
    patiently(lambda: files.get_file(root, str(local)), path)


def read_text(path: str) -> str:
    """A small file's text."""
    if not is_remote(path):
        return Path(path).read_text(encoding="utf-8")
    return read_remote(path).decode("utf-8")


@contextmanager
def held(folder: Path, *, doing: str) -> Iterator[None]:
    """Nobody else holds this local folder, which is made, meanwhile; a killed process holds nothing. ValueError, with what
    somebody is `doing` there ("training"), where it is held, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give a folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"another process is {doing} into {folder}: wait for its end, or give another --out") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole_file(path: str, mode: str = "wb") -> Iterator[IO[Any]]:
    """As `atomic_file`, local or remote: a remote file is written here first, and appears when all of it is uploaded."""
    if not is_remote(path):
        with atomic_file(path, mode) as file:
            yield file
        return
    with tempfile.TemporaryDirectory(prefix="fullclip-") as folder:
        local = Path(folder) / "file"
        with local.open(mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        upload(local, path)
