"""Several processes that do the same: each that dies is replaced, and all end with the one that watches them."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from fullclip.core.pools import when_parent_ends
from fullclip.core.say import say

_PAUSE_SECONDS = 1.0  # between two starts, where workers die at once
_LOOK_SECONDS = 0.5


def supervise(work: Callable[..., None], *arguments: Any, number: int, drain_seconds: float) -> int:
    """`work(*arguments)` in so many processes until a signal ends it: they get SIGTERM, and SIGKILL where they are still there
    after `drain_seconds`. Gives the signal's number.
    """
    context = multiprocessing.get_context("spawn")

    def started() -> SpawnProcess:
        process = context.Process(target=_watched, args=(work, arguments))
        process.start()
        return process

    with _told() as told:
        workers = [started() for _ in range(number)]
        while not told:
            wait([worker.sentinel for worker in workers], timeout=_LOOK_SECONDS)
            for place, worker in enumerate(workers):
                if told or worker.exitcode is None:
                    continue
                say(f"a worker ended ({_how(worker.exitcode)}); another takes its place")
                time.sleep(_PAUSE_SECONDS)
                workers[place] = started()
        _stop(workers, drain_seconds)
    return told[0]


def _stop(workers: list[SpawnProcess], seconds: float) -> None:
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + seconds
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
        if worker.exitcode is None:
            worker.kill()
            worker.join()


@contextmanager
def _told() -> Iterator[list[int]]:
    """The signals that asked for an end, as they come."""
    found = list[int]()

    def remember(number: int, frame: FrameType | None) -> None:
        found.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watched(work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """In a worker: the work, which ends when nobody watches any more; or an orphan would keep the port."""
    when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        work(*arguments)
    except KeyboardInterrupt:
        return  # Ctrl-C reaches all processes of a terminal


def _how(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
