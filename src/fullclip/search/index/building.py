"""Pictures into an index, and out of it. One process writes at a time; killed at any moment, the same command goes on."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import TextColumn

from fullclip.core.folders import appeared, read_text, whole_file
from fullclip.core.logs import progress
from fullclip.core.say import say
from fullclip.data.drops import Drops
from fullclip.inference import Encoder
from fullclip.models.hub import BUNDLED, HUB_PREFIX, PRETRAINED
from fullclip.preprocess.image import ImageError
from fullclip.search.index.derived import catch_up, derived_folder, read_segments
from fullclip.search.index.embedded import is_embedded, model_of, read_embedded
from fullclip.search.index.known import Known
from fullclip.search.index.mark import NAME, Mark, plain, read_mark, same_model, write_mark
from fullclip.search.index.pictures import Picture, fetched, find_pictures, read_pictures
from fullclip.search.index.table import ROOT, Table, as_text, fields_of
from fullclip.search.index.thumbnails import Look, look_at
from fullclip.search.index.writing import held
from fullclip.search.jobs import ModelChoice

ROWS_A_WRITE = 1024
_VECTORS_A_WRITE = 16_384  # of rows that need no embedding
_SECONDS_A_WRITE = 10.0
_NUMBERS = "numbers.json"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run did: pictures that were added, that took the place of older ones, that were there; and that were left out, by
    reason, of which `examples` names some. rows: how many there are now.
    """

    index: str
    added: int
    replaced: int
    unchanged: int
    skipped: Mapping[str, int]
    examples: Mapping[str, list[str]]
    rows: int
    seconds: float


def add(inputs: Sequence[str], index: str, *, choice: ModelChoice | None, create: bool = False) -> Summary:
    """Index what `inputs` name: images, folders, globs, shards, tables, folders that `fullclip embed` wrote. What is there
    unchanged stays.

    choice: the model; None is the index's own, or the one that was embedded with. create: that there may be no index yet.
    ValueError for an input that is not there, an index of another model, and where nothing could be read.
    """
    index = plain(index)
    if not inputs:
        raise ValueError("nothing to index; name images, folders, shards, tables, or folders of embeddings")
    if not create and not appeared(f"{index}/{NAME}"):
        read_mark(index)

    def write(writer: Writer) -> None:
        for group in _in_order(inputs):
            if is_embedded(group[0]):
                writer.add_embedded(group[0], choice)
            else:
                writer.add_pictures(group, choice)

    return written(index, write, create=create)


def written(index: str, write: "Callable[[Writer], None]", *, create: bool) -> Summary:
    """What `write` puts into an index, alone; then its cells. ValueError where there is nothing in it."""
    began, index = time.monotonic(), plain(index)
    with held(index):
        writer = Writer(index, Drops(num_examples=10), create=create)
        write(writer)
        table = writer.finish()
        num_rows = len(table.numbers()[0])
    if not num_rows:
        raise ValueError(f"nothing could be read; {writer.drops.summary() or 'there were no pictures'}")
    return Summary(
        index=index,
        added=writer.counts["new"],
        replaced=writer.counts["changed"],
        unchanged=writer.counts["same"],
        skipped=dict(writer.drops.counts.most_common()),
        examples=writer.drops.examples,
        rows=num_rows,
        seconds=time.monotonic() - began,
    )


def _in_order(inputs: Sequence[str]) -> Iterator[list[str]]:
    """Folders of embeddings alone, others together."""
    together = list[str]()
    for one in inputs:
        if not is_embedded(one):
            together.append(one)
            continue
        if together:
            yield together
        together = []
        yield [one]
    if together:
        yield together


class Writer:
    """Rows as they come -> writes of some thousand; meanwhile what was known, skipped and counted."""

    def __init__(self, index: str, drops: Drops, *, create: bool) -> None:
        self.drops, self.counts = drops, Counter[str]()
        self._index, self._create = index, create
        self._mark: Mark | None = read_mark(index) if appeared(f"{index}/{NAME}") else None
        self._table: Table | None = None
        self._rows, self._replaces, self._since = list[dict[str, Any]](), False, time.monotonic()

    def add_embedded(self, folder: str, choice: ModelChoice | None) -> None:
        model = model_of(folder)
        if choice is not None and choice.name != model.name:
            raise ValueError(f"{folder} was embedded with {model.name}: leave out --model, or embed anew with {choice.name}")
        with progress("pictures") as bar:
            task = bar.add_task("indexing", total=None)
            for pictures in read_embedded(folder):
                self.take_embedded(pictures, model=model.name, fingerprint=model.fingerprint)
                bar.advance(task, len(pictures))
        self._write()

    def take_embedded(self, pictures: Sequence[Picture], *, model: str, fingerprint: str) -> None:
        """Pictures that have their vectors, of this model."""
        if not pictures or pictures[0].vector is None:
            return
        known = self._open(model, fingerprint, len(pictures[0].vector))
        wanted = [picture for picture in pictures if self._is_wanted(picture, known)]
        with ThreadPoolExecutor(thread_name_prefix="thumbnail") as pool:
            for picture, look in zip(wanted, pool.map(_look_or_none, wanted), strict=True):
                assert picture.vector is not None
                self._take(picture, picture.vector, look, at_most=_VECTORS_A_WRITE)

    def add_pictures(self, inputs: list[str], choice: ModelChoice | None) -> None:
        works = find_pictures(inputs, self.drops)
        given = choice or ModelChoice(name=self._mark.model if self._mark else "small")
        encoder = given.load()
        known = self._open(given.name, encoder.fingerprint, encoder.embed)
        pictures = (
            picture
            for root, work in works
            for picture in read_pictures(root, work, self.drops)
            if self._is_wanted(picture, known)
        )
        with progress("pictures", TextColumn("{task.fields[rate]:,.0f}/s")) as bar:
            began = time.monotonic()
            task = bar.add_task("indexing", total=None, rate=0.0)
            for done, (picture, vector, look) in enumerate(embedded(fetched(pictures, self.drops), encoder, self.drops), 1):
                self._take(picture, vector, look, at_most=ROWS_A_WRITE)
                bar.update(task, completed=done, rate=done / max(time.monotonic() - began, 1e-3))
        self._write()

    def finish(self) -> Table:
        """Write what is left, and arrange it."""
        self._write()
        assert self._mark is not None
        table = self._table or Table.open_table(self._index)
        if self.counts["new"] + self.counts["changed"]:
            table.compact()
        catch_up(derived_folder(self._index), self._mark.identity, table)
        return table

    def _open(self, model: str, fingerprint: str, dim: int) -> "Known":
        """Have the index's table, of this model. What it holds is read once."""
        model = _everywhere(model)
        if self._mark is None:
            self._mark = write_mark(self._index, model=model, fingerprint=fingerprint, dim=dim)
        same_model(self._mark, model=model, fingerprint=fingerprint, dim=dim, folder=self._index)
        if self._table is None:
            self._table = Table.create(self._index, dim)  # which may be there
            self._known = Known(self._table.keys())
        return self._known

    def _is_wanted(self, picture: Picture, known: "Known") -> bool:
        state = known.meet(as_text(picture.key), picture.mark, picture.root)
        if state == "another's":
            self.drops.drop("key of another picture", picture.name)
        elif state == "same":
            self.counts["same"] += 1
        self._replaces |= state == "changed"
        return state in ("new", "changed")

    def _take(self, picture: Picture, vector: np.ndarray, look: Look | None, *, at_most: int) -> None:
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if not np.isfinite(length) or length == 0:
            self.drops.drop("NaN in a vector" if length else "zero vector", picture.name)
            return
        self._rows.append(_row(picture, vector.astype(np.float32) / np.float32(length), look))
        if len(self._rows) >= at_most or time.monotonic() - self._since > _SECONDS_A_WRITE:
            self._write()

    def _write(self) -> None:
        if self._rows and self._table is not None:
            first = self._reserve(len(self._rows))
            rows = [{"number": first + i, **row} for i, row in enumerate(self._rows)]
            num_replaced = self._table.write(rows, replaces=self._replaces)
            self.counts["new"] += len(rows) - num_replaced
            self.counts["changed"] += num_replaced
        self._rows, self._since = [], time.monotonic()

    def _reserve(self, number: int) -> int:
        """The first of so many numbers that no row had, nor will have; told on disk before the rows are."""
        assert self._table is not None
        assert self._mark is not None
        first = _next_number(self._index, self._mark.identity, self._table)
        with whole_file(f"{self._index}/{_NUMBERS}", "w") as file:
            json.dump({"next": first + number}, file)
        return first


def _everywhere(model: str) -> str:
    """A model's name that is good from every folder: of one that lies on this disk, its whole path."""
    is_known = model in BUNDLED or model in PRETRAINED or model.startswith((HUB_PREFIX, "~"))
    return model if is_known or not Path(model).exists() else os.path.abspath(model)  # noqa: PTH100  # links stay links


def _next_number(index: str, identity: str, table: Table) -> int:
    path = f"{index}/{_NUMBERS}"
    if appeared(path):
        try:
            return int(json.loads(read_text(path))["next"])
        except (ValueError, KeyError, TypeError):
            say(f"{path} is damaged, and made anew")
    given = [table.numbers()[0]]
    given += [segment.numbers for segment in read_segments(derived_folder(index), identity)]  # of rows that are no more, too
    return max(int(numbers.max(initial=-1)) for numbers in given) + 1


def embedded(pictures: Iterator[Picture], encoder: Encoder, drops: Drops) -> Iterator[tuple[Picture, np.ndarray, Look | None]]:
    """The pictures that can be read, with their embeddings and thumbnails, in order."""
    called = dict[int, tuple[Picture, Future[Look]]]()
    errors = list[Exception]()

    def images(submit: Callable[..., Future[Look]]) -> Iterator[str | bytes]:
        try:
            for number, picture in enumerate(pictures):
                assert picture.image is not None
                called[number] = picture, submit(look_at, picture.image)
                yield picture.image
        except Exception as error:
            errors.append(error)
            raise

    with ThreadPoolExecutor(2, thread_name_prefix="thumbnail") as pool:
        try:
            for found in encoder.stream_images(images(pool.submit)):
                for index, error in found.failed:
                    name = called.pop(index)[0].name
                    reason = str(error).removeprefix(f"{name}: ").removeprefix("these bytes: ")
                    drops.drop("unreadable image", f"{name}: {reason}")
                for index, vector in zip(found.indices, found.embeddings, strict=True):
                    picture, look = called.pop(index)
                    yield picture, vector, look.result()
        except ValueError:
            if errors:  # of the shard, the table or the store; the encoder says only that they failed
                raise errors[0] from None
            raise


def _look_or_none(picture: Picture) -> Look | None:
    """The thumbnail of a picture that was embedded before, where its file is still there."""
    try:
        return None if picture.image is None else look_at(picture.image)
    except (ImageError, OSError):
        return None


def _row(picture: Picture, vector: np.ndarray, look: Look | None) -> dict[str, Any]:
    captions = [" ".join(text.split()) for text in picture.texts]
    known: dict[str, Any] = {
        "key": as_text(picture.key),
        "path": as_text(picture.path),
        "caption": "\n".join(captions) or None,
        "width": look.width if look else None,
        "height": look.height if look else None,
        "bytes": picture.num_bytes,
        "date": picture.date,
    }
    own = {name: value for name, value in picture.meta.items() if value == value}  # JSON has no NaN
    told = {**own, **{name: value for name, value in known.items() if value is not None}}
    if captions:
        told |= {"caption": captions[0], "captions": captions}
    return {
        **known,
        "mark": picture.mark,
        "told": json.dumps(told, default=str),
        "thumbnail": look.jpeg if look else None,
        "vector": vector,
        "fields": fields_of(picture.meta),
        ROOT: picture.root,
    }
