"""Small pairs and shards, made on the spot."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards, read_shard, write_shards


def picture(seed: int, *, size: tuple[int, int] = (8, 6), kind: str = "PNG") -> bytes:
    """The file of a random picture, different for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), kind)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def make_pairs(number: int, *, captions: int = 1) -> list[Pair]:
    """Pairs with keys 00000, 00001, ... and captions that name the pair."""
    return [
        Pair(key=f"{i:05d}", image=picture(i), texts=tuple(f"picture {letters(i)} caption {j}" for j in range(captions)))
        for i in range(number)
    ]


def letters(number: int) -> str:
    """A number as a word, which survives the tokenizer: it splits digits."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def make_shards(folder: Path, pairs: Iterable[Pair], *, pairs_per_shard: int = 1000) -> list[str]:
    write_shards(pairs, folder, pairs_per_shard=pairs_per_shard)
    return find_shards([str(folder)])


def read_all(shards: Iterable[str | Path]) -> tuple[list[Pair], Drops]:
    drops = Drops()
    return [pair for shard in shards for pair in read_shard(str(shard), drops)], drops


def write_tar(path: Path, files: Iterable[tuple[str, bytes]], *, format: int = tarfile.GNU_FORMAT) -> str:  # noqa: A002
    """A tar of these files, in this order, without the help of our own writer."""
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return str(path)


def pixels(image: Image.Image, random: np.random.Generator) -> torch.Tensor:
    """A transform whose result shows the image and the chance it was given. Here, where decoding processes find it."""
    return torch.from_numpy(random.normal(size=(3, 1, 1))).float() + grey(image)


def grey(image: Image.Image) -> torch.Tensor:
    return torch.tensor(list(image.convert("L").tobytes()), dtype=torch.float32).reshape(1, 6, 8)
