"""Coloured walls as pairs to learn from and as a task to ask, for `fullclip compare` as a user types it."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from fullclip.core.types import Pair
from pairs import make_shards, picture
from tasks import pixels

WORDS = ("red", "green", "blue")
SETTINGS = (
    'vision={"kind":"vit","image_size":8,"patch_size":4,"width":16,"layers":1,"heads":2,"mlp_width":32}',
    "embed=16",
    "text.width=16",
    "text.layers=1",
    "batch_size=16",
    "precision=float32",
)


def _file(label: int, seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(label, seed)).save(file, "PNG")
    return file.getvalue()


def make_walls(folder: Path, splits: Sequence[tuple[str, int, int]]) -> Path:
    """folder/shards, 48 pairs and a torn one; folder/walls/SPLIT/WORD with `number` pictures from the seed `first` on, for each
    (split, first, number); a split without a name has none of its own. Gives the folder.
    """
    pairs = [Pair(key=f"{i}", image=_file(i % 3, i), texts=(f"a {WORDS[i % 3]} wall", WORDS[i % 3])) for i in range(48)]
    make_shards(folder / "shards", [*pairs, Pair(key="torn", image=picture(1)[:60], texts=("x",))])
    for label, word in enumerate(WORDS):
        for split, first, number in splits:
            (folder / "walls" / split / word).mkdir(parents=True)
            for i in range(number):
                (folder / "walls" / split / word / f"{i}.png").write_bytes(_file(label, first + i))
    return folder


def typed(data: Path, out: Path, settings: Sequence[str], *words: object, images: int) -> list[str]:
    """What is typed after the comparison's name: data, budget, settings after SETTINGS, and more."""
    given = ["--shards", data / "shards", "--task", data / "walls", "--out", out, "--images", images]
    chosen = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    return [str(word) for word in (*given, *chosen, *words)]
