"""Steps of the data's way, as generators that can stand in a row."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice, repeat
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def map_ahead(function: Callable[[A], B], items: Iterable[A], *, pool: Executor, ahead: int) -> Generator[B, None, None]:
    """`function` of each item, in order, computed in `pool` up to `ahead` items before they are asked for."""
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def made_ahead(items: Iterable[A], *, ahead: int) -> Iterator[A]:
    """The same items in the same order, made in a thread of their own, up to `ahead` before they are asked for."""
    source = ([item] for item in items)

    def following(_: None) -> list[A]:
        return next(source, [])

    with (
        ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool,
        closing(map_ahead(following, repeat(None), pool=pool, ahead=ahead)) as made,
    ):
        for found in made:
            if not found:
                return
            yield from found


def batches(items: Iterable[A], size: int) -> Iterator[list[A]]:
    """Lists of `size` items; the last may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch
