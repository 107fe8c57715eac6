"""Sources -> batches, without end, in an order that a seed fixes and a position resumes, for any number of processes."""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch

from fullclip.core.distributed import World
from fullclip.core.types import Batch
from fullclip.data.drops import Drops
from fullclip.data.lanes import Part, Position, Transform, Work, endless_parts, epoch_parts, refuse_mixed
from fullclip.data.order import num_lanes
from fullclip.data.survey import Source
from fullclip.data.workers import parts_of_workers
from fullclip.preprocess.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What decides which samples make a batch. batch_size: of all processes together. shuffle_size: how many samples may be
    held in memory to be mixed, in all processes together. lanes: `data/order.py`; none takes the largest divisor up to 256.
    """

    batch_size: int
    seed: int
    shuffle_size: int
    lanes: int | None = None


class Loader:
    """This process's part of every batch: the world.rank-th of world.size equal ones.

    Every good sample is seen once in an epoch; a batch may reach into the next. Which samples are in a batch, their crops and
    captions follow from the sources and the plan, not from the numbers of processes or workers. sources: `data.survey.survey`.
    transform: picklable where there are workers. drops: what is left out is counted there when its turn comes. workers:
    processes that decode; with 0 threads of this one do. position: the `position`s of all processes' last batches together, in
    any number of processes. Texts longer than the context are cut, and counted in the batch.

    ValueError for a batch, lanes or a position that do not fit each other or the world.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        transform: Transform,
        tokenizer: Tokenizer,
        plan: Plan,
        drops: Drops,
        world: World | None = None,
        workers: int = 0,
        position: Position | None = None,
    ) -> None:
        world = world or World.single()
        lanes = num_lanes(plan.batch_size, num_ranks=world.size, chosen=plan.lanes)
        self._work = Work(
            sources=tuple(sources),
            transform=transform,
            tokenizer=tokenizer,
            seed=plan.seed,
            shuffle_size=plan.shuffle_size,
            num_lanes=lanes,
            samples_per_lane=plan.batch_size // lanes,
        )
        self._plan, self._drops = plan, drops
        each = lanes // world.size
        self._lanes = range(world.rank * each, (world.rank + 1) * each)
        self._workers = min(workers, each)
        self._position = _checked(position, lanes, len(sources))

    @property
    def num_samples(self) -> int:
        """Of all sources together, the bad ones among them."""
        return sum(source.num_samples for source in self._work.sources)

    def __iter__(self) -> Iterator[Batch]:
        """Batches of batch_size / world.size samples, without end.

        ValueError where the data hold fewer samples than a batch, or none that is good; OSError where a store stays away.
        """
        if self.num_samples < self._plan.batch_size:
            raise ValueError(
                f"the shards hold {self.num_samples} pairs, fewer than train.batch_size = {self._plan.batch_size}: set it lower"
            )
        return self._endless()

    def _endless(self) -> Iterator[Batch]:
        make = partial(endless_parts, self._work, position=self._position, strict=self._drops.strict)
        with closing(self._joined(make)) as joined:
            for part in joined:
                taken = sum(sum(counts) for counts in part.position.values())
                epoch = taken * self._work.num_lanes / (len(self._lanes) * self.num_samples)
                yield _batch(part, part.position, epoch)

    def one_epoch(self) -> Iterator[Batch]:
        """Every good sample of this process's first epoch, once; the last batch may be shorter. To count, or to evaluate.

        Batches have no position. Processes may have different numbers of them.
        """
        make = partial(epoch_parts, self._work, strict=self._drops.strict)
        size = self._plan.batch_size * len(self._lanes) // self._work.num_lanes
        with closing(self._joined(make)) as joined:
            held: Part | None = None
            for part in joined:
                held = part if held is None else _join([held, part])
                while len(held.keys) >= size:
                    yield _batch(_cut(held, 0, size), {}, 0.0)
                    held = _cut(held, size, None)
            if held is not None and held.keys:
                yield _batch(held, {}, 0.0)

    def _joined(self, make: Callable[..., Iterator[Part]]) -> Generator[Part, None, None]:
        """What `make` makes of this process's lanes, here or in workers."""
        if not self._workers:
            pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
            try:
                yield from (self._counted([part]) for part in make(self._lanes, pool=pool))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # a thread may be waiting for a store that is gone
            return
        cuts = [len(self._lanes) * worker // self._workers for worker in range(self._workers + 1)]
        makers = [partial(make, self._lanes[start:end], pool=None) for start, end in pairwise(cuts)]
        yield from (self._counted(parts) for parts in parts_of_workers(makers))

    def _counted(self, parts: Sequence[Part]) -> Part:
        """The parts as one; what they left out is counted."""
        for part in parts:
            self._drops.merge(part.drops)
        return parts[0] if len(parts) == 1 else _join(parts)


def _checked(position: Position | None, lanes: int, num_sources: int) -> Position:
    if position is None:
        return dict.fromkeys(range(lanes), (0,) * num_sources)
    if set(position) != set(range(lanes)):
        raise ValueError(
            f"the position to go on from has {len(position)} lanes, this run {lanes}: keep train.batch_size and data.lanes"
        )
    if any(len(counts) != num_sources for counts in position.values()):
        raise ValueError(f"the position to go on from is of another number of sources than {num_sources}: keep data.weights")
    return dict(position)


def _join(parts: Sequence[Part]) -> Part:
    full = [part for part in parts if part.keys] or parts[:1]
    refuse_mixed([(part.keys[0] if part.keys else "", part.images.shape[1:]) for part in full])
    return Part(
        images=torch.cat([part.images for part in full]),
        tokens=torch.cat([part.tokens for part in full]),
        keys=tuple(key for part in full for key in part.keys),
        truncated=tuple(number for part in full for number in part.truncated),
        position={lane: counts for part in parts for lane, counts in part.position.items()},
        drops=parts[0].drops,
    )


def _cut(part: Part, start: int, end: int | None) -> Part:
    return Part(
        images=part.images[start:end],
        tokens=part.tokens[start:end],
        keys=part.keys[start:end],
        truncated=part.truncated[start:end],
        position=part.position,
        drops=part.drops,
    )


def _batch(part: Part, position: Mapping[int, tuple[int, ...]], epoch: float) -> Batch:
    return Batch(
        images=part.images,
        tokens=part.tokens,
        keys=part.keys,
        num_truncated=sum(part.truncated),
        position=position,
        epoch=epoch,
    )
