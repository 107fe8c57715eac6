"""Threads whose products run on one core each. Knows nothing of what they do.

A search makes a hundred small products, and each that is shared among cores waits for all of them: where other work is going
on, a query in two threads took ten times as long as in one (bench/search.py).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock, Thread
from typing import TypeVar

import torch

from fullclip.core.processor import num_cores

A = TypeVar("A")
R = TypeVar("R")

_changing = Lock()


def in_threads(action: Callable[[A], R], items: Iterable[A]) -> list[R]:
    """What `action` gives for each, in their order."""
    return list(_pool().map(action, items))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_cores(), thread_name_prefix="nearest", initializer=_on_one_core)


def _on_one_core() -> None:
    """PyTorch's number is this thread's and the default of threads to come, which is set back from another thread."""
    with _changing:
        default = torch.get_num_threads()
        torch.set_num_threads(1)
        back = Thread(target=torch.set_num_threads, args=(default,))
        back.start()
        back.join()
