"""A unit of work -> its images and captions in order, read ahead of who takes them. Nothing is decoded here.

What gives nothing to embed goes to `drops`, by reason and path.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby

from fullclip.core.remote import read_remote
from fullclip.core.storage import is_remote, open_file
from fullclip.data.drops import Drops
from fullclip.data.shards import captions_of, image_in, meta_and_texts, read_samples
from fullclip.data.stages import made_ahead, map_ahead
from fullclip.data.tables import Row, Run, read_rows
from fullclip.preprocess.features import is_features
from fullclip.search.columns import Columns, What
from fullclip.search.units import Unit, Work, captions_beside, everywhere

_AHEAD = 32
_THREADS = 16


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something to embed. path: the image's file, or the shard, table or text file that holds it. name: what it is called where
    it is left out. image: a path, a file's bytes, or None; it and `texts` are there only where they are wanted.
    """

    key: str
    path: str
    name: str
    image: str | bytes | None = None
    texts: tuple[str, ...] = ()


def read_items(work: Work, what: What, drops: Drops) -> Iterator[Item]:
    """The items of a unit in order. OSError where a store stays away."""
    unit = work.unit
    if unit.kind == "shard":
        found = _from_shard(unit.path, what, drops)
    elif unit.kind == "files":
        found = _from_files(work, what, drops)
    elif unit.kind == "table":
        found = _from_table(unit, what, drops)
    else:
        found = _from_lines(unit, drops)
    yield from made_ahead(_fetched(found, drops), ahead=_AHEAD)


def _from_shard(path: str, what: What, drops: Drops) -> Iterator[Item]:
    for key, files in read_samples(path, drops):
        image = image_in(files) if what != "texts" else None
        if what != "texts" and (image is None or is_features(image)):
            drops.drop("sample without image" if image is None else "features in an image's place", f"{path}:{key}")
            image = None
        texts: tuple[str, ...] = ()
        if what != "images":
            said = meta_and_texts(files)
            texts = said[1] if said else ()
            if not texts:
                drops.drop("sample without text" if said else "broken text", f"{path}:{key}")
        if image is not None or texts:
            yield Item(key=key, path=path, name=f"{path}:{key}", image=image, texts=texts)


def _from_files(work: Work, what: What, drops: Drops) -> Iterator[Item]:
    for name in work.files:
        path = everywhere(name, work.base)
        texts = _texts_beside(path, drops) if what != "images" else ()
        if what != "texts" or texts:
            yield Item(key=name, path=path, name=path, image=path if what != "texts" else None, texts=texts)


def _texts_beside(image: str, drops: Drops) -> tuple[str, ...]:
    path = captions_beside(image)
    try:
        with open_file(path) as file:
            texts = captions_of({"captions": file.read().decode("utf-8-sig").splitlines()})
    except FileNotFoundError:
        texts = ()
    except ValueError:
        drops.drop("broken text", path)
        return ()
    if not texts:
        drops.drop("image without text", image)
    return texts


def _from_table(unit: Unit, what: What, drops: Drops) -> Iterator[Item]:
    columns = Columns.of(unit.path, what)
    run = Run(start=unit.start, end=unit.end, first=unit.first)
    rows = read_rows(unit.path, drops, run=run, columns=columns.needed(what))
    if columns.holds != "values" or not columns.image:
        for number, row in rows:
            yield from _of_rows([row], columns.name_of(row) or str(number), columns, unit, what, drops)
        return
    named = ((columns.name_of(row), columns.image_of(row), number, row) for number, row in rows)
    for (key, _, number), group in groupby(named, key=lambda item: (*item[:2], None if item[1] else item[2])):
        yield from _of_rows([row for *_, row in group], key or str(number), columns, unit, what, drops)


def _of_rows(rows: list[Row], key: str, columns: Columns, unit: Unit, what: What, drops: Drops) -> Iterator[Item]:
    """What rows of one image, with a caption each, are."""
    name = f"{unit.path}:{key}"
    if any(None in row for row in rows):
        drops.drop("row with more fields than columns", name)
        return
    image = columns.image_of(rows[0])
    path = unit.path
    if isinstance(image, str):
        image = name = everywhere(image, os.path.dirname(unit.path))  # noqa: PTH120
        path = image if columns.holds == "values" else unit.path
    if what == "texts":
        image = None
    elif image is None:
        drops.drop("row without image", name)
    texts: tuple[str, ...] = ()
    if what != "images":
        try:
            texts = tuple(text for row in rows for text in columns.texts_of(row))
        except ValueError:
            drops.drop("broken text", name)
        else:
            if not texts:
                drops.drop("row without text", name)
    if image is not None or texts:
        yield Item(key=key, path=path, name=name, image=image, texts=texts)


def _from_lines(unit: Unit, drops: Drops) -> Iterator[Item]:
    """Keys are the lines' numbers, from 1."""
    with open_file(unit.path) as file:
        file.seek(unit.start)
        at = unit.start
        for number, line in enumerate(file, unit.first + 1):
            if at >= unit.end:
                return
            at += len(line)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                drops.drop("broken text", f"{unit.path}:{number}")
                continue
            if text:
                yield Item(key=str(number), path=unit.path, name=f"{unit.path}:{number}", texts=(text,))
            else:
                drops.drop("empty line", f"{unit.path}:{number}")


def _fetched(items: Iterable[Item], drops: Drops) -> Iterator[Item]:
    """Items whose image is a file of a remote store with its bytes; many are asked for at a time."""
    with (
        ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch") as pool,
        closing(map_ahead(_fetch, items, pool=pool, ahead=_AHEAD)) as fetched,
    ):
        for item, error in fetched:
            if error is not None:
                drops.drop("unreadable image", error)
            if item.image is not None or item.texts:
                yield item


def _fetch(item: Item) -> tuple[Item, str | None]:
    """The item, without its image and with what was wrong where the store does not have it."""
    if not isinstance(item.image, str) or not is_remote(item.image):
        return item, None
    try:
        return replace(item, image=read_remote(item.image)), None
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        return replace(item, image=None), str(error)
