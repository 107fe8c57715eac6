"""Tar shards in WebDataset's layout: pairs in, shards and an index out, and back. Knows nothing of decoding or models.

A key's files stand together: `<key>.jpg|png|webp|gif|bmp|tif` beside `<key>.json` ({"captions": [...], ...}) or
`<key>.txt` (one caption); `<key>.npy` in an image's place has features of it. `index.json` lists the shards with their counts,
sizes and SHA-256; `000000.offsets.npy` beside 000000.tar says where each pair begins.
"""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from fullclip.core.config import from_dict, to_dict
from fullclip.core.storage import atomic_file, expand, open_file, sha256
from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.groups import Files, Grouping, Table, save_table, sidecar
from fullclip.preprocess.features import EXTENSION as FEATURES, is_features
from fullclip.preprocess.image import IMAGE_EXTENSIONS, image_extension, is_image

INDEX_NAME = "index.json"


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """One shard as the index knows it."""

    name: str
    num_pairs: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Index:
    """The shards of a folder, in order."""

    shards: tuple[ShardInfo, ...]
    version: int = 1

    @property
    def num_pairs(self) -> int:
        return sum(shard.num_pairs for shard in self.shards)


def write_shards(pairs: Iterable[Pair], folder: str | Path, *, pairs_per_shard: int = 1000) -> Index:
    """Write pairs in their order as 000000.tar, 000001.tar, ... and index.json; the same pairs give the same bytes.

    A shard appears when it is whole, the index last of all. ValueError where the folder already holds shards, there is no
    pair, a key repeats within a shard or has a dot, slash or nothing in it, or the bytes are no image of a known kind.
    """
    if pairs_per_shard < 1:
        raise ValueError(f"pairs_per_shard is {pairs_per_shard}: at least 1")
    folder = Path(folder)
    if (folder / INDEX_NAME).exists() or any(folder.glob("*.tar")):
        raise ValueError(f"{folder} already holds shards; give another folder, or remove that one first")
    pairs, shards = iter(pairs), list[ShardInfo]()
    while chunk := list(islice(pairs, pairs_per_shard)):
        path = folder / f"{len(shards):06d}.tar"
        with atomic_file(path) as file:
            offsets = _write_tar(chunk, file)
        table = Table(num_bytes=path.stat().st_size, offsets=np.array(offsets, dtype=np.int64))
        with atomic_file(sidecar(str(path))) as file:
            save_table(table, file)
        shards.append(ShardInfo(name=path.name, num_pairs=len(chunk), num_bytes=table.num_bytes, sha256=sha256(path)))
    if not shards:
        raise ValueError("there is no pair to write; with --strict the first thing that was left out is an error")
    return write_index(folder, shards)


def write_index(folder: Path, shards: Sequence[ShardInfo]) -> Index:
    """Leave the index of a folder's shards beside them."""
    index = Index(shards=tuple(shards))
    with atomic_file(folder / INDEX_NAME, "w") as file:
        json.dump(to_dict(index), file, indent=1)
    return index


def _write_tar(pairs: list[Pair], file: IO[bytes]) -> list[int]:
    """Where each pair begins, and where the last ends."""
    seen = set[str]()
    for pair in pairs:
        if pair.key in seen:
            raise ValueError(f"key {pair.key!r} appears twice in a shard")
        seen.add(pair.key)
    return write_records((record(pair) for pair in pairs), file.write)


def record(pair: Pair) -> bytes:
    """A pair's files as a tar holds them. ValueError for a key with a dot, a slash or nothing in it, and for no known image."""
    if not pair.key or "." in pair.key or "/" in pair.key:
        raise ValueError(f"key {pair.key!r} must have neither dot nor slash")
    ending = FEATURES if is_features(pair.image) else image_extension(pair.image, name=pair.key)
    fields = {"captions": [], **pair.meta} | {"captions": list(pair.texts)}
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=str)
    # A lone surrogate has no UTF-8; as a backslash escape it is JSON, and comes back.
    told = text.encode("utf-8", "backslashreplace")
    return _member(f"{pair.key}.{ending}", pair.image) + _member(f"{pair.key}.json", told)


def _member(name: str, data: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def write_records(records: Iterable[bytes], write: Callable[[bytes], Any]) -> list[int]:
    """Write what `record` gives as one tar. Where each begins, and where the last ends."""
    offsets = [0]
    for one in records:
        write(one)
        offsets.append(offsets[-1] + len(one))
    end = offsets[-1] + 2 * tarfile.BLOCKSIZE
    write(bytes(2 * tarfile.BLOCKSIZE + -end % tarfile.RECORDSIZE))  # as `tarfile` closes one
    return offsets


def read_index(folder: str) -> Index | None:
    """The index of a folder of shards, or None where there is none; ValueError where it is damaged."""
    path = f"{folder.rstrip('/')}/{INDEX_NAME}"
    try:
        with open_file(path) as file:
            values = json.load(file)
            if not isinstance(values, dict):
                raise ValueError(f"it holds a {type(values).__name__}")
            return from_dict(Index, values)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error}); write the shards again") from None


def find_shards(patterns: Iterable[str]) -> list[str]:
    """All shards that files, globs, folders and ranges ({000..123}) name; a folder's order is its index's.

    ValueError where one is missing. A folder on the web has to have an index, since nothing else tells what is in it.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        index = None if pattern.endswith(".tar") else read_index(pattern)
        if index is not None and pattern.startswith(("http://", "https://")):
            found.update(dict.fromkeys(f"{pattern.rstrip('/')}/{shard.name}" for shard in index.shards))
            continue
        paths = expand([pattern], suffix=".tar")
        if index is not None:
            by_name = {path.rpartition("/")[2]: path for path in paths}
            missing = {shard.name for shard in index.shards} - by_name.keys()
            if missing:
                raise ValueError(f"{pattern}: the index lists {min(missing)}, which is not there; fetch it, or write again")
            paths = [by_name[shard.name] for shard in index.shards]
        found.update(dict.fromkeys(paths))
    return list(found)


def read_shards(patterns: Iterable[str], drops: Drops) -> Iterator[Pair]:
    """The pairs of all shards that `find_shards` finds, in its order, as `read_shard` gives them."""
    for path in find_shards(patterns):
        yield from read_shard(path, drops)


def read_shard(path: str, drops: Drops) -> Iterator[Pair]:
    """The pairs of one shard in order. A sample without image or text, broken JSON and a torn tar go to `drops`."""
    for key, files in read_samples(path, drops):
        pair = pair_of(key, files)
        if isinstance(pair, Pair):
            yield pair
        else:
            drops.drop(pair, f"{path}:{key}")


def read_samples(path: str, drops: Drops) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, {extension: bytes}) for each run of files that share a folder and a key, whatever they are; a second file of a
    kind begins anew. A torn tar goes to `drops`.
    """
    grouping, current, files = Grouping(), "", dict[str, bytes]()
    with open_file(path) as opened:
        members = Files(opened)
        for member, content in members:
            begins, key, extension = grouping.split(member.name)
            if begins and files:
                yield current, files
                files = {}
            current, files[extension] = key, content
    if files:
        yield current, files
    if members.torn_at is not None:
        drops.drop("torn shard", f"{path} from byte {members.torn_at:,}")


def pair_of(key: str, files: dict[str, bytes]) -> Pair | str:
    """The pair in a sample's files, {extension: bytes}, or the reason why there is none."""
    image = image_in(files)
    if image is None:
        return "sample without image"
    if not is_image(image) and not is_features(image):
        return "not an image"
    found = meta_and_texts(files)
    if found is None:
        return "broken text"
    meta, texts = found
    if not texts:
        return "sample without text"
    rest = {field: value for field, value in meta.items() if field not in ("captions", "caption")}
    return Pair(key=key, image=image, texts=texts, meta=rest)


def image_in(files: dict[str, bytes]) -> bytes | None:
    """The file of an image, or of features of one, among a sample's files; None where there is none."""
    return next((files[extension] for extension in (*IMAGE_EXTENSIONS, FEATURES) if extension in files), None)


def meta_and_texts(files: dict[str, bytes]) -> tuple[dict[str, Any], tuple[str, ...]] | None:
    """What a sample's .json and .txt say; None where one is not what its name says."""
    try:
        meta = json.loads(files.get("json", b"{}"))
        texts = captions_of(meta) if isinstance(meta, dict) else ()
        text = files.get("txt", b"").decode("utf-8-sig").strip()
    except (ValueError, RecursionError):  # json gives up on numbers of 5,000 digits and on 1,000 brackets, too
        return None
    texts += (text,) if text and text not in texts else ()
    return (meta, texts) if isinstance(meta, dict) else None


def captions_of(meta: dict[str, Any]) -> tuple[str, ...]:
    """The texts under "captions" (a list) or "caption" (one), stripped, empty ones left out.

    ValueError on a lone surrogate, which JSON can hold but no text can, and no tokenizer takes.
    """
    found = meta.get("captions") or meta.get("caption")
    found = found if isinstance(found, list) else [found]
    texts = tuple(text.strip() for text in found if isinstance(text, str) and text.strip())
    "".join(texts).encode("utf-8")
    return texts
