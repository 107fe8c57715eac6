"""Training shards -> descriptors of their pictures, shard by shard; kept, so that an interrupted pass goes on.

What is in memory is one shard's descriptors (a kilobyte a picture) and the few files that are being decoded.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from fullclip.core.kept import read_kept, write_kept
from fullclip.core.storage import FileInfo, file_info
from fullclip.data.drops import Drops
from fullclip.data.groups import Table, parse_group, read_groups, read_table
from fullclip.data.stages import map_ahead
from fullclip.preprocess.descriptor import LENGTH, VERSION, describe
from fullclip.preprocess.image import IMAGE_EXTENSIONS, ImageError, decode_image

_AHEAD = 64  # files that are being decoded, or wait for it


@dataclass(frozen=True, kw_only=True)
class Described:
    """The pictures of a shard that could be read, by the number of their sample in it; `drops` counts the rest."""

    descriptors: UInt8[np.ndarray, "n 1056"]
    samples: Int64[np.ndarray, " n"]
    keys: tuple[str, ...]
    drops: Drops

    def __len__(self) -> int:
        return len(self.keys)


def describe_shard(path: str, *, cache: Path | None, pool: Executor) -> Described:
    """The shard's descriptors: from `cache`, where the same file was described before, else by decoding it in `pool`.

    A sample without a picture, one that cannot be decoded, and the rest of a torn shard go to `drops`. FileNotFoundError or
    OSError where the shard cannot be read.
    """
    info = file_info(path)
    kept = None if cache is None else cache / _mark(path, info)
    found = _read(kept) if kept is not None else None
    if found is None:
        found = _described(path, read_table(path, info), pool)
        if kept is not None:
            _write(kept, found)
    return found


def sample_image(files: dict[str, bytes]) -> bytes | None:
    """The picture among a sample's files, {extension: bytes}."""
    return next((files[extension] for extension in IMAGE_EXTENSIONS if extension in files), None)


def _described(path: str, table: Table, pool: Executor) -> Described:
    drops, rows, samples, keys = Drops(), list[np.ndarray](), list[int](), list[str]()
    groups: Iterator[bytes | None] = iter(read_groups(path, table, range(table.num_groups)))
    for number, (key, found) in enumerate(map_ahead(_described_group, groups, pool=pool, ahead=_AHEAD)):
        if isinstance(found, np.ndarray):
            rows.append(found)
            samples.append(number)
            keys.append(key)
        else:
            drops.drop(found, f"{path}:{key or f'sample {number}'}")
    if table.torn_at is not None:
        drops.drop("torn shard", f"{path} from byte {table.torn_at:,}")
    descriptors = np.stack(rows) if rows else np.empty((0, LENGTH), dtype=np.uint8)
    return Described(descriptors=descriptors, samples=np.array(samples, dtype=np.int64), keys=tuple(keys), drops=drops)


def _described_group(data: bytes | None) -> tuple[str, np.ndarray | str]:
    """(key, descriptor) of a sample's bytes, or the reason why there is none."""
    group = None if data is None else parse_group(data)
    if group is None:
        return "", "torn sample"
    key, files = group
    image = sample_image(files)
    if image is None:
        return key, "sample without image"
    try:
        return key, describe(decode_image(image, name=key))
    except ImageError as error:
        return f"{key} ({error})", "unreadable image"


def _mark(path: str, info: FileInfo) -> str:
    """A name for this file as it is now, and this kind of descriptor."""
    mark = hashlib.sha256("|".join((str(VERSION), path, str(info.num_bytes), info.version)).encode()).hexdigest()
    return f"{mark[:2]}/{mark[2:34]}.npz"


def _write(place: Path, found: Described) -> None:
    dropped = {reason: [found.drops.counts[reason], names] for reason, names in found.drops.examples.items()}
    told = {"keys": found.keys, "drops": dropped}
    write_kept(place, told, descriptors=found.descriptors, samples=found.samples)


def _read(place: Path) -> Described | None:
    """What was kept, or None where it is not there or damaged."""
    kept = read_kept(place)
    if kept is None:
        return None
    (told, arrays), drops = kept, Drops()
    for reason, (count, names) in told["drops"].items():
        drops.counts[reason], drops.examples[reason] = count, names
    return Described(descriptors=arrays["descriptors"], samples=arrays["samples"], keys=tuple(told["keys"]), drops=drops)
