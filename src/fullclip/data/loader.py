"""Shards -> batches, without end, in an order that a seed fixes and a position resumes. Knows nothing of models."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from fullclip.core.types import Batch, Pair, Sample
from fullclip.data.drops import Drops
from fullclip.data.shards import read_shard
from fullclip.data.stages import batches, map_ahead, shuffle
from fullclip.preprocess.image import ImageError, decode_image
from fullclip.preprocess.tokenizer import Tokenizer

Transform = Callable[[Image.Image, np.random.Generator], Float[Tensor, "3 size size"]]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A pair and where it stands: the epoch, and how many pairs came before it in that epoch."""

    pair: Pair
    epoch: int
    ordinal: int


class Loader:
    """Batches of `batch_size` from tar shards. Every pair is seen once in an epoch; a batch may reach into the next one.

    shards: paths (`data.shards.find_shards`). shuffle_size: how many pairs are held in memory to be mixed; shards are
    shuffled among themselves, too. position: a batch's `position`, to go on behind that batch, to the bit. Texts longer
    than the context are cut, and counted in the batch; images that cannot be decoded go to `drops`.
    ValueError where an epoch gives no pair, or none with an image that can be decoded.
    """

    def __init__(
        self,
        shards: Sequence[str],
        *,
        transform: Transform,
        tokenizer: Tokenizer,
        batch_size: int,
        seed: int,
        shuffle_size: int,
        drops: Drops,
        position: Mapping[str, int] | None = None,
    ) -> None:
        self._shards, self._transform, self._tokenizer = list(shards), transform, tokenizer
        self._batch_size, self._seed, self._shuffle_size, self._drops = batch_size, seed, shuffle_size, drops
        self._position = dict(position or {"epoch": 0, "pairs": 0})

    def __iter__(self) -> Iterator[Batch]:
        with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode") as pool:
            decoded = map_ahead(self._decode, self._places(), pool=pool, ahead=2 * self._batch_size)
            for chosen in batches(self._good(decoded), self._batch_size):
                yield self._batch(chosen)

    def _places(self) -> Iterator[_Place]:
        epoch, skip = self._position["epoch"], self._position["pairs"]
        while True:
            ordinal = -1
            for ordinal, pair in enumerate(self._epoch(epoch)):
                if ordinal >= skip:
                    yield _Place(pair=pair, epoch=epoch, ordinal=ordinal)
            if ordinal < 0:
                raise ValueError(f"no pair in {self._names()}; see `fullclip data verify` for the reason")
            epoch, skip = epoch + 1, 0

    def _names(self) -> str:
        return ", ".join(self._shards[:3])

    def _epoch(self, epoch: int) -> Iterator[Pair]:
        random = np.random.default_rng([self._seed, epoch])
        order = random.permutation(len(self._shards))
        pairs = (pair for i in order for pair in read_shard(self._shards[i], self._drops))
        return shuffle(pairs, size=self._shuffle_size, random=random)

    def _decode(self, place: _Place) -> tuple[_Place, Sample | ImageError]:
        """Chance belongs to the pair's place, so that neither threads nor a resumption change it."""
        random = np.random.default_rng([self._seed, place.epoch, place.ordinal])
        pair = place.pair
        text = pair.texts[int(random.integers(len(pair.texts)))]
        try:
            image = self._transform(decode_image(pair.image, name=pair.key), random)
        except ImageError as error:
            return place, error
        return place, Sample(key=pair.key, image=image, text=text)

    def _good(self, decoded: Iterator[tuple[_Place, Sample | ImageError]]) -> Iterator[tuple[_Place, Sample]]:
        last_good = self._position["epoch"]
        for place, sample in decoded:
            if not isinstance(sample, ImageError):
                last_good = place.epoch
                yield place, sample
                continue
            self._drops.drop("unreadable image", str(sample))
            if place.epoch > last_good + 1:  # else a loader of broken images would search for ever
                raise ValueError(f"no image in {self._names()} can be decoded; see `fullclip data verify` for the reason")

    def _batch(self, chosen: list[tuple[_Place, Sample]]) -> Batch:
        last, samples = chosen[-1][0], [sample for _, sample in chosen]
        tokens = self._tokenizer.encode([sample.text for sample in samples], truncate=True)
        return Batch(
            images=torch.stack([sample.image for sample in samples]),
            tokens=tokens.ids,
            keys=tuple(sample.key for sample in samples),
            num_truncated=tokens.num_truncated,
            position={"epoch": last.epoch, "pairs": last.ordinal + 1},
        )
