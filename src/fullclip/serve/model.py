"""A model that many requests share: texts and pictures in, rows out, gathered into common batches (`gather`)."""

import asyncio
import os
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, TimeoutError as LateError
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import cached_property, partial
from threading import Lock
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from fullclip.data.stages import batches
from fullclip.inference import Encoder, ImageLike
from fullclip.inference.encoder import EncodedImages
from fullclip.preprocess.image import ImageError, decode_image
from fullclip.serve import images as pictures_of
from fullclip.serve.errors import ApiError
from fullclip.serve.gather import Busy, Gatherer
from fullclip.serve.metrics import Metrics
from fullclip.serve.settings import Limits

T = TypeVar("T")

_KNOWN_TEXTS, _LONGEST_KNOWN = 10_000, 500  # characters: of longer ones, mostly white space, so many would fill the memory
_LARGE = 12_000_000  # pixels; of such pictures one is decoded at a time, or those of all threads would fill the memory
_JOBS = 8  # searches and rerankings at a time
_SHORT = 2  # answers that are written, and what probes ask: pictures that take long to decode hold up neither
_TEXTS_AT_ONCE = 64  # are counted, so that the first that is too long ends it


class SharedModel:
    """An Encoder behind two queues, of pictures and of texts, and the one thread that runs it. Its methods are for the event
    loop; `seen_from_threads` is for code that takes an Encoder. The embeddings of texts, which come again and again, are kept.
    """

    def __init__(self, encoder: Encoder, *, limits: Limits, metrics: Metrics) -> None:
        self.encoder, self._limits, self._metrics = encoder, limits, metrics
        self._known: OrderedDict[str, np.ndarray] = OrderedDict()
        self._began, self._num_jobs, self._large = 0.0, 0, Lock()

    @cached_property
    def fingerprint(self) -> str:
        """The encoder's, for which all weights are read: once."""
        return self.encoder.fingerprint

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the body runs, it answers."""
        limits, self._loop = self._limits, asyncio.get_running_loop()
        decoding, jobs = ThreadPoolExecutor(os.cpu_count(), "decode"), ThreadPoolExecutor(_JOBS, "job")
        thread, short = ThreadPoolExecutor(1, "model"), ThreadPoolExecutor(_SHORT, "short")
        self._pools, self._jobs = {"decode": decoding, "short": short}, jobs
        build = partial(Gatherer, thread=thread, pool=decoding, wait=limits.gather_seconds, metrics=self._metrics)
        self._images: Gatherer[tuple[str, ImageLike], Tensor] = build(
            "images", self._pixels, self._image_rows, sizes=(limits.image_batch, limits.waiting_images)
        )
        self._texts: Gatherer[str, str] = build("texts", None, self._text_rows, sizes=(limits.text_batch, limits.waiting_texts))
        try:
            async with self._images.running(), self._texts.running():
                yield
        finally:
            for pool in (jobs, decoding, thread, short):
                pool.shutdown(wait=False, cancel_futures=True)

    async def images(self, pictures: Sequence[ImageLike], names: Sequence[str]) -> np.ndarray:
        """float32 [n, embed], each row of length 1; ApiError with its name for the first picture that cannot be read."""
        if not pictures:
            return np.zeros((0, self.encoder.embed), dtype=np.float32)
        return _checked(await self._images(list(zip(names, pictures, strict=True))))

    async def texts(self, texts: Sequence[str]) -> np.ndarray:
        """The same for texts, each of which `count` has looked at."""
        if not texts:
            return np.zeros((0, self.encoder.embed), dtype=np.float32)
        rows = {text: self._known[text] for text in texts if text in self._known}  # now: others may push them out meanwhile
        unknown = [text for text in dict.fromkeys(texts) if text not in rows]
        if unknown:
            rows |= zip(unknown, map(np.copy, _checked(await self._texts(unknown))), strict=True)
        for text, row in rows.items():
            if len(text) <= _LONGEST_KNOWN:
                self._known[text] = row
                self._known.move_to_end(text)
        while len(self._known) > _KNOWN_TEXTS:
            self._known.popitem(last=False)
        return np.stack([rows[text] for text in texts])

    async def count(self, texts: Sequence[str]) -> int:
        """How many tokens the texts have; ApiError where the model reads none, or one is longer than it reads."""
        until, number = time.monotonic() + self._limits.seconds, 0
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            number += await self.aside(partial(self._count, texts[first : first + _TEXTS_AT_ONCE], first), kind="decode")
            if time.monotonic() > until:
                raise ApiError(504, "the texts could not be read in time", code="timeout")
        return number

    async def aside(self, work: Callable[[], T], *, kind: Literal["job", "decode", "short"] = "job") -> T:
        """`work` in a thread, so that others are answered meanwhile. A job may wait for the model itself; Busy where too many
        do.
        """
        if kind != "job":
            return await self._loop.run_in_executor(self._pools[kind], work)
        if self._num_jobs >= self._limits.waiting_jobs:
            raise Busy(1.0)
        self._num_jobs += 1
        try:
            return await self._loop.run_in_executor(self._jobs, work)
        finally:
            self._num_jobs -= 1

    def is_stuck(self) -> bool:
        """Whether the model has been at one batch for longer than a request may take."""
        began = self._began
        return bool(began) and time.monotonic() - began > self._limits.seconds

    def seen_from_threads(self, names: Sequence[str] = ()) -> "GatheredEncoder":
        """An Encoder for a job: what it is given goes into the common batches. names: of its pictures, in their order."""
        return GatheredEncoder(self, self._loop, names=names, seconds=self._limits.seconds)

    def _count(self, texts: Sequence[str], first: int) -> int:
        """Of some texts, whose first has this place among all."""
        tokenizer = self.encoder.tokenizer
        if tokenizer is None:
            raise ApiError(400, "this model encodes images only: its vocabulary is not known", code="no_texts")
        try:
            ids = tokenizer.encode(list(texts)).ids
        except ValueError as error:
            why, is_long, _ = str(error).partition("; shorten")
            why = re.sub(r"^text (\d+)", lambda place: f"text {first + int(place[1])}", why)
            raise ApiError(400, why, code="context_length_exceeded" if is_long else "bad_text") from None
        ends = (ids == tokenizer.end_id).int().argmax(dim=1) + 1
        return int(ends.sum())

    def _pixels(self, named: tuple[str, ImageLike]) -> Tensor:
        """A picture as the model wants it; in a thread."""
        name, picture = named
        encoder = self.encoder
        assert isinstance(picture, bytes)
        is_large = pictures_of.check(picture, name, max_pixels=self._limits.pixels) > _LARGE
        try:
            short_side = encoder.preprocess.size if encoder.decoding == "fast" else None
            with self._large if is_large else nullcontext():
                return encoder.pixels(decode_image(picture, name=name, short_side=short_side))
        except (ImageError, ValueError, OSError, MemoryError) as error:
            why = str(error).removeprefix(f"{name}: ") if isinstance(error, ImageError) else type(error).__name__
            raise pictures_of.unreadable(name, why) from None

    def _image_rows(self, pixels: list[Tensor]) -> np.ndarray:
        with self._at_work():
            return self.encoder.embed_pixels(torch.stack(pixels)).numpy()

    def _text_rows(self, texts: list[str]) -> np.ndarray:
        with self._at_work():
            return self.encoder.encode_texts(texts)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._began = time.monotonic()
        try:
            yield
        finally:
            self._began = 0.0


class GatheredEncoder(Encoder):
    """An Encoder that waits, in a thread of its caller's, for the rows of a `SharedModel`. Pictures are files' bytes."""

    def __init__(self, shared: SharedModel, loop: asyncio.AbstractEventLoop, *, names: Sequence[str], seconds: float) -> None:
        own = shared.encoder
        super().__init__(own.model, preprocess=own.preprocess, tokenizer=own.tokenizer, batch_size=own.batch_size)
        self._shared, self._loop, self._names, self._until = shared, loop, names, time.monotonic() + seconds

    @property
    def fingerprint(self) -> str:
        return self._shared.fingerprint

    def encode_images(self, images: Iterable[ImageLike], *, out: np.ndarray | None = None) -> np.ndarray:
        rows = [part.embeddings for part in self.stream_images(images)]
        found = np.concatenate(rows) if rows else np.zeros((0, self.embed), dtype=np.float32)
        return _filled(found, out)

    def stream_images(self, images: Iterable[ImageLike]) -> Iterator[EncodedImages]:
        first = 0
        for part in batches(images, self.batch_size):
            names = self._names[first : first + len(part)] or [f"image {first + place}" for place in range(len(part))]
            rows = self._wait(self._shared.images(part, names))
            yield EncodedImages(indices=list(range(first, first + len(part))), embeddings=rows, failed=[])
            first += len(part)

    def encode_texts(self, texts: Iterable[str], *, truncate: bool = False, out: np.ndarray | None = None) -> np.ndarray:
        return _filled(self._wait(self._shared.texts(list(texts))), out)

    def _wait(self, rows: Any) -> np.ndarray:
        waiting = asyncio.run_coroutine_threadsafe(rows, self._loop)
        try:
            found: np.ndarray = waiting.result(max(0.0, self._until - time.monotonic()))
        except (LateError, CancelledError):
            raise ApiError(504, "the model did not answer in time", code="timeout") from None
        finally:
            waiting.cancel()
        return found


def _checked(rows: np.ndarray) -> np.ndarray:
    """ApiError where the model computes what is no number, which can be neither compared nor sent."""
    if not np.isfinite(rows).all():
        raise ApiError(503, "the model's answer is not finite: are its weights?", code="not_finite")
    return rows


def _filled(rows: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    if out is None:
        return rows
    out[: len(rows)] = rows
    return out[: len(rows)]
