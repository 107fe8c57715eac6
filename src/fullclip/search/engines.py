"""Who does units of work: this process. `cluster.py` has the workers of a Ray cluster; all call `jobs.do`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cached_property, partial

from fullclip.core.pools import end, process_pool
from fullclip.core.processor import cores_beside_gpu
from fullclip.data.stages import map_ahead
from fullclip.inference import Encoder
from fullclip.search.jobs import Job, ModelChoice, do
from fullclip.search.parts import Record
from fullclip.search.units import Work


class Engine(ABC):
    """Does units of work."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Of all that the embeddings of the model depend on which does the work."""

    @abstractmethod
    def do(self, works: Sequence[Work], job: Job, *, on_rows: Callable[[int], None]) -> Iterator[Record]:
        """The records of the parts, as they are finished. on_rows is told of rows, as they come or with their part."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held elsewhere."""


class Local(Engine):
    """This process. On a GPU two units are in work, so that one's beginning is read and decoded while another ends."""

    def __init__(self, choice: ModelChoice) -> None:
        self._choice = choice
        self._decoders: ProcessPoolExecutor | None = None

    @cached_property
    def encoder(self) -> Encoder:
        """On a GPU with processes that decode for it: threads of one process would wait for Python's lock."""
        encoder = self._choice.load()
        if encoder.device.type == "cuda":
            self._decoders = encoder.decoders = process_pool(cores_beside_gpu(), preload="fullclip.inference.reading")
        return encoder

    @cached_property
    def _fingerprint(self) -> str:
        return f"{self.encoder.fingerprint} {self.encoder.vocabulary}"

    def fingerprint(self) -> str:
        return self._fingerprint

    def do(self, works: Sequence[Work], job: Job, *, on_rows: Callable[[int], None]) -> Iterator[Record]:
        one = partial(do, job=job, encoder=self.encoder, on_rows=on_rows)
        if self.encoder.device.type == "cpu":
            yield from map(one, works)
            return
        with ThreadPoolExecutor(2, thread_name_prefix="unit") as pool:
            yield from map_ahead(one, works, pool=pool, ahead=1)

    def close(self) -> None:
        if self._decoders is not None:
            end(self._decoders)
