"""Steps of the data's way, as generators that can stand in a row. All chance comes in as a generator or a seed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

import numpy as np

A = TypeVar("A")
B = TypeVar("B")


def shuffle(items: Iterable[A], *, size: int, random: np.random.Generator) -> Iterator[A]:
    """`items` in a random order, as far as `size` of them in memory allow; all of them, each once."""
    held: list[A] = []
    for item in items:
        held.append(item)
        if len(held) >= size:
            yield _take_any(held, random)
    while held:
        yield _take_any(held, random)


def _take_any(held: list[A], random: np.random.Generator) -> A:
    i = int(random.integers(len(held)))
    held[i], held[-1] = held[-1], held[i]
    return held.pop()


def map_ahead(function: Callable[[A], B], items: Iterable[A], *, pool: Executor, ahead: int) -> Iterator[B]:
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


def batches(items: Iterable[A], size: int) -> Iterator[list[A]]:
    """Lists of `size` items; the last may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch
