"""Parts of batches from processes that decode. Knows how such processes start, fail and end, and nothing of what they do."""

import atexit
import multiprocessing
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver
from typing import Any

import fsspec
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from fullclip.core import remote
from fullclip.data.lanes import Part


@dataclass(frozen=True)
class _Failure:
    """An error for the user, on its way to the process that shows it."""

    error: Exception


@dataclass(frozen=True)
class _Surroundings:
    """What a process started from a server would not have of its parent's."""

    environment: dict[str, str]
    stores: dict[str, Any]
    tries: int
    first_pause: float

    @classmethod
    def mine(cls) -> "_Surroundings":
        return cls(dict(os.environ), dict(fsspec.config.conf), remote.TRIES, remote.FIRST_PAUSE)

    def take_on(self) -> None:
        # both reach all processes of a terminal, or of a job: the parent decides
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        os.environ.update(self.environment)
        fsspec.config.conf.update(self.stores)
        remote.TRIES, remote.FIRST_PAUSE = self.tries, self.first_pause


class _Shares(IterableDataset[Any]):
    """In worker w, what the w-th of `makers` makes."""

    def __init__(self, makers: Sequence[Callable[[], Iterator[Part]]], surroundings: _Surroundings) -> None:
        self._makers, self._surroundings = makers, surroundings

    def __iter__(self) -> Iterator[Any]:
        self._surroundings.take_on()
        info = get_worker_info()
        assert info is not None
        try:
            yield from self._makers[info.id]()
        except (ValueError, OSError) as error:
            yield _Failure(_sendable(error))


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:
        return ValueError(str(error)) if isinstance(error, ValueError) else OSError(str(error))
    return error


def parts_of_workers(makers: Sequence[Callable[[], Iterator[Part]]]) -> Iterator[list[Part]]:
    """The n-th parts of all makers, each made in a process of its own, in the makers' order, for every n.

    A ValueError or OSError in a process is raised here as it is; a process that dies is a RuntimeError. When the iterator is
    given up the processes end.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more processes than cores: the user's choice
        loader = DataLoader(
            _Shares(makers, _Surroundings.mine()),
            batch_size=None,
            num_workers=len(makers),
            multiprocessing_context=_context(),
            generator=torch.Generator(),  # or it would draw a number from the run's own
        )
        before = multiprocessing.active_children()
        received = iter(loader)
    own = [child for child in multiprocessing.active_children() if child not in before]
    kill = partial(_kill, own)
    atexit.register(kill)  # they ignore SIGTERM, with which Python would end them, and wait for ever
    try:
        while True:
            parts: list[Part] = []
            for _ in makers:
                part = _next(received)
                if part is None:
                    return
                if isinstance(part, Exception):
                    raise part
                parts.append(part)
            yield parts
    finally:
        del received, loader  # the last reference: its processes are told to end, and waited for
        kill()
        atexit.unregister(kill)


def _kill(processes: Sequence[Any]) -> None:
    """End those that still run."""
    for process in processes:
        if process.is_alive():
            process.kill()


def _next(received: Iterator[Any]) -> Part | Exception | None:
    """The next part, or the error that came in its place. Not raised here: its traceback would keep `received`, and with it the
    processes, alive.
    """
    try:
        found: Part | _Failure | None = next(received, None)
    except (EOFError, OSError) as error:  # it was killed with a tensor on its way
        message = type(error).__name__
    except RuntimeError as error:
        message = str(error)
        if "exited unexpectedly" not in message and "killed by signal" not in message:
            raise
    else:
        return found.error if isinstance(found, _Failure) else found
    return RuntimeError(
        f"a decoding process was killed ({message.strip().splitlines()[0]}); where the memory ran out, set data.workers or"
        " data.shuffle_size lower"
    )


def _context() -> Any:
    """Forked from a server without threads or GPU, where there is one; else started anew."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fullclip.data.workers"])  # torch is imported once, not in every process
    with _sigterm_ignored():
        forkserver.ensure_running()  # what it ignores from its start on, it goes on to ignore
    return context


@contextmanager
def _sigterm_ignored() -> Iterator[None]:
    """Only the main thread may say so; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
