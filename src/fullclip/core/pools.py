"""Processes that work for this one, and end with it. Knows nothing of what they do."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver


def process_pool(workers: int, *, preload: str | None = None) -> ProcessPoolExecutor:
    """So many processes, started as there is work. Each leaves Ctrl-C to this one, computes on one thread, and ends with this
    one, however this one ends. preload: a module that takes long to import and is imported once, not in each of them.
    """
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    if method == "forkserver":  # forked from this process they would have its threads' locks, held for ever
        if preload is not None:
            multiprocessing.get_context(method).set_forkserver_preload([preload])  # of no effect once the server runs
        with _own_modules_only():
            forkserver.ensure_running()
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(method), initializer=_begin)


def end(pool: ProcessPoolExecutor) -> None:
    """What is being done is given up: who ends a pool has all results, or wants no more."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(cancel_futures=True)


@contextmanager
def _own_modules_only() -> Iterator[None]:
    """A process that is started meanwhile does not take a file of the working folder (random.py, say) for a module."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:  # it has read that already
        sys.modules["torch"].set_num_threads(1)
    # of a parent that was killed they would wait for work for ever, and write beside those of the run that goes on
    when_parent_ends(lambda: os._exit(1))


def when_parent_ends(action: Callable[[], None]) -> None:
    """In a process that `multiprocessing` started: do something, in a thread, once the one that started it is no more."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        action()

    threading.Thread(target=wait, daemon=True).start()
