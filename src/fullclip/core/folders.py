"""Folders wherever they are: what lies in them, files in and out. A remote store is asked again where that may help."""

import shutil
from pathlib import Path

from fullclip.core.remote import filesystem_of, patiently, read_remote
from fullclip.core.storage import exists, is_remote


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
