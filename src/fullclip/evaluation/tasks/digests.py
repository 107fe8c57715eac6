"""The SHA-256 of files, read again only where they may have changed: what was found is kept in the cache folder."""

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from fullclip.core.storage import cache_folder, sha256

_MISSING = "missing"
_SETTLED = 2 * 10**9  # nanoseconds: a file that is written twice within one tick of its clock looks unchanged
_MOST_AT_ONCE = 8


def digests_of(groups: Sequence[Sequence[Path]]) -> list[str]:
    """For each group of local files the SHA-256 of what is in them, one after another; a path without a file counts as one.

    The answer depends on contents and order alone. It is kept under the files' paths, sizes, inodes and times, both that of the
    last change of their content and that of the system's own record, which no program can set back.
    """
    with ThreadPoolExecutor(min(_MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
        return list(pool.map(_digest, groups))


def _digest(paths: Sequence[Path]) -> str:
    now, marks, newest = time.time_ns(), list[tuple[str, ...]](), 0
    for path in paths:
        try:
            found = path.stat()
        except (OSError, ValueError):  # ValueError: a NUL in the name
            marks.append((str(path), _MISSING))
            continue
        marks.append((str(path.absolute()), f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"))
        newest = max(newest, found.st_mtime_ns, found.st_ctime_ns)
    mark = hashlib.sha256(json.dumps(marks).encode()).hexdigest()
    kept = cache_folder() / "digests" / mark[:2] / mark[2:34]
    known = _read(kept)
    if known is not None:
        return known
    contents = [_content(path) for path in paths]
    digest = hashlib.sha256(" ".join(contents).encode()).hexdigest()
    if newest < now - _SETTLED:
        with suppress(OSError):  # a cache that cannot be written costs another look next time
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(digest, encoding="ascii")  # one that is torn is no digest, and passed over
    return digest


def _content(path: Path) -> str:
    try:
        return sha256(path) if path.is_file() else _MISSING
    except OSError:
        return "unreadable"


def _read(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else None
