"""Patterns -> sources: which shards there are and how many samples each holds. The work is shared by the processes.

Counts are the index's where a shard has the size that the index says, else the headers'. Knows nothing of order.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

from fullclip.core.distributed import World, everyones, on_leader
from fullclip.core.storage import file_info
from fullclip.data.drops import Drops
from fullclip.data.groups import read_table
from fullclip.data.shards import find_shards, read_index

_REQUESTS = 16


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A tar and its number of samples: runs of files that share a folder and a key, be they good or not."""

    path: str
    num_samples: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """Shards that are mixed with each other; `weight` says how often a sample of this source is drawn among others."""

    shards: tuple[Shard, ...]
    weight: float = 1.0

    @property
    def num_samples(self) -> int:
        return sum(shard.num_samples for shard in self.shards)


@dataclass(frozen=True)
class _Found:
    num_samples: int
    torn_at: int | None = None


def survey(patterns: Sequence[str], weights: Sequence[float] = (), *, drops: Drops, world: World) -> tuple[Source, ...]:
    """The sources that `patterns` (`data.shards.find_shards`) name: one of all shards, or with `weights` one for each pattern.

    Every process has to call this, and gets the same. A torn shard goes to `drops` of the process that looked at it.
    ValueError where a pattern names nothing, a source has no sample, or a shard stands in two sources; OSError where a store
    stays away. Errors of one process are errors of all.
    """
    groups = on_leader(lambda: [find_shards([pattern]) for pattern in patterns] if weights else [find_shards(patterns)], world)
    paths = list(dict.fromkeys(path for group in groups for path in group))
    if len(paths) < sum(map(len, groups)):
        twice = next(path for path in paths if sum(path in group for group in groups) > 1)
        raise ValueError(f"{twice} belongs to two of data.shards, each with a weight of its own: name it in one")
    found = _look(paths, drops, world)
    sources = []
    for group, weight in zip(groups, weights or (1.0,), strict=True):
        source = Source(shards=tuple(Shard(path=path, num_samples=found[path].num_samples) for path in group), weight=weight)
        if not source.num_samples:
            raise ValueError(f"no pair in {', '.join(group[:3])}; see `fullclip data verify` for the reason")
        sources.append(source)
    return tuple(sources)


def _look(paths: Sequence[str], drops: Drops, world: World) -> dict[str, _Found]:
    """What is in each shard; each process looks at every so many-th, and tells the others."""
    own = list(paths[world.rank :: world.size])
    answer: list[_Found] | Exception
    try:
        answer = _count(own)
    except Exception as error:  # told to the others, who would wait for ever
        answer = error if isinstance(error, ValueError | FileNotFoundError) else OSError(str(error))
    answers = everyones(answer, world)
    for told in answers:
        if isinstance(told, Exception):
            raise told
    found: dict[str, _Found] = {}
    for rank, told in enumerate(answers):
        assert isinstance(told, list)
        found.update(zip(paths[rank :: world.size], told, strict=True))
    for place, path in enumerate(paths):
        torn_at = found[path].torn_at
        if torn_at is not None and (place % world.size == world.rank or drops.strict):
            drops.drop("torn shard", f"{path} from byte {torn_at:,}")
    return found


def _count(paths: Iterable[str]) -> list[_Found]:
    """In threads: a remote shard is mostly waiting."""
    sizes_of = lru_cache(maxsize=None)(_sizes_of)
    with ThreadPoolExecutor(_REQUESTS, thread_name_prefix="survey") as pool:
        return list(pool.map(lambda path: _count_one(path, sizes_of), paths))


def _count_one(path: str, sizes_of: Callable[[str], dict[str, tuple[int, int]]]) -> _Found:
    folder, _, name = path.rpartition("/")
    info = file_info(path)
    num_bytes, num_pairs = sizes_of(folder).get(name, (-1, 0))
    if num_bytes == info.num_bytes:
        return _Found(num_samples=num_pairs)
    table = read_table(path, info)
    return _Found(num_samples=table.num_groups, torn_at=table.torn_at)


def _sizes_of(folder: str) -> dict[str, tuple[int, int]]:
    """(bytes, pairs) of each shard that the folder's index lists; nothing where the index is missing or damaged."""
    try:
        index = read_index(folder)
    except ValueError:  # `fullclip data verify` tells; the shards themselves may be whole
        return {}
    return {} if index is None else {shard.name: (shard.num_bytes, shard.num_pairs) for shard in index.shards}
