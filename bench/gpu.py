"""A GPU's training steps and losses: images a second, model FLOPs utilisation, memory; OpenCLIP beside it where installed.

    python bench/gpu.py [--models ViT-B-32 ViT-B-16 ViT-L-14] [--batch 512] [--no-compile] [--losses 32768 131072 1048576]

Prints a table in Markdown. Synthetic batches that lie on the host, as each side's loader gives them (ours bytes,
OpenCLIP's floats); their copying is part of a step, the loader is not.
Without an NVIDIA GPU it says so and measures nothing.
"""

import argparse
import gc
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from steps import our_step
from torch import Tensor

from fullclip import losses
from fullclip.core.distributed import World
from fullclip.core.types import Batch, Features
from fullclip.models.config import PRESETS
from fullclip.models.flops import forward_flops
from fullclip.preprocess.image import OPENAI_MEAN, OPENAI_STD
from fullclip.preprocess.levels import normalize
from fullclip.train.speed import peak_flops

GPU = torch.device("cuda", 0)
STEPS, WARM_UP = 20, 5


def make_batch(model: str, size: int) -> Batch:
    config = PRESETS[model]
    tokens = torch.randint(1, 400, (size, config.text.context_length))
    tokens[:, 0], tokens[:, -1] = 49406, 49407  # full length: what OpenCLIP computes, too
    side = config.vision.image_size
    return Batch(images=torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8), tokens=tokens, keys=("",) * size)


def openclip(model: str, batch: Batch) -> Callable[[], Tensor]:
    import open_clip

    pixels = normalize(batch.images, OPENAI_MEAN, OPENAI_STD)  # what its loader gives
    clip = open_clip.create_model(f"{model}-quickgelu", device=GPU).train()
    loss_of = open_clip.ClipLoss()
    optimizer = torch.optim.AdamW(clip.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2)

    def step() -> Tensor:
        images, tokens = (
            pixels.pin_memory().to(GPU, non_blocking=True),
            batch.tokens.pin_memory().to(GPU, non_blocking=True),
        )
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = loss_of(*clip(images, tokens))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def measure(step: Callable[[], Tensor]) -> tuple[float, float]:
    """(seconds a step, GiB at the most)."""
    for _ in range(WARM_UP):
        step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / STEPS, torch.cuda.max_memory_allocated() / 2**30


def step_table(models: list[str], size: int, *, compiled: bool) -> None:
    peak = peak_flops(GPU, torch.bfloat16)
    print(f"{torch.cuda.get_device_name(GPU)}, measured bf16 matrix product {peak / 1e12:.0f} TFLOP/s, {size} pairs a step\n")
    print("| model | whose | pairs/s | MFU | GiB |\n|---|---|---|---|---|")
    for model in models:
        batch = make_batch(model, size)
        sides = {
            "fullclip": partial(our_step, model, batch, GPU, precision="bfloat16", compiled=compiled),
            "open_clip": partial(openclip, model, batch),
        }
        for name, make in sides.items():
            print(f"| {model} | {name} | {row(make, size, 3 * forward_flops(PRESETS[model]) / peak)} |", flush=True)
            gc.collect()
            torch.cuda.empty_cache()


def row(make: Callable[[], Callable[[], Tensor]], size: int, seconds_at_peak: float) -> str:
    """Speed, utilisation and memory; `seconds_at_peak` is what a pair would take."""
    try:
        seconds, memory = measure(make())
    except ImportError:
        return "not installed | |"
    except torch.OutOfMemoryError:
        return "out of memory | |"
    return f"{size / seconds:,.0f} | {size / seconds * seconds_at_peak:.1%} | {memory:.1f}"


def loss_table(sizes: list[int]) -> None:
    score(losses.softmax, *inputs(1024))  # the libraries' own start is nobody's time
    print("\n| pairs x 512 | loss | seconds, forward and backward | GiB above the inputs |\n|---|---|---|---|")
    for size in sizes:
        kinds = {"tiled": losses.tiled_softmax} | ({"whole": losses.softmax} if size <= 65_536 else {})
        for name, loss in kinds.items():
            images, texts, scale = inputs(size)
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            seconds = score(loss, images, texts, scale)
            memory = (torch.cuda.max_memory_allocated() - before) / 2**30
            print(f"| {size:,} | {name} | {seconds:.2f} | {memory:.2f} |", flush=True)


def inputs(size: int) -> tuple[Tensor, Tensor, Tensor]:
    images, texts = (F.normalize(torch.randn(size, 512, device=GPU), dim=1).requires_grad_() for _ in range(2))
    return images, texts, torch.tensor(14.3, device=GPU, requires_grad=True)


def score(loss: Callable[..., Tensor], images: Tensor, texts: Tensor, scale: Tensor) -> float:
    """Seconds of forward and backward."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    loss(Features(image=images, text=texts, scale=scale), World.single()).backward()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "ViT-B-16", "ViT-L-14"])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--losses", type=int, nargs="*", default=[32_768, 131_072, 1_048_576])
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no NVIDIA GPU here: nothing to measure")
        return
    step_table(options.models, options.batch, compiled=not options.no_compile)
    loss_table(options.losses)


if __name__ == "__main__":
    main()
