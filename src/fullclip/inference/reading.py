"""Images in, batches of pixels out: decoded and resized in a pool of threads, ahead of who takes them, in their order."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from fullclip.data.stages import batches, map_ahead
from fullclip.preprocess.image import ImageError, decode_image, from_array

ImageLike = str | Path | bytes | Image.Image | np.ndarray
Transform = Callable[[Image.Image], Tensor]
Forward = Callable[[Float[Tensor, "batch 3 height width"]], Tensor]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some images of many: which could be read, what came of them, and the errors of the others with their places."""

    indices: list[int]
    values: Tensor | None
    failed: list[tuple[int, ImageError]]


def rows(
    images: Iterable[ImageLike],
    *,
    transform: Transform,
    forward: Forward,
    batch_size: int,
    fills_batches: bool = False,
    short_side: int | None = None,
) -> Generator[Rows, None, None]:
    """What `forward` gives for each `batch_size` of `images`, in order; at any time no more than three batches are in memory.

    With `fills_batches`, `forward` is given batches of one size only, black pictures at the end: kernels for other sizes round
    otherwise. short_side: see `decode_image`. Where `images` is a generator that fails, what it gave before comes out first;
    then ValueError says after how many.
    """
    if isinstance(images, (str, Path, bytes, Image.Image)):
        raise ValueError("encode_images takes a list of images; put the one image into a list")
    source = _Source(images)
    read = partial(_pixels, transform, partial(decode_image, short_side=short_side))
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode") as pool, torch.inference_mode():
        for group in batches(map_ahead(read, source, pool=pool, ahead=batch_size), batch_size):
            pixels = [found for _, found in group if isinstance(found, Tensor)]
            black = [torch.zeros_like(pixels[0])] * (batch_size - len(pixels)) if fills_batches and pixels else []
            yield Rows(
                indices=[index for index, found in group if isinstance(found, Tensor)],
                values=forward(torch.stack(pixels + black))[: len(pixels)] if pixels else None,
                failed=[(index, found) for index, found in group if isinstance(found, ImageError)],
            )
    source.complain()


def readable_rows(
    images: Iterable[ImageLike], *, transform: Transform, forward: Forward, batch_size: int, fills_batches: bool = False
) -> tuple[list[Tensor], list[int], list[ImageError]]:
    """All that `rows` gives: (its tensors, the images' indices, the errors of the others)."""
    found = list(rows(images, transform=transform, forward=forward, batch_size=batch_size, fills_batches=fills_batches))
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


def _pixels(
    transform: Transform, decode: Callable[[str | Path | bytes], Image.Image], numbered: tuple[int, ImageLike]
) -> tuple[int, Tensor | ImageError]:
    index, image = numbered
    try:
        if isinstance(image, np.ndarray):
            image = from_array(image)
        return index, transform(image if isinstance(image, Image.Image) else decode(image))
    except ImageError as error:
        return index, error
    except (ValueError, OSError, TypeError) as error:  # an array of another shape, a truncated Pillow image, no image at all
        return index, ImageError(f"image {index}: {error}")
