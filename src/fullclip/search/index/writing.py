"""One process writes into an index at a time. Knows nothing of what is written.

A local folder is held by a lock, which ends with its process. In a store a file says who writes and until when; who is killed
leaves it, and others wait until then. Stores have no locks: two that begin within a second may both think they are alone.
"""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from filelock import FileLock, Timeout

from fullclip.core.folders import LOCK_NAME, appeared, read_text, remove, whole_file
from fullclip.core.storage import complain_of_a_full_disk, is_remote

LEASE = "writer.json"
_SECONDS = 300.0


@contextmanager
def held(index: str) -> Iterator[None]:
    """Nobody else writes into the index, whose folder is made, meanwhile. ValueError where somebody does."""
    if is_remote(index):
        with _lease(f"{index}/{LEASE}", index):
            yield
        return
    if Path(index).is_file():
        raise ValueError(f"{index} is a file; give a folder with --index")
    Path(index).mkdir(parents=True, exist_ok=True)
    lock = FileLock(Path(index) / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"another process is writing into {index}: wait for its end, or give another --index") from None
    try:
        yield
    except (RuntimeError, OSError):
        complain_of_a_full_disk(Path(index, "rows.lance"))
        raise
    finally:
        lock.release()


@contextmanager
def _lease(path: str, index: str) -> Iterator[None]:
    """The file, renewed while it is needed."""
    who, ended = uuid.uuid4().hex, Event()
    left = _until(path) - time.time()
    if left > 0:
        raise ValueError(
            f"another process is writing into {index}, or was killed: try again when it has ended, or in {left:.0f} s"
        )

    def renew() -> None:
        with whole_file(path, "w") as file:
            json.dump({"who": who, "until": time.time() + _SECONDS}, file)

    def keep() -> None:
        while not ended.wait(_SECONDS / 3):
            renew()

    renew()
    keeper = Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        remove(path)


def _until(path: str) -> float:
    if not appeared(path):
        return 0.0
    try:
        return float(json.loads(read_text(path))["until"])
    except (ValueError, KeyError, TypeError):
        return 0.0
