"""Items of many requests -> batches of one model -> each request's rows. Knows nothing of HTTP, or of what an item is.

One thread runs the model, so that it is never entered twice; while it is busy, items wait, and all that wait are the next
batch. Requests take turns item by item: one of 512 items does not keep one of a single item waiting for longer than a batch.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import numpy as np

from fullclip.serve.metrics import Metrics

Item = TypeVar("Item")
Ready = TypeVar("Ready")


class Busy(Exception):  # noqa: N818 - not an error: come again
    """Too much waits already. seconds: when there may be room."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too much waits already; come again in {seconds:.0f} s")
        self.seconds = seconds


class _Request(Generic[Item]):
    """Items of which some have their rows; `next` is the first that nobody has taken."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items, self.next, self.left = items, 0, len(items)
        self.rows: np.ndarray | None = None
        self.found = asyncio.get_running_loop().create_future()

    def put(self, place: int, row: np.ndarray) -> None:
        if self.found.done():
            return
        if self.rows is None:
            self.rows = np.empty((len(self.items), len(row)), dtype=np.float32)
        self.rows[place] = row
        self.left -= 1
        if not self.left:
            self.found.set_result(self.rows)

    def fail(self, error: BaseException) -> None:
        if not self.found.done():
            self.found.set_exception(error)


class Gatherer(Generic[Item, Ready]):
    """Gathers items of one kind.

    prepare: an item before it goes into the model, in one of `pool`'s threads, where it needs that; what it raises fails the
    item's request alone.
    forward: a batch -> a row for each, in `thread`. sizes: most items of a batch, and most that wait, beyond which is `Busy`.
    wait: seconds for which the first item of a batch waits for others.
    """

    def __init__(
        self,
        kind: str,
        prepare: Callable[[Item], Ready] | None,
        forward: Callable[[list[Ready]], np.ndarray],
        *,
        thread: Executor,
        pool: Executor,
        sizes: tuple[int, int],
        wait: float,
        metrics: Metrics,
    ) -> None:
        self._kind, self._prepare, self._forward, self._thread, self._pool = kind, prepare, forward, thread, pool
        (self._batch, self._most), self._wait = sizes, wait
        self._metrics = metrics
        self._requests: deque[_Request[Item]] = deque()
        self._waiting, self._running, self._rate = 0, 0, 0.0
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, items: Sequence[Item]) -> np.ndarray:
        """A row for each item, float32 [n, embed]. Busy where there is no room; a caller that is cancelled leaves the queue."""
        if self._waiting + len(items) > self._most:
            raise Busy(min(60.0, max(1.0, self._waiting / self._rate if self._rate else 1.0)))
        request = _Request(items)
        self._requests.append(request)
        self._count(len(items))
        try:
            rows: np.ndarray = await request.found
            return rows
        finally:
            if request in self._requests:  # cancelled, or one of its items failed
                self._requests.remove(request)
                self._count(request.next - len(items))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the body runs, so do batches; at its end those that are on their way are finished."""
        loop = asyncio.ensure_future(self._run())
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.gather(loop, *self._tasks, return_exceptions=True)
            for request in self._requests:
                request.fail(Busy(1.0))

    def _count(self, more: int) -> None:
        self._waiting += more
        self._metrics.waiting(self._kind, self._waiting)
        self._changed.set()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._changed.clear()
            await self._changed.wait()

    async def _run(self) -> None:
        """The next batch is taken when the model is free, or, to be prepared meanwhile, when it would be full anyway."""
        while True:
            await self._until(lambda: self._waiting > 0)
            if self._waiting < self._batch and not self._running:
                await asyncio.sleep(self._wait)
            await self._until(lambda: not self._running or (self._running == 1 and self._waiting >= self._batch))
            taken = self._take()
            if taken:
                self._running += 1
                task = asyncio.ensure_future(self._do(taken))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[tuple[_Request[Item], int]]:
        """The next batch, an item of each request in turn."""
        taken = list[tuple[_Request[Item], int]]()
        while self._requests and len(taken) < self._batch:
            request = self._requests.popleft()
            taken.append((request, request.next))
            request.next += 1
            if request.next < len(request.items):
                self._requests.append(request)
        self._count(-len(taken))
        return taken

    async def _prepared(self, items: Sequence[Item]) -> Sequence[Any]:
        """Each item as it goes into the model, or what went wrong with it."""
        if self._prepare is None:
            return items
        loop = asyncio.get_running_loop()
        ready = [loop.run_in_executor(self._pool, self._prepare, item) for item in items]
        return await asyncio.gather(*ready, return_exceptions=True)

    async def _do(self, taken: list[tuple[_Request[Item], int]]) -> None:
        loop, began = asyncio.get_running_loop(), time.monotonic()
        try:
            found = await self._prepared([request.items[place] for request, place in taken])
            good = list[Ready]()
            places = list[tuple[_Request[Item], int]]()
            for (request, place), one in zip(taken, found, strict=True):
                if isinstance(one, BaseException):
                    request.fail(one)
                elif not request.found.done():
                    good.append(one)
                    places.append((request, place))
            if good:
                self._metrics.batch(self._kind, len(good))
                rows = await loop.run_in_executor(self._thread, self._forward, good)
                for (request, place), row in zip(places, rows, strict=True):
                    request.put(place, row)
                rate = len(good) / max(time.monotonic() - began, 1e-6)
                self._rate = 0.8 * self._rate + 0.2 * rate if self._rate else rate
        except Exception as error:  # the model failed, out of memory say: these requests are told, the next ones are tried
            for request, _ in taken:
                request.fail(error)
        finally:
            self._running -= 1
            self._changed.set()
