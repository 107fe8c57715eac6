"""The map over partitions on Ray: on the cluster of $RAY_ADDRESS, of an address, or on Ray of this machine.

All machines must see the inputs and the folder that is written: on s3://, or on a disk that they share.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from fullclip.core.cluster import connect
from fullclip.core.extras import require
from fullclip.data.building.engine import TRIES, Engine

A = TypeVar("A")
B = TypeVar("B")


class OnRay(Engine):
    """Tasks of a processor each. A Ray that was started here is stopped by `close`."""

    def __init__(self, address: str | None = None) -> None:
        self._ray = require("ray", extra="ray")
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            connect(self._ray, address)

    def map(self, function: Callable[[A], B], items: Sequence[A]) -> Iterator[tuple[int, B]]:
        task = self._ray.remote(_apply).options(num_cpus=1, max_retries=TRIES - 1, retry_exceptions=False)
        given, left = self._ray.put(function), list(enumerate(items))[::-1]
        running: dict[Any, int] = {}
        try:
            while left or running:
                while left and len(running) <= 2 * self._num_cpus():
                    place, item = left.pop()
                    running[task.remote(given, item)] = place
                done, _ = self._ray.wait(list(running), num_returns=1)
                for reference in done:
                    place = running.pop(reference)
                    yield place, self._told(reference, items[place])
        finally:
            for reference in running:
                self._ray.cancel(reference)

    def close(self) -> None:
        if self._is_ours:
            self._ray.shutdown()

    def _num_cpus(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def _told(self, reference: Any, item: Any) -> Any:
        """What a task gave; its error as it had it, without Ray's traces."""
        errors = require("ray.exceptions", extra="ray")
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.WorkerCrashedError as error:
            reason = " ".join(str(error).split())[:300]
            raise OSError(
                f"a worker died {TRIES} times at {item} ({reason}); the same command goes on with what is done"
            ) from None


def _apply(function: Callable[[A], B], item: A) -> B:
    return function(item)
