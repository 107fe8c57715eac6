"""Pairs with pictures -> pairs with the features of a locked image tower: some views of each picture, computed once.

Comes in: shards of pairs, and a model folder whose image tower gives the features (`Clip.image_features`). Goes out: shards of
the same pairs in the same order, each with a .npy [views, width] in its picture's place, for a model of
`vision.kind=features`. The first view is the one that evaluation sees; the others are random crops, half of them mirrored,
and half of them of so few pixels as the smallest of pictures have. The same bytes for the same seed and number of threads.

    python runs/small/features.py pairs/named/train --model small/trunk --views 4 --out small/features/named
"""

import argparse
import hashlib
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards, write_shards
from fullclip.data.stages import batches
from fullclip.inference import Encoder, load
from fullclip.models.hub import locate
from fullclip.models.weights import read_checkpoint
from fullclip.preprocess.features import pack_features
from fullclip.preprocess.image import CropConfig, ImageError, decode_image, eval_transform, train_transform

CROP = CropConfig(kind="area", scale=(0.4, 1.0), flip=0.5)
FEWEST_PIXELS, MOST_PIXELS = 28, 64  # short side of a view of few pixels
BATCH = 64


@lru_cache(maxsize=1)
def encoder_of(model: str) -> Encoder:
    torch.set_num_threads(1)  # each process has one
    return load(model, precision="float32", device="cpu")


def views_of(picture: Image.Image, encoder: Encoder, *, views: int, random: np.random.Generator) -> list[torch.Tensor]:
    """The picture as evaluation sees it, and `views` - 1 random ones."""
    crop = train_transform(encoder.preprocess, CROP)
    found = [eval_transform(encoder.preprocess)(picture)]
    for _ in range(views - 1):
        given = picture.convert("RGB")
        side = int(random.integers(FEWEST_PIXELS, MOST_PIXELS + 1))
        if random.random() < 0.5 and side < min(given.size):
            scale = side / min(given.size)
            given = given.resize([max(1, round(scale * length)) for length in given.size], Image.Resampling.BICUBIC)
        found.append(crop(given, random))
    return found


def computed(job: tuple[str, int, int, list[Pair]]) -> tuple[list[Pair], list[str]]:
    """The pairs with features, and the keys of those whose picture cannot be read."""
    model, views, seed, pairs = job
    encoder = encoder_of(model)
    good, bad, pixels = list[Pair](), list[str](), list[torch.Tensor]()
    for pair in pairs:
        random = np.random.default_rng([seed, int.from_bytes(hashlib.sha256(pair.key.encode()).digest()[:8], "big")])
        try:
            pixels += views_of(decode_image(pair.image, name=pair.key), encoder, views=views, random=random)
        except ImageError:
            bad.append(pair.key)
            continue
        good.append(pair)
    rows = list[torch.Tensor]()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        rows = [encoder.model.image_features(torch.stack(part)).float() for part in batches(pixels, BATCH)]
    features = torch.cat(rows).numpy().reshape(len(good), views, -1) if good else np.zeros((0, views, 1))
    made = [Pair(key=p.key, image=pack_features(f), texts=p.texts, meta=p.meta) for p, f in zip(good, features, strict=True)]
    return made, bad


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--model", required=True)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    if given.views < 1:
        sys.exit(f"features: --views is {given.views}: at least 1, the one that evaluation sees")
    drops = Drops(strict=False)
    jobs = ((given.model, given.views, given.seed, part) for part in batches(read_shards(given.shards, drops), 256))

    def made() -> Iterator[Pair]:
        with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
            for number, (pairs, bad) in enumerate(pool.imap(computed, jobs)):
                for key in bad:
                    drops.drop("unreadable image", key)
                if number % 20 == 0:
                    print(f"{256 * number:,} pairs", flush=True)
                yield from pairs

    try:
        read_checkpoint(locate(given.model)[0])  # or each process would say so
        index = write_shards(made(), given.out)
    except (ValueError, OSError) as error:
        sys.exit(f"features: {error}")
    print(f"{given.out}: {sum(shard.num_pairs for shard in index.shards):,} pairs; left out: {drops.summary() or 'none'}")


if __name__ == "__main__":
    main()
