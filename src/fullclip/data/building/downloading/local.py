"""Files of this machine in place of URLs: read only below the folders that were named for it."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from fullclip.data.building.downloading.failures import FetchError


def read_local(path: str, *, roots: Sequence[str], max_bytes: int) -> bytes:
    """A file's bytes; FetchError where it lies elsewhere, also by a link, or is none that can be read."""
    try:
        real = Path(path).resolve()
        if not any(real.is_relative_to(root) for root in roots):
            raise FetchError("local path", "not below a --root" if roots else "no --root was given")
        if not stat.S_ISREG(real.stat().st_mode):
            raise FetchError("no such file", "not a file")
        with open(real, "rb", opener=_without_waiting) as file:
            body = file.read(max_bytes + 1)
    except (OSError, ValueError, RuntimeError) as error:  # also of a NUL in it, or of links in a circle
        raise FetchError("no such file", type(error).__name__) from None
    if len(body) > max_bytes:
        raise FetchError("too large")
    return body


def _without_waiting(path: str, flags: int) -> int:
    """A pipe that took the file's place would never be opened."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
