"""One unit of work and an Encoder -> one part on disk, the same whoever does it and whatever was done before."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from fullclip.data.drops import Drops
from fullclip.data.stages import batches
from fullclip.inference import Encoder, Precision, load
from fullclip.inference.batch_size import fastest
from fullclip.inference.encoder import BATCH_SIZE, Decoding
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.search.columns import What
from fullclip.search.items import Item, read_items
from fullclip.search.parts import Format, PartWriter, Record, Side
from fullclip.search.units import Work

_TEXTS_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """A model to be opened, here or by a worker elsewhere: what `fullclip.load` is given. Without a batch size, the fastest of
    the device is found by trying.
    """

    name: str = "small"
    precision: Precision | None = None
    device: str | None = None
    batch_size: int | None = None
    decoding: Decoding = "exact"

    def load(self) -> Encoder:
        given = self.batch_size or BATCH_SIZE
        encoder = load(self.name, self.precision, self.device, batch_size=given, decoding=self.decoding)
        if self.batch_size is None:
            encoder.batch_size = fastest(encoder)
        return encoder


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is embedded, and how it is written; half: float16."""

    what: What = "images"
    format: Format = "parquet"
    half: bool = False

    @property
    def sides(self) -> tuple[Side, ...]:
        return ("images", "texts") if self.what == "both" else (self.what,)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every unit of a run has in common: the layout, and the folder, local or remote, that gets the parts."""

    layout: Layout
    out: str


def do(work: Work, job: Job, encoder: Encoder, *, on_rows: Callable[[int], None] = lambda number: None) -> Record:
    """Embed a unit and write its part. on_rows is told of each few rows. OSError where a store or the disk fails: then there
    is no part.
    """
    sides, drops, unreadable = job.layout.sides, _all_named(), _all_named()
    items = read_items(work, job.layout.what, drops)
    writer, counts, num_truncated = PartWriter(job.out, work.number), dict[Side, int](), 0
    with ExitStack() as stack:
        dtype = "float16" if job.layout.half else "float32"
        to = {
            side: stack.enter_context(writer.rows(side, file_format=job.layout.format, dtype=dtype, embed=encoder.embed))
            for side in sides
        }
        captions: Iterable[_Caption] = (caption for item in items for caption in _captions(item))
        if "images" in sides:
            images = _Images(items, keep_captions="texts" in sides)
            for names, vectors in _embedded(images, encoder, unreadable):
                to["images"].add(names, vectors)
                on_rows(len(names))
            captions = images.captions
        for group in batches(captions, _TEXTS_AT_ONCE) if "texts" in sides else ():
            texts = [text for _, _, text in group]
            to["texts"].add(group, encoder.encode_texts(texts, truncate=True))
            num_truncated += _num_too_long(texts, encoder.tokenizer)
            on_rows(len(group))
        counts = {side: rows.num_rows for side, rows in to.items()}
    drops.merge(unreadable)
    return writer.finish(images=counts.get("images", 0), texts=counts.get("texts", 0), truncated=num_truncated, drops=drops)


_Caption = tuple[str, str, str]


def _all_named() -> Drops:
    return Drops(num_examples=sys.maxsize)


def _captions(item: Item) -> Iterator[_Caption]:
    for text in item.texts:
        yield item.key, item.path, text


class _Images:
    """The images of a unit as an Encoder takes them; remembers what each is called until its embedding has come."""

    def __init__(self, items: Iterable[Item], *, keep_captions: bool) -> None:
        self._items, self._keep_captions = items, keep_captions
        self.captions = list[_Caption]()
        self.error: Exception | None = None
        self._called = dict[int, tuple[str, str, str]]()

    def __iter__(self) -> Iterator[str | bytes]:
        given = 0
        try:
            for item in self._items:
                if self._keep_captions:
                    self.captions += _captions(item)
                if item.image is not None:
                    self._called[given] = item.key, item.path, item.name
                    given += 1
                    yield item.image
        except Exception as error:
            self.error = error
            raise

    def called(self, index: int) -> tuple[str, str, str]:
        """(key, path, name) of an image, once."""
        return self._called.pop(index)


def _embedded(images: _Images, encoder: Encoder, unreadable: Drops) -> Iterator[tuple[list[tuple[str, str]], np.ndarray]]:
    """(key, path) of the images that can be read, with their embeddings, some at a time."""
    try:
        for found in encoder.stream_images(images):
            names = [images.called(index)[:2] for index in found.indices]
            for index, error in found.failed:
                name = images.called(index)[2]
                # the encoder knows a file's path, of bytes nothing
                reason = str(error).removeprefix(f"{name}: ").removeprefix("these bytes: ")
                unreadable.drop("unreadable image", f"{name}: {reason}")
            yield names, found.embeddings
    except ValueError:
        if images.error is not None:  # of the shard, the table or the store; the encoder says only that they failed
            raise images.error from None
        raise


def _num_too_long(texts: list[str], tokenizer: Tokenizer | None) -> int:
    """How many texts were cut to the context. A short one is not looked at: a token is a byte at least."""
    if tokenizer is None:
        return 0
    long = [text for text in texts if len(text.encode()) > tokenizer.context_length - 2]
    return tokenizer.encode(long, truncate=True).num_truncated if long else 0
