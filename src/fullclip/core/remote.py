"""Stores that fail now and then: s3://, https:// and whatever else fsspec knows, asked with tries and pauses.

Knows nothing of what is read or written. A store that stays away is one error that names the path.
"""

import io
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import fsspec

from fullclip.core.extras import require
from fullclip.core.say import say

T = TypeVar("T")

TRIES = 8  # with pauses that double, about a minute: a store that is started anew is back by then
FIRST_PAUSE = 0.5
_BLOCK = 4 << 20
_WORTH_A_WORD = 3.0  # seconds
# Errors that another try does not mend. The stores' own libraries are not imported here, so theirs are told by name.
_FINAL = (PermissionError, IsADirectoryError, NotADirectoryError, ImportError, NotImplementedError, ValueError, TypeError)
_FINAL_NAMES = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "ParamValidationError", "NoSuchBucket"}
_PASSING_STATUSES = {408, 425, 429}


def filesystem_of(path: str) -> tuple[Any, str]:
    """The filesystem and the path in its terms; where s3:// lacks its package the extra is named."""
    if path.startswith("s3://"):
        require("s3fs", extra="s3")
        # its own tries and ours would multiply, and a store that is gone be noticed after minutes
        return fsspec.core.url_to_fs(path, config_kwargs={"retries": {"max_attempts": 1}, "connect_timeout": 10})  # type: ignore[no-any-return]
    return fsspec.core.url_to_fs(path)  # type: ignore[no-any-return]


def patiently(action: Callable[[], T], path: str) -> T:
    """What `action` gives; tried again, after pauses that double and differ, where another try may mend its error.

    FileNotFoundError and PermissionError come at once. OSError that names `path` after the last try.
    """
    for attempt in range(TRIES):
        try:
            return action()
        except Exception as raised:
            error = _told(raised, path)
            if isinstance(error, FileNotFoundError):
                raise FileNotFoundError(f"{path}: there is no such file") from None
            if type(error).__name__ in _FINAL_NAMES:  # of the store's own library, whose types nobody above knows
                raise PermissionError(f"{path}: {error}") from None
            if _is_final(error):
                raise error from None
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if attempt < TRIES - 1:
            pause = FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5)  # or all processes would come back together
            if pause > _WORTH_A_WORD:
                say(f"{path}: no answer ({reason}); once more in {pause:.0f} s")
            time.sleep(pause)
    raise OSError(f"{path}: the store does not answer, {TRIES} tries ({reason})")


def _told(error: Exception, path: str) -> Exception:
    """The error itself: fsspec's http says "not found" of a server that refuses, or is not there, too."""
    cause = error.__cause__
    if not (isinstance(error, FileNotFoundError) and path.startswith("http") and isinstance(cause, Exception)):
        return error
    status = getattr(cause, "status", None)
    if status in (401, 403):
        return PermissionError(f"{path}: the server refuses access ({status})")
    return error if status in (404, 410) else cause


def _is_final(error: Exception) -> bool:
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return 400 <= status < 500 and status not in _PASSING_STATUSES
    return isinstance(error, _FINAL)


def remote_info(path: str) -> dict[str, Any]:
    """What the store says of a file: "size" (None where it does not tell), and marks of its version."""
    filesystem, root = filesystem_of(path)
    info: dict[str, Any] = patiently(lambda: filesystem.info(root), path)
    return info


def read_remote(path: str, start: int = 0, end: int | None = None) -> bytes:
    """The bytes from `start` up to `end`, or to the file's end where that comes first."""
    filesystem, root = filesystem_of(path)

    def read() -> bytes:
        if end is None:
            return bytes(filesystem.cat_file(root))
        try:
            data = bytes(filesystem.cat_file(root, start=start, end=end))
        except Exception as error:
            # the file ends before `start`; s3fs says it in words alone
            if (
                "range is not satisfiable" in str(error)
                or "InvalidRange" in str(error)
                or getattr(error, "status", None) == 416
            ):
                return b""
            raise
        # a server without ranges sends the whole file
        return data if len(data) <= end - start else data[start:end]

    return patiently(read, path)


def open_remote(path: str) -> Any:
    """The file for reading and seeking, block by block; every block is tried again on its own."""
    size = remote_info(path)["size"]
    if size is None:
        return io.BytesIO(read_remote(path))
    return io.BufferedReader(_Blocks(path, int(size)), buffer_size=_BLOCK)


class _Blocks(io.RawIOBase):
    """A remote file as Python's buffered reader wants it."""

    def __init__(self, path: str, size: int) -> None:
        self._path, self._size, self._at = path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if self._at < 0:
            raise OSError("a position before the beginning")
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        data = read_remote(self._path, self._at, end) if end > self._at else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
