"""Pairs and questions in memory, as small pictures of 8 bits, and the batches that a seed makes of pairs.

Every way of learning is given the same pictures in the same order, with the same crops and captions. Knows nothing of models.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards
from fullclip.data.stages import map_ahead
from fullclip.evaluation.tasks.task import Example, Skipped, Task, limited
from fullclip.preprocess.image import (
    OPENAI_MEAN,
    OPENAI_STD,
    ImageError,
    PreprocessConfig,
    decode_image,
    eval_transform,
    from_array,
)
from fullclip.zeroshot.prompts import PHOTO

A = TypeVar("A")
B = TypeVar("B")

_THREADS, _AHEAD = 4, 64
_MARGIN = 9 / 8  # a crop leaves out a ninth of the side, as 256 to 224 pixels leave out an eighth

Pictures = UInt8[np.ndarray, "n side side 3"]


def side_of(image_size: int) -> int:
    """The side of the pictures that are held, for a tower of `image_size` pixels: a little more, so that there is a crop."""
    return round(image_size * _MARGIN)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """pictures: uint8 [n, side, side, 3]; texts: the captions of each, one at least."""

    pictures: Pictures
    texts: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, share: float) -> "Pairs":
        """A random share, the same every time; a smaller is within a larger one. ValueError unless 0 < share <= 1."""
        if not 0 < share <= 1:
            raise ValueError(f"a share of {share} of the pairs: above 0 and at most 1")
        chosen = np.sort(np.random.default_rng(0).permutation(len(self))[: max(1, round(share * len(self)))])
        return Pairs(pictures=self.pictures[chosen], texts=tuple(self.texts[place] for place in chosen))


@dataclass(frozen=True, kw_only=True)
class Question:
    """A classification: pictures as in `Pairs`, the number of each one's class, the classes' names, and sentences for them."""

    name: str
    pictures: Pictures
    labels: Int[np.ndarray, " n"]
    classes: tuple[tuple[str, ...], ...]
    templates: tuple[str, ...]


def read_pairs(shards: Sequence[str], *, side: int, drops: Drops) -> Pairs:
    """All pairs of shards, their pictures resized to the short side and cut to the middle square of `side` pixels.

    What cannot be read goes to `drops`. ValueError where nothing is left.
    """
    pictures, texts = list[np.ndarray](), list[tuple[str, ...]]()
    for pair, picture in _decoded(read_shards(shards, drops), lambda pair: _picture(pair.image, side, name=pair.key)):
        if isinstance(picture, ImageError):
            drops.drop("unreadable image", pair.key)
        else:
            pictures.append(picture)
            texts.append(pair.texts)
    if not pictures:
        raise ValueError(f"no pair in {', '.join(shards)} can be used; see `fullclip data verify` for the reason")
    return Pairs(pictures=np.stack(pictures), texts=tuple(texts))


def read_question(task: Task, *, side: int, most: int, drops: Drops) -> Question:
    """At most `most` pictures of a task's test split, chosen at random, the same every time. ValueError where it is no
    classification with one label for each picture, or no picture can be read.
    """
    if task.kind != "classification":
        raise ValueError(f"{task.name} is a {task.kind} task; a comparison asks a classification, one label for each picture")
    split = limited(task, most).splits["test"]
    pictures, labels = list[np.ndarray](), list[int]()
    for example, picture in _decoded(split.read(range(len(split))), lambda example: _answerable(example, side)):
        if isinstance(picture, str):
            drops.drop(picture, example.key)
        else:
            assert isinstance(example, Example)
            pictures.append(picture)
            labels.append(example.labels[0])
    if not pictures:
        raise ValueError(f"{task.name}: no picture of its test split can be read ({drops.summary()})")
    return Question(
        name=task.name,
        pictures=np.stack(pictures),
        labels=np.array(labels, dtype=np.int64),
        classes=task.classes,
        templates=task.templates or PHOTO,
    )


def _decoded(items: Iterable[A], decode: Callable[[A], B]) -> Iterator[tuple[A, B]]:
    """Each item with what `decode` makes of it, in order, in threads."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="decode") as pool:
        yield from map_ahead(lambda item: (item, decode(item)), items, pool=pool, ahead=_AHEAD)


def _answerable(example: Example | Skipped, side: int) -> np.ndarray | str:
    """The picture, or why there is none."""
    if isinstance(example, Skipped):
        return example.reason
    picture = _picture(example.image, side, name=example.key)
    return "unreadable image" if isinstance(picture, ImageError) else picture


def _picture(image: bytes | np.ndarray, side: int, *, name: str) -> np.ndarray | ImageError:
    try:
        opened = decode_image(image, name=name) if isinstance(image, bytes) else from_array(image)
        levels = _levels(side)(opened)
    except ImageError as error:
        return error
    return np.ascontiguousarray((levels * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


@lru_cache(maxsize=8)
def _levels(side: int) -> Callable[[Image.Image], Tensor]:
    """The evaluation's transform without its normalisation: from 0 to 1."""
    return eval_transform(PreprocessConfig(size=side, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))


class Batches:
    """The batch of each step, by the seed and the step alone: every pair once in an epoch, in another order each time; of a
    pair's captions one, and of its picture a square of `image_size` pixels, both at random. ValueError where the pairs are
    fewer than a batch.
    """

    def __init__(self, pairs: Pairs, *, image_size: int, batch_size: int, seed: int) -> None:
        if len(pairs) < batch_size:
            raise ValueError(f"there are {len(pairs)} pairs, fewer than batch_size = {batch_size}: set it lower")
        self._pairs, self._size, self._batch_size, self._seed = pairs, image_size, batch_size, seed
        self._permutation = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> Int[np.ndarray, " n"]:
        return np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._pairs))

    def places(self, step: int) -> list[int]:
        """Which pairs are in the batch of step `step` (from 0); the last batch of an epoch reaches into the next."""
        found = []
        for number in range(step * self._batch_size, (step + 1) * self._batch_size):
            epoch, within = divmod(number, len(self._pairs))
            found.append(int(self._permutation(epoch)[within]))
        return found

    def __call__(self, step: int) -> tuple[Float[Tensor, "batch 3 size size"], list[str]]:
        """Pictures, normalised, and their captions."""
        random, margin = np.random.default_rng([self._seed, 1, step]), self._pairs.pictures.shape[1] - self._size
        cut, texts = list[np.ndarray](), list[str]()
        for place in self.places(step):
            captions = self._pairs.texts[place]
            texts.append(captions[random.integers(len(captions))])
            top, left = random.integers(margin + 1, size=2)
            cut.append(self._pairs.pictures[place, top : top + self._size, left : left + self._size])
        return normalized(np.stack(cut)), texts


def middle(pictures: Pictures, image_size: int) -> UInt8[np.ndarray, "n size size 3"]:
    """The middle squares of `image_size` pixels, a view."""
    first = (pictures.shape[1] - image_size) // 2
    return pictures[:, first : first + image_size, first : first + image_size]


def normalized(pictures: Pictures) -> Float[Tensor, "n 3 side side"]:
    """(value / 255 - mean) / std with CLIP's mean and std, channels last in memory."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (OPENAI_MEAN, OPENAI_STD))
    whole = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)
    return (whole / 255 - mean) / std
