"""One map over partitions, whoever computes it: a pool of processes on this machine here, a Ray cluster in `cluster.py`.

A function gives the same wherever it runs; an item whose process dies is given out again.
"""

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from fullclip.core.pools import end, process_pool

A = TypeVar("A")
B = TypeVar("B")

TRIES = 3


class Engine(ABC):
    """Maps functions over partitions."""

    @abstractmethod
    def map(self, function: Callable[[A], B], items: Sequence[A]) -> Iterator[tuple[int, B]]:
        """(place, `function` of the item there), as they are finished. The function and the items can be pickled.

        Its errors are raised here. OSError where an item's process has died `TRIES` times.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of processes."""


class Pool(Engine):
    """Processes of this machine, as many as `workers`, or as there are processors; one works in this process itself."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._executor: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[A], B], items: Sequence[A]) -> Iterator[tuple[int, B]]:
        if self._workers == 1:
            for place, item in enumerate(items):
                yield place, function(item)
            return
        tries = Counter[int]()
        left = list(range(len(items)))[::-1]
        waiting: dict[Future[B], int] = {}
        try:
            while left or waiting:
                while left and len(waiting) <= self._workers:  # one more than can run, so that none waits for this process
                    try:
                        waiting[self._pool().submit(function, items[left[-1]])] = left[-1]
                    except BrokenProcessPool:
                        break
                    left.pop()
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                lost = list[int]()
                for future in done:
                    place = waiting.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        lost.append(place)
                    else:
                        yield place, result
                if lost:
                    lost += waiting.values()
                    waiting.clear()
                    self._renew()
                    self._count(lost, tries, items)
                    left += sorted(lost, reverse=True)
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """What is being done is given up: who closes has all results, or wants no more."""
        if self._executor is not None:
            end(self._executor)
            self._executor = None

    def _pool(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = process_pool(self._workers)
        return self._executor

    def _renew(self) -> None:
        """The executor is of no more use once one of its processes has died."""
        self.close()

    @staticmethod
    def _count(lost: Sequence[int], tries: Counter[int], items: Sequence[A]) -> None:
        tries.update(lost)
        for place in lost:
            if tries[place] >= TRIES:
                raise OSError(
                    f"a process died {TRIES} times at {items[place]} or beside it; where the memory ran out, use fewer "
                    "--workers; the same command goes on with what is done"
                )
