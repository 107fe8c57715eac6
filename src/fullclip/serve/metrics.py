"""Numbers for Prometheus: requests by route and status, latencies, batch sizes, what waits.

Of several workers, numbers are added up by prometheus_client's files in $PROMETHEUS_MULTIPROC_DIR.
"""

import os
import re
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Those of one app; in a process of several workers, of all."""

    def __init__(self) -> None:
        self._folder = os.environ.get(FOLDER)
        if self._folder:
            _forget_dead(Path(self._folder))
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "fullclip_requests", "Answers by route and status.", ["method", "route", "status"], registry=registry
        )
        self._latency = Histogram(
            "fullclip_request_seconds", "From a request's head to its answer's end.", ["route"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._batches = Histogram(
            "fullclip_batch_size", "Items that went through the model together.", ["kind"], buckets=_SIZES, registry=registry
        )
        self._waiting = Gauge(
            "fullclip_waiting_items", "Items that wait for the model.", ["kind"], multiprocess_mode="livesum", registry=registry
        )
        self._held = Gauge("fullclip_held_bytes", "Bodies that are in work.", multiprocess_mode="livesum", registry=registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def batch(self, kind: str, size: int) -> None:
        self._batches.labels(kind).observe(size)

    def waiting(self, kind: str, items: int) -> None:
        self._waiting.labels(kind).set(items)

    def held(self, num_bytes: int) -> None:
        self._held.set(num_bytes)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        registry = self._registry
        if self._folder:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_dead(folder: Path) -> None:
    """What waited in a worker that was killed waits no more."""
    for path in folder.glob("gauge_live*_*.db"):
        found = re.search(r"_(\d+)\.db$", path.name)
        if found and not Path(f"/proc/{found[1]}").exists() and Path("/proc/self").exists():
            mark_process_dead(int(found[1]), str(folder))  # type: ignore[no-untyped-call]
