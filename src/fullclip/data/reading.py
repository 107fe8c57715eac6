"""References -> the bytes of their samples, read ahead in threads, in blocks. Knows nothing of decoding or of order."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from threading import Lock

from fullclip.data.groups import Table, parse_group, read_groups, read_table
from fullclip.data.order import Reference
from fullclip.data.survey import Source

_THREADS = 8
_MOST_GROUPS = 64
_MOST_TABLES = 2048


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A place that gives no sample, and why."""

    reason: str
    name: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sample whose bytes are on their way."""

    reference: Reference
    path: str
    _run: Future[list[bytes | None]]
    _place: int

    def take(self) -> tuple[str, dict[str, bytes]] | Hole:
        """(key, {extension: bytes}), once: they are let go of. OSError where the store stays away."""
        parts = self._run.result()
        data, parts[self._place] = parts[self._place], None
        found = None if data is None else parse_group(data)
        return found or Hole(reason="torn shard", name=f"{self.path}, sample {self.reference.group}")


class Reader:
    """Reads samples of these sources. To be closed, so that its threads end."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="read")
        self._tables: OrderedDict[str, Future[Table]] = OrderedDict()
        self._lock = Lock()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ahead(self, windows: Iterator[list[Reference]]) -> Iterator[Loaded]:
        """The windows' references in order; a window is read while the second half of the one before is taken."""
        following = self._start(next(windows, []))
        while following:
            current, following = following, []
            for place, loaded in enumerate(current):
                if place == len(current) // 2:
                    following = self._start(next(windows, []))
                current[place] = None
                assert loaded is not None
                yield loaded

    def _start(self, window: Sequence[Reference]) -> list[Loaded | None]:
        """Begin to read a window: neighbours in a shard in one piece, up to 64 of them."""
        in_place = sorted(range(len(window)), key=lambda i: (window[i].shard, window[i].group))
        started: list[Loaded | None] = [None] * len(window)
        for _, run in groupby(enumerate(in_place), key=lambda item: (window[item[1]].shard, window[item[1]].group - item[0])):
            members = [i for _, i in run]
            for first in range(0, len(members), _MOST_GROUPS):
                part = members[first : first + _MOST_GROUPS]
                reference = window[part[0]]
                path = self._sources[reference.source].shards[reference.shard].path
                future = self._pool.submit(self._read, path, range(reference.group, reference.group + len(part)))
                for place, i in enumerate(part):
                    started[i] = Loaded(window[i], path, future, place)
        return started

    def _read(self, path: str, groups: range) -> list[bytes | None]:
        return list(read_groups(path, self._table(path), groups))

    def _table(self, path: str) -> Table:
        """The shard's table; of several threads that want it one reads it."""
        with self._lock:
            future = self._tables.get(path)
            mine = future is None
            if future is None:
                future = self._tables[path] = Future()
            self._tables.move_to_end(path)
            if len(self._tables) > _MOST_TABLES:
                self._tables.popitem(last=False)
        if mine:
            try:
                future.set_result(read_table(path))
            except BaseException as error:
                future.set_exception(error)
        return future.result()
