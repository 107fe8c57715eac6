"""Workers of a Ray cluster, or of Ray on this machine, that do units of work, each with an Encoder of its own.

All must see the inputs and the folder that gets the parts: on s3://, or on a disk that they share.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import torch

from fullclip.core.cluster import connect
from fullclip.core.extras import require
from fullclip.search.engines import Engine, Local
from fullclip.search.jobs import Job, ModelChoice, do
from fullclip.search.parts import Record
from fullclip.search.units import Work

CPUS_PER_WORKER = 4
TRIES = 3
_AT_A_TIME_ON_A_GPU = 2  # as `Local` does


class Worker:
    """What runs elsewhere. The model is opened when it is first needed, so that an error of it comes back as what it is."""

    def __init__(self, choice: ModelChoice, *, expected: str, num_threads: int) -> None:
        self._local, self._expected, self._lock = Local(choice), expected, Lock()
        if choice.device == "cpu":
            torch.set_num_threads(num_threads)

    def fingerprint(self) -> str:
        return self._local.fingerprint()

    def do(self, work: Work, job: Job) -> Record:
        with self._lock:
            if self._expected and self.fingerprint() != self._expected:
                raise ValueError(
                    "the workers' machines have other weights or compute in other precisions: add --precision float32"
                )
            self._expected = ""
        return do(work, job, self._local.encoder)


class OnRay(Engine):
    """A worker for each GPU, or, where there is none, for some CPUs. A unit whose worker dies is given out again, twice.

    The cluster is the one of $RAY_ADDRESS, or that runs on this machine; where there is none, Ray is started here, and stopped
    by `close`. RuntimeError where a unit's workers keep dying.
    """

    def __init__(self, choice: ModelChoice) -> None:
        self._ray, self._choice, self._fingerprint = require("ray", extra="ray"), choice, ""
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            connect(self._ray)
        self._workers = list[Any]()

    def fingerprint(self) -> str:
        if not self._fingerprint:
            self._start(1)
            self._fingerprint = self._told(lambda: self._ray.get(self._workers[0].fingerprint.remote()))
        return self._fingerprint

    def do(self, works: Sequence[Work], job: Job, *, on_rows: Callable[[int], None]) -> Iterator[Record]:
        self.fingerprint()
        self._start(min(len(works), self._num_workers()[0]))
        pool_of = require("ray.util.actor_pool", extra="ray").ActorPool
        at_a_time = _AT_A_TIME_ON_A_GPU if self._on_gpus() else 1
        pool = pool_of([worker for worker in self._workers for _ in range(at_a_time)])
        records = pool.map_unordered(lambda worker, work: worker.do.remote(work, job), works)
        for _ in works:
            record = self._told(lambda: next(records))
            on_rows(record.images + record.texts)
            yield record

    def close(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers = []
        if self._is_ours:
            self._ray.shutdown()

    def _start(self, number: int) -> None:
        """Have this many workers."""
        on_gpus, (_, cpus) = self._on_gpus(), self._num_workers()
        options: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1} if on_gpus else {"num_cpus": cpus}
        options |= {"max_concurrency": _AT_A_TIME_ON_A_GPU, "max_restarts": -1, "max_task_retries": TRIES - 1}
        choice = self._choice if on_gpus else replace(self._choice, device="cpu")
        kind = self._ray.remote(Worker).options(**options)
        for _ in range(number - len(self._workers)):
            self._workers.append(kind.remote(choice, expected=self._fingerprint, num_threads=cpus))

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _on_gpus(self) -> bool:
        return self._choice.device != "cpu" and any(node.get("GPU", 0) >= 1 for node in self._nodes())

    def _num_workers(self) -> tuple[int, int]:
        """How many workers the cluster has room for, and the CPUs of each where there are no GPUs."""
        if self._on_gpus():
            return sum(int(node.get("GPU", 0)) for node in self._nodes()), 1
        cpus = [int(node["CPU"]) for node in self._nodes() if node.get("CPU", 0) >= 1]
        if not cpus:
            raise ValueError("the Ray cluster has neither GPUs nor CPUs to give; add a node, or use --engine local")
        each = min(CPUS_PER_WORKER, *cpus)
        return sum(number // each for number in cpus), each

    def _told(self, ask: Callable[[], Any]) -> Any:
        """What Ray answers; an error of a worker's as the worker had it, without Ray's traces."""
        errors = require("ray.exceptions", extra="ray")
        try:
            return ask()
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayActorError as error:
            reason = " ".join(str(error).split())[:300]
            raise OSError(
                f"a worker died {TRIES} times at one part ({reason}); the same command goes on with the others' parts done"
            ) from None
