"""Many requests' items through one function, against calling it on each alone."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from fullclip.serve.gather import Busy, Gatherer
from fullclip.serve.metrics import Metrics


class Doubling:
    """Rows of an item's number and its double; remembers batches, and that nobody entered it twice."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches, self._lock, self._seconds = list[list[int]](), threading.Lock(), seconds

    def __call__(self, items: list[int]) -> np.ndarray:
        assert self._lock.acquire(blocking=False)
        try:
            self.batches.append(list(items))
            time.sleep(self._seconds)
            if 666 in items:
                raise RuntimeError("out of memory")
            return np.array([[item, 2 * item] for item in items], dtype=np.float32)
        finally:
            self._lock.release()


def prepared(item: int) -> int:
    if item < 0:
        raise ValueError(f"item {item}")
    return item


def gathered(
    forward: Doubling, work: Callable[[Gatherer[int, int]], Coroutine[Any, Any, Any]], *, batch: int = 4, most: int = 100
) -> Any:
    """What `work` gives, with a gatherer."""

    async def main() -> Any:
        with ThreadPoolExecutor(1) as thread, ThreadPoolExecutor(2) as pool:
            gatherer = Gatherer(
                "texts", prepared, forward, thread=thread, pool=pool, sizes=(batch, most), wait=0.002, metrics=Metrics()
            )
            async with gatherer.running():
                return await asyncio.wait_for(work(gatherer), 20)

    return asyncio.run(main())


def rows(*items: int) -> list[list[int]]:
    return [[item, 2 * item] for item in items]


def test_each_request_gets_its_own_rows_in_order():
    random = np.random.default_rng(0)
    asked = [random.integers(0, 600, random.integers(1, 23)).tolist() for _ in range(60)]
    forward = Doubling()
    found = gathered(forward, lambda gatherer: asyncio.gather(*map(gatherer, asked)), batch=7, most=10_000)
    for items, answer in zip(asked, found, strict=True):
        assert answer.tolist() == rows(*items)
    assert sorted(item for one in forward.batches for item in one) == sorted(item for items in asked for item in items)
    assert max(map(len, forward.batches)) == 7
    assert len(forward.batches) <= sum(map(len, asked)) / 7 + 3


def test_what_waits_at_the_same_time_is_one_batch():
    forward = Doubling()
    gathered(forward, lambda gatherer: asyncio.gather(*(gatherer([i]) for i in range(4))))
    assert forward.batches == [[0, 1, 2, 3]]


def test_a_large_request_does_not_hold_a_small_one():
    forward = Doubling(seconds=0.01)
    done = list[str]()

    async def work(gatherer: Gatherer[int, int]) -> None:
        async def ask(name: str, items: list[int]) -> None:
            await gatherer(items)
            done.append(name)

        large = asyncio.ensure_future(ask("large", list(range(60))))
        await asyncio.sleep(0.015)
        await asyncio.gather(large, ask("small", [100]))

    gathered(forward, work)
    assert done == ["small", "large"]
    place = next(place for place, batch in enumerate(forward.batches) if 100 in batch)
    assert place <= 4  # of sixteen: those on their way when it came, and its own


def test_a_broken_item_fails_its_own_request_alone():
    forward = Doubling()

    async def work(gatherer: Gatherer[int, int]) -> list[Any]:
        return await asyncio.gather(gatherer([1, -7, 2]), gatherer([3]), return_exceptions=True)

    broken, good = gathered(forward, work)
    assert isinstance(broken, ValueError)
    assert str(broken) == "item -7"
    assert good.tolist() == rows(3)


def test_a_model_that_fails_fails_the_batch_and_goes_on():
    forward = Doubling()

    async def work(gatherer: Gatherer[int, int]) -> list[Any]:
        failed = await asyncio.gather(gatherer([666]), gatherer([1]), return_exceptions=True)
        return [*failed, await gatherer([5])]

    first, second, third = gathered(forward, work)
    assert [type(first), type(second)] == [RuntimeError, RuntimeError]
    assert third.tolist() == rows(5)


def test_a_full_queue_says_when_to_come_again():
    async def work(gatherer: Gatherer[int, int]) -> None:
        first = asyncio.ensure_future(gatherer(list(range(8))))
        await asyncio.sleep(0)
        with pytest.raises(Busy) as refused:
            await gatherer(list(range(3)))
        assert 1 <= refused.value.seconds <= 60
        await gatherer([1, 2])  # there is room for these
        assert len(await first) == 8
        assert len(await gatherer(list(range(10)))) == 10

    gathered(Doubling(), work, most=10)


def test_who_gives_up_leaves_the_queue():
    forward = Doubling(seconds=0.02)

    async def work(gatherer: Gatherer[int, int]) -> None:
        large = asyncio.ensure_future(gatherer(list(range(100))))
        await asyncio.sleep(0.03)
        large.cancel()
        assert (await gatherer([200])).tolist() == rows(200)
        assert len(await gatherer(list(range(300, 400)))) == 100  # the room is free again

    gathered(forward, work)
    assert sum(item < 100 for batch in forward.batches for item in batch) <= 16


def test_what_waits_at_the_end_is_told():
    async def work(gatherer: Gatherer[int, int]) -> asyncio.Future[Any]:
        left = asyncio.ensure_future(gatherer(list(range(90))))
        await asyncio.sleep(0.01)
        return left

    async def main() -> None:
        with ThreadPoolExecutor(1) as thread, ThreadPoolExecutor(2) as pool:
            gatherer = Gatherer(
                "texts", prepared, Doubling(0.05), thread=thread, pool=pool, sizes=(4, 100), wait=0.0, metrics=Metrics()
            )
            async with gatherer.running():
                left = await work(gatherer)
            with pytest.raises(Busy):
                await left

    asyncio.run(main())
