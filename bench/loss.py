"""Seconds and memory of a loss and its gradients: by tiles against the whole matrix, on the same features, in one run.

make bench, or: python bench/loss.py [--batch 4096 8192] [--embed 512] [--threads 2] [--tiles 512 1024] [--tiled-only]

Memory is the peak of a process of its own above what it held when the features were made (Linux: VmHWM), gradients included.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fullclip import losses
from fullclip.core.distributed import World
from fullclip.core.types import Features
from fullclip.losses.tiles import tile_for

TILE = tile_for(torch.device("cpu"))

ROUNDS = 3


def leaves(batch: int, embed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random pairs that resemble each other a little, and CLIP's first scale."""
    random = torch.Generator().manual_seed(0)
    image, text = torch.randn(batch, embed, generator=random), torch.randn(batch, embed, generator=random)
    image, text = F.normalize(image, dim=1), F.normalize(text.add_(image, alpha=0.3), dim=1)
    return image.requires_grad_(), text.requires_grad_(), torch.tensor(1 / 0.07, requires_grad=True)


def step(loss: str, tile: int, image: Tensor, text: Tensor, scale: Tensor) -> float:
    """Seconds of forward and backward. Gradients are dropped first, so that each step makes them anew."""
    for leaf in (image, text, scale):
        leaf.grad = None
    features = Features(image=image, text=text, scale=scale)
    start = time.perf_counter()
    if loss == "softmax":
        losses.softmax(features, World.single()).backward()
    elif loss == "sigmoid":
        losses.sigmoid(Features(image=image, text=text, scale=scale, bias=torch.tensor(-10.0)), World.single()).backward()
    else:
        losses.tiled_softmax(features, World.single(), tile=tile).backward()
    return time.perf_counter() - start


def resident(name: str) -> float:
    """VmRSS (now) or VmHWM (the peak) of this process in MB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[1]) * 1024 / 1e6


def alone(loss: str, batch: int, options: argparse.Namespace) -> tuple[float, float]:
    """Seconds and peak in MB of one step in a process of its own."""
    sizes = ["--batch", str(batch), "--embed", str(options.embed), "--threads", str(options.threads)]
    answer = subprocess.run([sys.executable, __file__, "--alone", loss, *sizes], check=True, capture_output=True, text=True)
    seconds, peak = answer.stdout.split()
    return float(seconds), float(peak)


def compare(batch: int, options: argparse.Namespace) -> None:
    made = leaves(batch, options.embed)
    peaks = {loss: alone(loss, batch, options)[1] for loss in ("softmax", "tiled")}
    ways = [("softmax", 0), *(("tiled", tile) for tile in options.tiles)]
    seconds = [[step(*way, *made) for way in ways] for _ in range(options.rounds + 1)][1:]
    for index, (_, tile) in list(enumerate(ways))[1:]:
        whole, tiled = (statistics.median(each[column] for each in seconds) for column in (0, index))
        ratio = statistics.median(each[0] / each[index] for each in seconds)
        print(
            f"{batch:>7,} x {options.embed}   whole {whole:7.2f} s {peaks['softmax']:>6,.0f} MB   "
            f"tiles of {tile:>5,} {tiled:7.2f} s {peaks['tiled']:>6,.0f} MB   "
            f"{ratio:.2f} times as fast, {peaks['softmax'] / peaks['tiled']:.1f} times less memory"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[2048, 4096, 8192])
    parser.add_argument("--embed", type=int, default=512)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--tiles", type=int, nargs="+", default=[TILE], help="sizes of a tile to be timed; memory is the default's"
    )
    parser.add_argument(
        "--tiled-only", action="store_true", help="one step by tiles alone, for batches whose matrix fits nowhere"
    )
    parser.add_argument("--alone", choices=["softmax", "tiled", "sigmoid"], help="one step of this loss: seconds, MB")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.alone:
        made = leaves(options.batch[0], options.embed)
        before = resident("VmRSS")
        seconds = step(options.alone, TILE, *made)
        print(seconds, resident("VmHWM") - before)
        return
    print(f"forward and backward, float32, {options.threads} threads, median of {options.rounds}; memory above the features")
    for batch in options.batch:
        if options.tiled_only:
            seconds, peak = alone("tiled", batch, options)
            print(f"{batch:>7,} x {options.embed}   tiles of {TILE:,} {seconds:7.2f} s {peak:>6,.0f} MB")
        else:
            compare(batch, options)


if __name__ == "__main__":
    main()
