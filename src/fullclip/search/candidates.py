"""Whatever holds pictures -> pictures one at a time, numbered: files, Pillow images, arrays, tensors, lists and generators of
them, and what image pipelines return. Nothing is encoded here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fullclip.data.drops import Drops
from fullclip.preprocess.image import from_array

UNREADABLE = "unreadable image"
_DEEPEST = 8
_TOLERANCE = 1e-2  # half a step of bfloat16 or a resizing's overshoot is no other range


@runtime_checkable
class HasImages(Protocol):
    """What a diffusion pipeline returns."""

    images: Any


@dataclass(frozen=True, kw_only=True)
class Named:
    """A picture and what it is to be called."""

    key: str
    image: Any


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A picture to be ranked. position: its number among all that came, from 0. image: a path, a file's bytes, or a Pillow
    image that nobody else has.
    """

    position: int
    key: str
    image: str | Path | bytes | Image.Image


class Intake:
    """Takes in pictures and numbers them, those that cannot be read, which go to `drops`, included."""

    def __init__(self, drops: Drops) -> None:
        self.drops, self.num_seen = drops, 0

    def read(self, images: Any) -> Iterator[Candidate]:
        """The candidates in `images`: a path or a file's bytes; a Pillow image; a uint8 or float array [height, width, 3] or
        [n, height, width, 3]; a uint8 or float tensor [3, height, width] or [n, 3, height, width]; a `Named` one of these; an
        object with `.images`; lists, tuples and generators of all of them.

        Floats are from 0 to 1. ValueError for floats in another range, another shape or type, and for what is no picture;
        then what came before has been given. An array with numbers that are not finite, and a Pillow image that has no pixels
        or does not decode, is dropped.
        What is given is copied when it comes, so that a generator may use its memory again.
        """
        yield from self._read(images, "", 0)

    def _read(self, images: Any, key: str, depth: int) -> Iterator[Candidate]:
        if depth > _DEEPEST:
            raise ValueError(f"image {self.num_seen}: lists within lists, more than {_DEEPEST} deep")
        if isinstance(images, Named):
            yield from self._read(images.image, images.key, depth + 1)
        elif isinstance(images, str | Path):
            yield self._numbered(images, key or str(images))
        elif isinstance(images, bytes | Image.Image):
            yield from self._one(images, key)
        elif isinstance(images, np.ndarray | Tensor):
            for picture in self._split(images):
                yield from self._one(picture, key)
        elif isinstance(images, HasImages):
            yield from self._read(images.images, key, depth + 1)
        elif isinstance(images, Iterable) and not isinstance(images, dict | bytearray | memoryview):
            for one in images:
                yield from self._read(one, key, depth + 1)
        else:
            raise ValueError(f"image {self.num_seen} is a {type(images).__name__}: {_WANTED}")

    def _numbered(self, image: str | Path | bytes | Image.Image, key: str) -> Candidate:
        self.num_seen += 1
        return Candidate(position=self.num_seen - 1, key=key or str(self.num_seen - 1), image=image)

    def _one(self, image: bytes | Image.Image | np.ndarray, key: str) -> Iterator[Candidate]:
        """The picture as our own, or a drop."""
        name = key or f"image {self.num_seen}"
        try:
            if isinstance(image, np.ndarray):
                image = from_array(_levels(image, name))  # which copies them
            elif isinstance(image, Image.Image):
                image = _copied(image)
        except _UnreadableError as error:
            self.drops.drop(UNREADABLE, f"{name}: {error}")
            self.num_seen += 1
            return
        yield self._numbered(image, key)

    def _split(self, pictures: np.ndarray | Tensor) -> Iterator[np.ndarray]:
        """Arrays [height, width, 3], in the memory of what was given."""
        axis = 1 if isinstance(pictures, Tensor) else 3
        shape = list(pictures.shape)
        if len(shape) not in (3, 4) or shape[axis - 4] != 3 or 0 in shape[-3:]:
            kind = "a tensor" if isinstance(pictures, Tensor) else "an array"
            raise ValueError(f"image {self.num_seen} is {kind} {pictures.dtype} {shape}: {_advice(shape, axis)}{_WANTED}")
        if isinstance(pictures, Tensor) and (pictures.is_meta or pictures.layout != torch.strided):
            raise ValueError(f"image {self.num_seen} is a tensor on {pictures.device}, {pictures.layout}: give a dense one")
        for one in pictures if len(shape) == 4 else [pictures]:
            if isinstance(one, Tensor):
                one = one.detach().cpu().movedim(0, -1)
                one = (one.float() if one.is_floating_point() else one).numpy()
            yield one


class _UnreadableError(Exception):
    """A picture that is left out, and why."""


_WANTED = (
    "give a path, a file's bytes, a Pillow image, a uint8 array [height, width, 3] or a float tensor [3, height, width] "
    "from 0 to 1, or a list, a generator or a pipeline's output of them"
)


def _advice(shape: list[int], axis: int) -> str:
    """What to type where the channels are an array's first axis, or a tensor's last."""
    if len(shape) not in (3, 4) or shape[-1 if axis == 1 else -3] != 3:
        return ""
    return "give x.movedim(-1, -3); or " if axis == 1 else "give np.moveaxis(x, -3, -1); or "


def _levels(pixels: np.ndarray, name: str) -> np.ndarray:
    """Pixels in 8 bits; floats are from 0 to 1."""
    if pixels.dtype == np.uint8:
        return pixels
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ValueError(f"{name} has pixels in {pixels.dtype}: uint8, or floats from 0 to 1")
    if not np.isfinite(pixels).all():
        raise _UnreadableError("its pixels are not all finite")
    low, high = float(pixels.min()), float(pixels.max())
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        advice = "(x / 2 + 0.5).clip(0, 1)" if low >= -1 - _TOLERANCE and high <= 1 + _TOLERANCE else "x / 255, or clip them"
        raise ValueError(f"{name} has pixels from {low:.3g} to {high:.3g}: floats are from 0 to 1; give {advice}")
    return np.round(np.clip(pixels.astype(np.float64), 0, 1) * 255).astype(np.uint8)


def _copied(image: Image.Image) -> Image.Image:
    if 0 in image.size:
        raise _UnreadableError("it has no pixels")
    try:
        return image.copy()
    except MemoryError:
        raise _UnreadableError("not enough memory to decode it") from None
    except Exception as error:  # one that was opened and not yet read can raise nearly anything in Pillow's decoders
        raise _UnreadableError(f"cannot be decoded ({type(error).__name__}: {error})") from None
