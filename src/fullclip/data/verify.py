"""Shards -> what is wrong with them: sizes and hashes against the index, readable pairs, images that decode."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fullclip.core.logs import track
from fullclip.core.storage import expand, is_folder, open_file, sha256
from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import INDEX_NAME, Index, ShardInfo, read_index, read_shard
from fullclip.data.stages import map_ahead
from fullclip.preprocess.features import is_features, unpack_features
from fullclip.preprocess.image import ImageError, decode_image


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was read, and one line for each thing that is wrong; `notes` say what could not be checked."""

    num_shards: int
    num_pairs: int
    num_bytes: int
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def verify_shards(patterns: Sequence[str], *, drops: Drops, decode: bool = True) -> Verification:
    """Read every shard that `patterns` (files, globs, folders) name, and hold it against its folder's index.

    A missing shard, or one whose size, SHA-256 or number of readable pairs is not the index's, is a problem; so is a shard
    that the index does not list, and a damaged index. What cannot be read inside a shard goes to `drops`, and with
    `decode` every image that does not decode. ValueError where a pattern names nothing.
    """
    plan = _Plan()
    for pattern in patterns:
        plan.add(pattern)
    problems = plan.problems
    num_shards = num_pairs = num_bytes = 0
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode") as pool:
        for path, info in track(list(plan.shards.items()), "verifying", unit="shards"):
            try:
                found_bytes = _num_bytes(path)
                found_pairs = sum(1 for _ in _checked(path, drops, pool if decode else None))
                problems += _differences(path, info, num_bytes=found_bytes, num_pairs=found_pairs)
            except FileNotFoundError:
                problems.append(f"{path}: the {INDEX_NAME} lists it, but it is not there")
                continue
            except OSError as error:
                problems.append(f"{path}: cannot be read ({error.strerror or error})")
                continue
            num_shards, num_pairs, num_bytes = num_shards + 1, num_pairs + found_pairs, num_bytes + found_bytes
    return Verification(
        num_shards=num_shards,
        num_pairs=num_pairs,
        num_bytes=num_bytes,
        problems=tuple(problems),
        notes=tuple(plan.notes),
    )


class _Plan:
    """Which shards to read, what their index says of each, and what was wrong already."""

    def __init__(self) -> None:
        self.shards: dict[str, ShardInfo | None] = {}
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._indices: dict[str, Index | None] = {}

    def add(self, pattern: str) -> None:
        try:
            paths = expand([pattern], suffix=".tar")
        except ValueError:  # no shard is left
            paths = []
            if not is_folder(pattern) or not self._listed(pattern):
                raise
        if is_folder(pattern):
            folder = paths[0].rpartition("/")[0] if paths else pattern.rstrip("/")
            for info in self._listed(folder):
                self.shards.setdefault(f"{folder}/{info.name}", info)
        for path in paths:
            if path not in self.shards:
                self.shards[path] = self._info(path)

    def _info(self, path: str) -> ShardInfo | None:
        folder, _, name = path.rpartition("/")
        listed = self._listed(folder)
        info = next((info for info in listed if info.name == name), None)
        if listed and info is None:
            self.problems.append(f"{path}: not in the {INDEX_NAME} beside it, so training would pass it over")
        return info

    def _listed(self, folder: str) -> tuple[ShardInfo, ...]:
        folder = folder.rstrip("/")
        if folder not in self._indices:
            self._indices[folder] = self._read(folder)
        index = self._indices[folder]
        return index.shards if index is not None else ()

    def _read(self, folder: str) -> Index | None:
        try:
            index = read_index(folder)
        except ValueError as error:
            self.problems.append(str(error))
            return None
        if index is None:
            self.notes.append(f"{folder}: no {INDEX_NAME}, so sizes and hashes were not compared")
        return index


def _num_bytes(path: str) -> int:
    with open_file(path) as file:
        return int(file.seek(0, os.SEEK_END))


def _checked(path: str, drops: Drops, pool: ThreadPoolExecutor | None) -> Iterator[Pair]:
    """The readable pairs of a shard; with a pool their images are decoded, and those that fail go to `drops`."""
    pairs = read_shard(path, drops)
    if pool is None:
        yield from pairs
        return
    for pair, error in map_ahead(_decoded, pairs, pool=pool, ahead=4 * (os.cpu_count() or 1)):
        if error:
            drops.drop("unreadable image", f"{path}:{error}")
        yield pair


def _decoded(pair: Pair) -> tuple[Pair, str]:
    """The pair, and why its image does not decode."""
    try:
        if is_features(pair.image):
            unpack_features(pair.image, name=pair.key)
        else:
            decode_image(pair.image, name=pair.key)
    except ImageError as error:
        return pair, str(error)
    return pair, ""


def _differences(path: str, info: ShardInfo | None, *, num_bytes: int, num_pairs: int) -> list[str]:
    if info is None:
        return []
    problems = []
    if num_bytes != info.num_bytes:
        problems.append(f"{path}: {num_bytes:,} bytes, the {INDEX_NAME} says {info.num_bytes:,}")
    elif (found := sha256(path)) != info.sha256:
        problems.append(f"{path}: its SHA-256 begins {found[:12]}, the {INDEX_NAME} says {info.sha256[:12]}")
    if num_pairs != info.num_pairs:
        problems.append(f"{path}: {num_pairs:,} readable pairs, the {INDEX_NAME} says {info.num_pairs:,}")
    return problems
