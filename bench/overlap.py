"""The search for test pictures in training data: pictures a second, described and searched, and memory, in one run.

make bench, or: python bench/overlap.py [--test 1000 10000] [--training 8192] [--threads 1]

Pictures are JPEGs of 256 x 192 pixels made from noise and gradients, of which each is like some others. Memory is the peak
above what the descriptors of the test pictures take (Linux: VmHWM); it must not grow with the number of training pictures.
"""

import argparse
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from fullclip.evaluation.overlap.search import Search
from fullclip.preprocess.descriptor import describe
from fullclip.preprocess.image import decode_image

NUM_FILES, BLOCK = 512, 4096


def jpegs() -> list[bytes]:
    random = np.random.default_rng(0)
    found = []
    for _ in range(NUM_FILES):
        noise = Image.fromarray(random.integers(0, 256, size=(24, 32, 3), dtype=np.uint8)).resize((256, 192))
        file = io.BytesIO()
        noise.filter(ImageFilter.GaussianBlur(float(random.uniform(1, 8)))).save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found


def made(number: int, seed: int) -> np.ndarray:
    """Descriptors of smooth noise whose coarse parts are strong, as photographs' are."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(number):
        layers = [
            np.asarray(
                Image.fromarray(random.normal(0, 1, (side, side)).astype(np.float32)).resize((64, 64), Image.Resampling.BICUBIC)
            )
            for side in (2, 4, 8, 16, 32)
        ]
        grey = sum(layer * 60 / 2**i for i, layer in enumerate(layers)) + 128
        rows.append(describe(np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)))
    return np.stack(rows)


def resident(name: str) -> float:
    """VmRSS (now) or VmHWM (the peak) of this process in MB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[1]) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=int, nargs="+", default=[1000])
    parser.add_argument("--training", type=int, default=2 * BLOCK)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    files = jpegs()
    with ThreadPoolExecutor(options.threads) as pool:
        start = time.perf_counter()
        list(pool.map(lambda file: describe(decode_image(file)), files))
        print(f"decoded and described {NUM_FILES / (time.perf_counter() - start):>8,.0f} pictures/s, {options.threads} threads")
    training = made(options.training, 1)
    for number in options.test:
        search, before = Search(made(number, 0)), resident("VmRSS")
        start, looked = time.perf_counter(), 0
        for at in range(0, len(training), BLOCK):
            looked += len(search.look(training[at : at + BLOCK]).rows)
        seconds = time.perf_counter() - start
        print(
            f"searched for {number:>6,} in {len(training):,}: {len(training) / seconds:>7,.0f} training pictures/s, "
            f"{number * len(training) / seconds / 1e6:.2f} million pairs/s, {looked / len(training):.2f} aligned a picture, "
            f"{resident('VmHWM') - before:,.0f} MB"
        )


if __name__ == "__main__":
    main()
