"""A folder that is written part by part, local or remote: whose it is, what of it is finished, what was begun and is no more.

Knows nothing of what the parts hold.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fullclip.core import folders
from fullclip.core.folders import LOCK_NAME, appeared, files_below, read_text
from fullclip.core.storage import is_folder, is_remote

R = TypeVar("R")

_PARTIAL = ".partial-"
_THREADS = 16


@dataclass(frozen=True, kw_only=True)
class FileSize:
    """A file of a part, by its name below the folder."""

    name: str
    num_bytes: int


@contextmanager
def held(out: str, *, doing: str) -> Iterator[None]:
    """Nobody else writes into a local `out` meanwhile; a killed process holds nothing. ValueError where somebody does."""
    if is_remote(out):
        yield
        return
    with folders.held(Path(out), doing=doing):
        yield


def check_usable(out: str, *, plan_name: str) -> None:
    """ValueError where `out` is a file, or holds something that was not begun with the file `plan_name`."""
    if not is_remote(out) and Path(out).is_file():
        raise ValueError(f"{out} is a file; give a folder with --out")
    if not is_folder(out) or appeared(f"{out}/{plan_name}"):
        return
    names = [path for path in files_below(out) if _PARTIAL not in path and not path.endswith(f"/{LOCK_NAME}")]
    if names:
        raise ValueError(f"{out} holds other files, such as {names[0].rpartition('/')[2]}; give a new folder with --out")


def remove_unfinished(out: str) -> None:
    """What processes that were killed have begun. Asked by who holds `out`, while nobody works."""
    for path in Path(out).rglob(f".*{_PARTIAL}*") if not is_remote(out) else ():
        path.unlink(missing_ok=True)


def finished(out: str, below: str, *, parse: Callable[[str], R | None], files: Callable[[R], tuple[FileSize, ...]]) -> list[R]:
    """The records in the folder `below` of `out` whose files are there, with the sizes that they were written with."""
    sizes = {path.removeprefix(f"{out.rstrip('/')}/"): info.num_bytes for path, info in files_below(out).items()}
    names = [name for name in sizes if name.startswith(f"{below}/") and name.endswith(".json")]
    with ThreadPoolExecutor(_THREADS) as pool:
        read = pool.map(lambda name: parse(read_text(f"{out}/{name}")), names)
    return [one for one in read if one is not None and all(sizes.get(file.name) == file.num_bytes for file in files(one))]
