"""Samples a second: our loader against webdataset's own pipeline, on the same shards, with the same decoding, in one run.

make bench, or: python bench/loader.py [--shards FILE ...] [--workers N]      (needs the package webdataset)

Both read tar files, decode with Pillow, cut the same random square, tokenize with our tokenizer and hand over batches of 64,
from equally many processes (0: webdataset decodes in the process itself, we in threads). The page cache is warm.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from fullclip.core.distributed import World
from fullclip.data.drops import Drops
from fullclip.data.loader import Loader, Plan
from fullclip.data.shards import find_shards
from fullclip.data.survey import Source, survey
from fullclip.preprocess.image import CropConfig, PreprocessConfig, decode_image, train_transform
from fullclip.preprocess.tokenizer import Tokenizer

ROUNDS, SAMPLES, BATCH, SHUFFLE = 5, 4096, 64, 1000
TRANSFORM = train_transform(PreprocessConfig(size=112), CropConfig())


def ours(sources: tuple[Source, ...], tokenizer: Tokenizer, workers: int) -> Iterator[int]:
    plan = Plan(batch_size=BATCH, seed=0, shuffle_size=SHUFFLE)
    loader = Loader(sources, transform=TRANSFORM, tokenizer=tokenizer, plan=plan, drops=Drops(), workers=workers)
    return (len(batch.keys) for batch in loader)


def prepared(sample: dict, tokenizer: Tokenizer) -> tuple[torch.Tensor, torch.Tensor, str]:
    """One of webdataset's undecoded samples as what our loader makes of it: image, ids, key."""
    image = next(sample[kind] for kind in ("jpg", "png", "webp") if kind in sample)
    captions = json.loads(sample["json"])["captions"]
    random = np.random.default_rng()
    text = captions[int(random.integers(len(captions)))]
    return TRANSFORM(decode_image(image), random), tokenizer.encode(text, truncate=True).ids[0], sample["__key__"]


def theirs(shards: list[str], tokenizer: Tokenizer, workers: int) -> Iterator[int]:
    """As OpenCLIP's and webdataset's own examples have it."""
    import webdataset

    dataset = webdataset.DataPipeline(
        webdataset.ResampledShards(shards),
        webdataset.tarfile_to_samples(),
        webdataset.shuffle(SHUFFLE // max(1, workers)),
        webdataset.map(partial(prepared, tokenizer=tokenizer)),
        webdataset.batched(BATCH, partial=False),
    )
    loader = DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context="forkserver" if workers else None
    )
    return (len(batch[2]) for batch in loader)


def rate(batches: Iterator[int]) -> float:
    """Samples a second once the first batches are through: starting processes and filling buffers is not counted."""
    for _ in islice(batches, 2 * SHUFFLE // BATCH):
        pass
    start = time.perf_counter()
    number = sum(islice(batches, SAMPLES // BATCH))
    return number / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sample = str(files("fullclip").joinpath("assets/sample/train"))
    parser.add_argument("--shards", nargs="+", default=[sample], help="files, globs or folders; the sample that ships")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="decoding processes, each number in turn")
    arguments = parser.parse_args()
    tokenizer = Tokenizer.clip()
    with tempfile.TemporaryDirectory() as folder:
        originals = find_shards(arguments.shards)
        for number in range(max(8, len(originals))):  # one for each of webdataset's workers, and some to shuffle
            shutil.copy(originals[number % len(originals)], Path(folder) / f"{number:06d}.tar")
        shards = find_shards([folder])
        sources = survey(shards, drops=Drops(), world=World.single())
        print(f"{sources[0].num_samples:,} samples in {len(shards)} shards")
        for workers in arguments.workers:
            ratios = []
            for _ in range(ROUNDS):
                peer, own = rate(theirs(shards, tokenizer, workers)), rate(ours(sources, tokenizer, workers))
                ratios.append(own / peer)
                rates = f"webdataset {peer:>7,.0f} samples/s   fullclip {own:>7,.0f} samples/s"
                print(f"workers {workers}   {rates}   ratio {ratios[-1]:.2f}")
            print(f"workers {workers}   median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
