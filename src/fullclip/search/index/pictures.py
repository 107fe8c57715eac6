"""What a user names -> pictures to index, each with its key, what is known of it, and a mark that changes when it does.

Keys are paths from the folder that was named, or the keys of shards and tables. Nothing is decoded here.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import groupby
from typing import Any

import numpy as np

from fullclip.core.remote import read_remote
from fullclip.core.storage import exists, file_info, is_folder, is_remote, open_file
from fullclip.data.drops import Drops
from fullclip.data.shards import captions_of, image_in, meta_and_texts, read_samples
from fullclip.data.stages import map_ahead
from fullclip.data.tables import Row, Run, read_rows
from fullclip.preprocess.features import is_features
from fullclip.search.columns import Columns
from fullclip.search.units import Unit, Work, captions_beside, everywhere, find_work

_AHEAD, _THREADS = 32, 16


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Something to index. path: from the folder that was named. name: what it is called where it is left out. image: a path or
    a file's bytes; None where only its vector is known. vector: [dim], where it was embedded before. root: of the folder that
    was named (`root_of`), where `path` leads from it to a file; None where it does not.
    """

    key: str
    path: str
    name: str
    mark: str
    image: str | bytes | None = None
    vector: np.ndarray | None = None
    texts: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    num_bytes: int | None = None
    date: str | None = None
    root: str | None = None


def find_pictures(inputs: list[str], drops: Drops) -> list[tuple[str, Work]]:
    """The units of work of all inputs, each with the folder that paths are from. ValueError for what is not there."""
    return [(_root(pattern), work) for pattern in inputs for work in find_work([pattern], what="images", drops=drops)]


def read_pictures(root: str, work: Work, drops: Drops) -> Iterator[Picture]:
    """The pictures of a unit, in order."""
    unit = replace(work.unit, path=everywhere(work.unit.path, work.base or os.getcwd()))  # however it was typed
    if unit.kind == "shard":
        found = _from_shard(root, unit.path, drops)
    elif unit.kind == "files":
        found = (one for name in work.files for one in _from_file(root, everywhere(name, work.base), drops))
    else:
        found = _from_table(root, unit, drops)
    own = root_of(root)
    for picture in found:
        file = picture.image if isinstance(picture.image, str) else unit.path
        yield replace(picture, root=own if file == f"{root}/{picture.path}" else None)


def fetched(pictures: Iterable[Picture], drops: Drops) -> Iterator[Picture]:
    """Those whose image lies in a remote store with its bytes. Many are asked for at a time; OSError where it stays away."""
    with (
        ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch") as pool,
        closing(map_ahead(_fetch, pictures, pool=pool, ahead=_AHEAD)) as found,
    ):
        for picture, error in found:
            if error is None:
                yield picture
            else:
                drops.drop("unreadable image", f"{picture.name}: {error}")


def _fetch(picture: Picture) -> tuple[Picture, OSError | None]:
    """The picture with its bytes, or with what was wrong where the store does not have it."""
    if not isinstance(picture.image, str) or not is_remote(picture.image):
        return picture, None
    try:
        return replace(picture, image=read_remote(picture.image)), None
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        return picture, error


def _root(pattern: str) -> str:
    """The folder itself, or the one that a file, or the part of a glob that has no letters with a meaning, lies in."""
    whole = everywhere(pattern, os.getcwd())
    if is_folder(pattern):
        return whole_root(pattern)
    if exists(whole):
        return whole.rpartition("/")[0]
    plain = whole
    while any(character in plain for character in "*?[{"):
        plain = plain.rpartition("/")[0]
    return plain if plain != whole else whole.rpartition("/")[0]


def whole_root(folder: str) -> str:
    """A folder as `find_pictures` says it."""
    return everywhere(folder, os.getcwd()).rstrip("/")


def root_of(folder: str) -> str:
    """What stands for a folder in rows: no answer tells where things lie on this machine. The same for all links to it."""
    whole = folder if is_remote(folder) else os.path.realpath(folder or "/")
    return hashlib.blake2b(whole.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def relative(path: str, root: str) -> str:
    """A path from `root`; of one that is not below it, only the name: no answer tells where things lie on this machine."""
    if path.startswith(f"{root}/"):
        return path[len(root) + 1 :]
    return path.rpartition("/")[2] if path[:1] == "/" or is_remote(path) else path


def _from_file(root: str, path: str, drops: Drops) -> Iterator[Picture]:
    try:
        info = file_info(path)
    except (FileNotFoundError, PermissionError) as error:
        drops.drop("unreadable image", f"{path}: {error.strerror or error}")
        return
    texts, version = _texts_beside(path, drops)
    key = relative(path, root)
    yield Picture(
        key=key,
        path=key,
        name=path,
        mark=f"{info.num_bytes} {info.version} {version}".strip(),
        image=path,
        texts=texts,
        num_bytes=info.num_bytes,
        date=None if is_remote(path) else _date(int(info.version)),
    )


def _texts_beside(image: str, drops: Drops) -> tuple[tuple[str, ...], str]:
    path = captions_beside(image)
    try:
        with open_file(path) as file:
            data = file.read()
        return captions_of({"captions": data.decode("utf-8-sig").splitlines()}), _digest(data)
    except FileNotFoundError:
        return (), ""
    except ValueError:
        drops.drop("broken text", path)
        return (), ""


def _from_shard(root: str, path: str, drops: Drops) -> Iterator[Picture]:
    shard = relative(path, root)
    for key, files in read_samples(path, drops):
        image = image_in(files)
        if image is None or is_features(image):
            drops.drop("sample without image" if image is None else "features in an image's place", f"{path}:{key}")
            continue
        said = meta_and_texts(files)
        if said is None:
            drops.drop("broken text", f"{path}:{key}")
        meta, texts = said or ({}, ())
        yield Picture(
            key=key,
            path=shard,
            name=f"{path}:{key}",
            mark=_digest(image, files.get("json", b""), files.get("txt", b"")),
            image=image,
            texts=texts,
            meta={name: value for name, value in meta.items() if name not in ("caption", "captions")},
            num_bytes=len(image),
        )


def _from_table(root: str, unit: Unit, drops: Drops) -> Iterator[Picture]:
    columns = Columns.of(unit.path, "images")
    text = next((name for name in ("captions", "caption", "text", "title") if name in _names(unit)), "")
    rows = read_rows(unit.path, drops, run=Run(start=unit.start, end=unit.end, first=unit.first))
    named = ((columns.name_of(row), _path_of(columns, row), number, row) for number, row in rows if _is_whole(row, unit, drops))
    for (key, path, number), group in groupby(named, key=lambda item: (item[0], item[1], None if item[1] else item[2])):
        yield from _of_rows(root, unit, columns, [row for *_, row in group], (key or str(number), path, text), drops)


def _names(unit: Unit) -> set[str]:
    from fullclip.data.tables import columns_of

    return set(columns_of(unit.path))


def _is_whole(row: Row, unit: Unit, drops: Drops) -> bool:
    if None in row:
        drops.drop("row with more fields than columns", unit.path)
    return None not in row


def _path_of(columns: Columns, row: Row) -> str:
    image = columns.image_of(row)
    return image if isinstance(image, str) else ""


def _of_rows(
    root: str, unit: Unit, columns: Columns, rows: list[Row], called: tuple[str, str, str], drops: Drops
) -> Iterator[Picture]:
    """The picture of some rows of a table, which have a caption each."""
    key, path, text = called
    image, name = columns.image_of(rows[0]), f"{unit.path}:{key}"
    if image is None:
        drops.drop("row without image", name)
        return
    info, mark = None, ""
    if path:
        image = name = everywhere(path, unit.path.rpartition("/")[0])
        try:
            info = file_info(image)
        except (FileNotFoundError, PermissionError) as error:
            drops.drop("unreadable image", f"{image}: {error.strerror or error}")
            return
        mark = f"{info.num_bytes} {info.version} "
    try:
        texts = tuple(one for row in rows for one in captions_of({"captions": row.get(text)}))
    except ValueError:
        drops.drop("broken text", name)
        texts = ()
    hidden = {columns.image, columns.key, text}
    meta = {name: value for name, value in rows[0].items() if name not in hidden and _is_plain(value)}
    told = json.dumps([texts, meta], sort_keys=True, default=str).encode("utf-8", "replace")
    where = relative(image, root) if isinstance(image, str) else relative(unit.path, root)
    yield Picture(
        key=where if isinstance(image, str) and key == path else key,
        path=where,
        name=name,
        mark=mark + _digest(told, image if isinstance(image, bytes) else b""),
        image=image,
        texts=texts,
        meta=meta,
        num_bytes=len(image) if isinstance(image, bytes) else info.num_bytes if info else None,
        date=_date(int(info.version)) if info and isinstance(image, str) and not is_remote(image) else None,
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool) or value is None


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _date(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 10**9, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
