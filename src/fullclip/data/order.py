"""Which sample comes when: index arithmetic alone, from sizes and a seed. No input or output, no ranks, no workers.

The data are cut into lanes, endless streams that are walked side by side; `docs/design/0004-lanes.md` says why.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np
from jaxtyping import Int64

MOST_LANES = 256
# What a generator is for, so that no two share their numbers.
_LINE, _WINDOW, _DRAWS, _SAMPLE = range(4)
_DRAWN_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Reference:
    """A sample by its place: the `group`-th of a source's `shard`-th shard. `ordinal` is its place in the epoch's line."""

    source: int
    epoch: int
    ordinal: int
    shard: int
    group: int

    def random(self, seed: int) -> np.random.Generator:
        """All chance for this sample (crop, caption): it belongs to the place, not to who comes there."""
        return np.random.default_rng([seed, _SAMPLE, self.source, self.epoch, self.ordinal])


def num_lanes(batch_size: int, *, num_ranks: int, chosen: int | None = None) -> int:
    """Into how many lanes the data are cut: `chosen`, else the largest divisor of the batch up to 256.

    ValueError where the lanes cannot be shared evenly by the batch's samples and by the ranks, with a number that can.
    """
    divisors = [number for number in range(1, batch_size + 1) if batch_size % number == 0]
    if batch_size % num_ranks:
        nearest = max(1, round(batch_size / num_ranks)) * num_ranks
        raise ValueError(f"train.batch_size = {batch_size} cannot be shared by {num_ranks} processes: {nearest} can")
    lanes = chosen or max(number for number in divisors if number <= MOST_LANES)
    fitting = [number for number in divisors if number % num_ranks == 0]
    if lanes not in fitting:
        near = min(fitting, key=lambda number: abs(number - lanes))
        raise ValueError(
            f"data.lanes = {lanes}: it has to divide train.batch_size = {batch_size} and be a multiple of the"
            f" {num_ranks} processes; set data.lanes={near}"
        )
    return lanes


@dataclass(frozen=True, kw_only=True)
class _Epoch:
    """The line of one epoch: its shards in order, where each begins, where it is cut open, where each lane begins.

    samples: every sample's place in the source, where they are permuted one by one.
    """

    shards: Int64[np.ndarray, " shards"]
    shard_starts: Int64[np.ndarray, " shards"]
    rotation: int
    samples: Int64[np.ndarray, " samples"] | None
    lane_starts: Int64[np.ndarray, " lanes"]


class Line:
    """One source's samples, epoch after epoch, cut into lanes. `source` is its number, `shards` its shards' sizes.

    In every epoch the shards are permuted, laid end to end, and begun at a random place. A lane owns a stretch of that line;
    within it, windows of neighbours are shuffled. Where `shuffle_size` covers all samples, they are permuted one by one.
    """

    def __init__(self, shards: Sequence[int], *, source: int, seed: int, lanes: int, shuffle_size: int) -> None:
        self._sizes, self._source, self._seed, self._lanes = np.array(shards, dtype=np.int64), source, seed, lanes
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)])
        self.num_samples = int(self._starts[-1])
        self._window = max(1, shuffle_size // lanes)
        self._fits = shuffle_size >= self.num_samples
        self._epoch = lru_cache(maxsize=4)(self._make_epoch)  # lanes may be an epoch apart, and are read ahead

    def share(self, lane: int, epoch: int) -> int:
        """How many samples of an epoch are a lane's: they add up, and no lane is ever two samples ahead of another."""
        return self._before(lane, epoch + 1) - self._before(lane, epoch)

    def _before(self, lane: int, epoch: int) -> int:
        return (epoch * self.num_samples + lane) // self._lanes

    def epoch_of(self, lane: int, taken: int) -> int:
        """The epoch of the lane's next sample, after so many."""
        return (taken * self._lanes + self._lanes - 1 - lane) // self.num_samples

    def windows(self, lane: int, taken: int) -> Iterator[list[Reference]]:
        """The lane's samples, without end, after the first `taken`, window by window: each is to be held in memory at once."""
        for epoch in count(self.epoch_of(lane, taken)):
            yield from self.epoch_windows(lane, epoch, max(0, taken - self._before(lane, epoch)))

    def epoch_windows(self, lane: int, epoch: int, done: int = 0) -> Iterator[list[Reference]]:
        """The lane's samples of one epoch, after the first `done` of them."""
        share = self.share(lane, epoch)
        # lanes come to the ends of their windows one after another, not all in the same batch
        number, start = 0, 0
        end = lane * self._window // self._lanes or self._window
        while start < share:
            end = min(end, share)
            if end > done:
                random = np.random.default_rng([self._seed, _WINDOW, self._source, epoch, lane, number])
                order = start + random.permutation(end - start)
                yield self._references(epoch, lane, order[max(0, done - start) :])
            number, start, end = number + 1, end, end + self._window

    def _references(self, epoch: int, lane: int, within: Int64[np.ndarray, " chosen"]) -> list[Reference]:
        line = self._epoch(epoch)
        ordinals = line.lane_starts[lane] + within
        places = (ordinals + line.rotation) % self.num_samples
        if line.samples is not None:
            samples = line.samples[places]
            shards = np.searchsorted(self._starts, samples, side="right") - 1
            groups = samples - self._starts[shards]
        else:
            positions = np.searchsorted(line.shard_starts, places, side="right") - 1
            shards, groups = line.shards[positions], places - line.shard_starts[positions]
        rows = zip(ordinals.tolist(), shards.tolist(), groups.tolist(), strict=True)
        return [Reference(self._source, epoch, *row) for row in rows]

    def _make_epoch(self, epoch: int) -> _Epoch:
        random = np.random.default_rng([self._seed, _LINE, self._source, epoch])
        shards = random.permutation(len(self._sizes))
        lanes = np.arange(self._lanes)
        shares = ((epoch + 1) * self.num_samples + lanes) // self._lanes - (epoch * self.num_samples + lanes) // self._lanes
        return _Epoch(
            shards=shards,
            shard_starts=np.concatenate([[0], np.cumsum(self._sizes[shards])[:-1]]),
            rotation=int(random.integers(self.num_samples)),
            samples=random.permutation(self.num_samples) if self._fits else None,
            lane_starts=np.concatenate([[0], np.cumsum(shares)[:-1]]),
        )


def draws(weights: Sequence[float], *, seed: int, lane: int, taken: int) -> Iterator[int]:
    """The source of each sample of a lane, without end, after the first `taken`: by weight, at random."""
    if len(weights) == 1:
        while True:
            yield 0
    edges = np.cumsum(np.array(weights) / sum(weights))[:-1]
    for block in count(taken // _DRAWN_AT_ONCE):
        random = np.random.default_rng([seed, _DRAWS, lane, block])
        chosen = np.searchsorted(edges, random.random(_DRAWN_AT_ONCE), side="right")
        yield from chosen[max(0, taken - block * _DRAWN_AT_ONCE) :].tolist()
