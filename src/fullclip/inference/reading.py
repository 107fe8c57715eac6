"""Images in, batches of pixels out: decoded and resized in threads or processes, ahead of who takes them, in their order."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Num
from PIL import Image
from torch import Tensor

from fullclip.data.stages import batches, map_ahead
from fullclip.preprocess.image import ImageError, decode_image, from_array

ImageLike = str | Path | bytes | Image.Image | np.ndarray
Transform = Callable[[Image.Image], Tensor]
Forward = Callable[[Num[Tensor, "batch 3 height width"]], Tensor]
_AT_ONCE = 16  # images a task of a process: fewer would wait for messages


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some images of many: which could be read, what came of them, and the errors of the others with their places."""

    indices: list[int]
    values: Tensor | None
    failed: list[tuple[int, ImageError]]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How an image becomes what `rows` stacks. short_side: see `decode_image`. Can be pickled where `transform` can."""

    transform: Transform
    short_side: int | None = None

    def __call__(self, numbered: tuple[int, ImageLike]) -> tuple[int, Tensor | ImageError]:
        """With its number, the tensor of an image, or why there is none."""
        index, image = numbered
        try:
            if isinstance(image, np.ndarray):
                image = from_array(image)
            if not isinstance(image, Image.Image):
                image = decode_image(image, short_side=self.short_side)
            return index, self.transform(image)
        except ImageError as error:
            return index, error
        # an array of another shape, a truncated Pillow image, no image at all
        except (ValueError, OSError, TypeError) as error:
            return index, ImageError(f"image {index}: {error}")

    def several(self, group: Sequence[tuple[int, ImageLike]]) -> list[tuple[int, np.ndarray | ImageError]]:
        """As arrays, which travel between processes in one piece."""
        found = (self(numbered) for numbered in group)
        return [(index, one if isinstance(one, ImageError) else one.numpy()) for index, one in found]


def rows(
    images: Iterable[ImageLike],
    *,
    read: Reading,
    forward: Forward,
    batch_size: int,
    fills_batches: bool = False,
    decoders: Executor | None = None,
) -> Generator[Rows, None, None]:
    """What `forward` gives for each `batch_size` of `images`, in order; at any time no more than three batches are in memory.

    With `fills_batches`, `forward` is given batches of one size only, black pictures at the end: kernels for other sizes round
    otherwise. Where `images` is a generator that fails, what it gave before comes out first; then ValueError says after how
    many. decoders: processes that read, in place of threads of this one; OSError where one of them is killed.
    """
    if isinstance(images, (str, Path, bytes, Image.Image)):
        raise ValueError("encode_images takes a list of images; put the one image into a list")
    source = _Source(images)
    with torch.inference_mode(), ExitStack() as stack:
        if decoders is None:
            pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode"))
            numbered: Iterable[tuple[int, Tensor | ImageError]] = map_ahead(read, source, pool=pool, ahead=batch_size)
        else:
            numbered = _by_processes(source, read, decoders, ahead=batch_size)
        for group in batches(numbered, batch_size):
            pixels = [found for _, found in group if isinstance(found, Tensor)]
            black = [torch.zeros_like(pixels[0])] * (batch_size - len(pixels)) if fills_batches and pixels else []
            yield Rows(
                indices=[index for index, found in group if isinstance(found, Tensor)],
                values=forward(torch.stack(pixels + black))[: len(pixels)] if pixels else None,
                failed=[(index, found) for index, found in group if isinstance(found, ImageError)],
            )
    source.complain()


def _by_processes(
    images: Iterable[tuple[int, ImageLike]], read: Reading, decoders: Executor, *, ahead: int
) -> Iterator[tuple[int, Tensor | ImageError]]:
    groups = map_ahead(read.several, batches(images, _AT_ONCE), pool=decoders, ahead=-(-ahead // _AT_ONCE))
    try:
        for group in groups:
            for index, found in group:
                yield index, found if isinstance(found, ImageError) else torch.from_numpy(found)
    except BrokenProcessPool:
        raise OSError("a process that decodes images was killed, perhaps because the memory ran out; begin again") from None


def readable_rows(
    images: Iterable[ImageLike], *, transform: Transform, forward: Forward, batch_size: int, fills_batches: bool = False
) -> tuple[list[Tensor], list[int], list[ImageError]]:
    """All that `rows` gives: (its tensors, the images' indices, the errors of the others)."""
    read = Reading(transform=transform)
    found = list(rows(images, read=read, forward=forward, batch_size=batch_size, fills_batches=fills_batches))
    values = [part.values for part in found if part.values is not None]
    return values, [i for part in found for i in part.indices], [error for part in found for _, error in part.failed]


class _Source:
    """Images with their numbers; of a generator that fails, those before, and the failure afterwards."""

    def __init__(self, images: Iterable[ImageLike]) -> None:
        self._images, self._given = images, 0
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[tuple[int, ImageLike]]:
        images = iter(self._images)
        while True:
            try:
                image = next(images)
            except StopIteration:
                return
            except Exception as error:  # whatever a user's own code raises
                self._error = error
                return
            yield self._given, image
            self._given += 1

    def complain(self) -> None:
        if self._error is not None:
            kind = type(self._error).__name__
            raise ValueError(f"the images' generator failed after {self._given}: {kind}: {self._error}") from self._error
