"""Lanes -> parts of batches: what one process decodes of each batch. Knows nothing of processes or ranks.

A place that gives no sample makes its lane go on to the next place, so that every lane gives its share of every batch.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import numpy as np
import torch
from jaxtyping import Int, Num
from PIL import Image
from torch import Tensor

from fullclip.data.drops import Drops
from fullclip.data.order import Line, draws
from fullclip.data.reading import Hole, Loaded, Reader
from fullclip.data.shards import pair_of
from fullclip.data.survey import Source
from fullclip.preprocess.features import is_features, one_view
from fullclip.preprocess.image import ImageError, decode_image
from fullclip.preprocess.tokenizer import Tokenizer

Transform = Callable[[Image.Image, np.random.Generator], Num[Tensor, "channels size size"]]
Position = Mapping[int, tuple[int, ...]]

# A lane that has met so many places without a sample, and four of its epochs, gives up: one damaged shard may be all that it
# has in an epoch, but hardly in four.
_PATIENCE, _PATIENT_EPOCHS = 1000, 4


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that decides the samples, the same in every process. `num_lanes` share a batch evenly."""

    sources: tuple[Source, ...]
    transform: Transform
    tokenizer: Tokenizer
    seed: int
    shuffle_size: int
    num_lanes: int
    samples_per_lane: int

    def names(self) -> str:
        return ", ".join([shard.path for source in self.sources for shard in source.shards][:3])


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some lanes' samples of one batch, in the lanes' order; `drops` is what they left out since the part before."""

    images: Num[Tensor, "part channels height width"]
    tokens: Int[Tensor, "part context"]
    keys: tuple[str, ...]
    truncated: tuple[int, ...]
    position: dict[int, tuple[int, ...]]
    drops: Drops


@dataclass(frozen=True, slots=True)
class _Decoded:
    key: str
    image: Num[Tensor, "channels height width"]
    tokens: Int[Tensor, " context"]
    truncated: int


def endless_parts(
    work: Work, lanes: Sequence[int], position: Position, *, pool: Executor | None, strict: bool
) -> Iterator[Part]:
    """A part for each batch, without end, after `position`. Decoded in `pool`, ahead, or here where there is none.

    ValueError where a lane finds no sample, and with `strict` at the first place that gives none; OSError where a store is
    gone.
    """
    lines, weights = _lines(work), [source.weight for source in work.sources]

    def places(lane: int, reader: Reader) -> Iterator[Loaded]:
        taken = position[lane]
        streams = [reader.ahead(line.windows(lane, count)) for line, count in zip(lines, taken, strict=True)]
        return (next(streams[source]) for source in draws(weights, seed=work.seed, lane=lane, taken=sum(taken)))

    for samples, part in _rounds(work, lanes, position, places, pool=pool, strict=strict):
        assert samples == work.samples_per_lane * len(lanes)
        yield part


def epoch_parts(work: Work, lanes: Sequence[int], *, pool: Executor | None, strict: bool) -> Iterator[Part]:
    """Every good sample of these lanes' first epoch, once; equally many parts whatever the lanes, the last ones empty."""
    lines = _lines(work)

    def places(lane: int, reader: Reader) -> Iterator[Loaded]:
        return chain.from_iterable(reader.ahead(line.epoch_windows(lane, 0)) for line in lines)

    longest = sum(line.share(work.num_lanes - 1, 0) for line in lines)  # the last lane has most of the first epoch
    nothing = dict.fromkeys(lanes, (0,) * len(lines))
    rounds = _rounds(work, lanes, nothing, places, pool=pool, strict=strict)
    yield from (part for _, part in islice(rounds, -(-longest // work.samples_per_lane)))


def _lines(work: Work) -> list[Line]:
    """A line for each source; what the shuffling may hold in memory is shared by weight."""
    total = sum(source.weight for source in work.sources)
    return [
        Line(
            [shard.num_samples for shard in source.shards],
            source=number,
            seed=work.seed,
            lanes=work.num_lanes,
            shuffle_size=int(work.shuffle_size * source.weight / total),
        )
        for number, source in enumerate(work.sources)
    ]


def _rounds(
    work: Work,
    lanes: Sequence[int],
    position: Position,
    places: Callable[[int, Reader], Iterator[Loaded]],
    *,
    pool: Executor | None,
    strict: bool,
) -> Iterator[tuple[int, Part]]:
    """Every lane's share of a batch, again and again; less where lanes have ended."""
    reader, drops = Reader(work.sources), Drops(strict=strict)
    patience = _PATIENCE + _PATIENT_EPOCHS * sum(source.num_samples for source in work.sources) // work.num_lanes
    try:
        walkers = [
            _Lane(lane, places(lane, reader), taken=position[lane], decode=_Decoder(work, pool), patience=patience)
            for lane in lanes
        ]
        while True:
            chosen = [
                sample
                for walker in walkers
                for _ in range(work.samples_per_lane)
                if (sample := walker.next_good(drops)) is not None
            ]
            yield len(chosen), _part(chosen, {walker.lane: tuple(walker.taken) for walker in walkers}, drops, work)
            drops = Drops(strict=strict)
    finally:
        reader.close()


class _Decoder:
    """Starts to decode a place, or puts it off until it is asked for where there is no pool. Gives a function that waits."""

    def __init__(self, work: Work, pool: Executor | None) -> None:
        self._work, self._pool = work, pool
        self.ahead = 0 if pool is None else 2 * work.samples_per_lane

    def __call__(self, loaded: Loaded) -> Callable[[], _Decoded | Hole]:
        return (
            partial(_decode, self._work, loaded)
            if self._pool is None
            else self._pool.submit(_decode, self._work, loaded).result
        )

    def nothing(self, last: Hole) -> ValueError:
        what, how = ("image", "can be decoded") if last.reason == "unreadable image" else ("pair", "can be used")
        return ValueError(
            f"no {what} in {self._work.names()} {how} ({last.reason}: {last.name}); see `fullclip data verify` for the reason"
        )


class _Lane:
    """A stream of places, and how many of each source were taken from it."""

    def __init__(self, lane: int, places: Iterator[Loaded], *, taken: Sequence[int], decode: _Decoder, patience: int) -> None:
        self.lane, self.taken = lane, list(taken)
        self._places, self._decode, self._patience = places, decode, patience
        self._waiting: deque[tuple[int, Callable[[], _Decoded | Hole]]] = deque()
        self._num_holes = 0
        self._fill()

    def next_good(self, drops: Drops) -> _Decoded | None:
        """The next place that gives a sample, or None at the end; those before it go to `drops`."""
        while True:
            self._fill()
            if not self._waiting:
                return None
            source, outcome = self._waiting.popleft()
            found = outcome()
            self.taken[source] += 1
            if not isinstance(found, Hole):
                self._num_holes = 0
                return found
            drops.drop(found.reason, found.name)
            self._num_holes += 1
            if self._num_holes > self._patience:
                raise self._decode.nothing(found)

    def _fill(self) -> None:
        """One place more than is decoded ahead."""
        for loaded in islice(self._places, self._decode.ahead + 1 - len(self._waiting)):
            self._waiting.append((loaded.reference.source, self._decode(loaded)))


def _decode(work: Work, loaded: Loaded) -> _Decoded | Hole:
    found = loaded.take()
    if isinstance(found, Hole):
        return found
    pair = pair_of(*found)
    if isinstance(pair, str):
        return Hole(reason=pair, name=f"{loaded.path}:{found[0]}")
    random = loaded.reference.random(work.seed)
    text = pair.texts[int(random.integers(len(pair.texts)))]
    try:
        image = (
            one_view(pair.image, random, name=pair.key)
            if is_features(pair.image)
            else work.transform(decode_image(pair.image, name=pair.key), random)
        )
    except ImageError as error:
        return Hole(reason="unreadable image", name=f"{loaded.path}:{error}")
    tokens = work.tokenizer.encode(text, truncate=True)
    return _Decoded(key=pair.key, image=image, tokens=tokens.ids[0], truncated=tokens.num_truncated)


def refuse_mixed(images: Sequence[tuple[str, Sequence[int]]]) -> None:
    """ValueError where images, given as (key, shape), are of two shapes."""
    for image in images:
        if image[1] != images[0][1]:
            shapes = [f"{key} is {list(shape)}" for key, shape in (images[0], image)]
            raise ValueError(f"{' and '.join(shapes)}: images and features, or features of two widths, make no batch")


def _part(chosen: Sequence[_Decoded], position: dict[int, tuple[int, ...]], drops: Drops, work: Work) -> Part:
    refuse_mixed([(sample.key, sample.image.shape) for sample in chosen])
    return Part(
        images=torch.stack([sample.image for sample in chosen]) if chosen else torch.empty(0, 3, 0, 0),
        tokens=torch.stack([sample.tokens for sample in chosen])
        if chosen
        else torch.empty(0, work.tokenizer.context_length, dtype=torch.int64),
        keys=tuple(sample.key for sample in chosen),
        truncated=tuple(sample.truncated for sample in chosen),
        position=position,
        drops=drops,
    )
