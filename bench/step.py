"""Training steps a second: ours against the plain loop that a user would write on transformers.CLIPModel.

The same shapes, weights, data, precision and optimizer on both sides; a batch of real captions with random pixels (pixels cost
the same whatever they show). Both sides in turn, several times; the ratio is of the best of each.

    python bench/step.py [--model ViT-B-32] [--batch 32] [--precision float32] [--rounds 3]
"""

import argparse
import time
from collections.abc import Callable
from importlib.resources import files

import torch
from steps import our_step
from transformers import CLIPConfig, CLIPModel

from fullclip.core.types import Batch
from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards, read_shard
from fullclip.models.config import PRESETS
from fullclip.models.hugging_face import config_to_hugging_face
from fullclip.preprocess.tokenizer import Tokenizer

CPU = torch.device("cpu")


def make_batch(model: str, size: int) -> Batch:
    shards = find_shards([str(files("fullclip").joinpath("assets/sample/train"))])
    texts = [pair.texts[0] for shard in shards for pair in read_shard(shard, Drops())][:size]
    config = PRESETS[model]
    tokens = Tokenizer.clip(context_length=config.text.context_length).encode(texts, truncate=True).ids
    side = config.vision.image_size
    images = torch.randn(size, 3, side, side, generator=torch.Generator().manual_seed(0))
    return Batch(images=images, tokens=tokens, keys=tuple(texts))


def theirs(model: str, batch: Batch, precision: str) -> Callable[[], float]:
    clip = CLIPModel(CLIPConfig(**{k: v for k, v in config_to_hugging_face(PRESETS[model]).items() if k != "architectures"}))
    clip.train()
    optimizer = torch.optim.AdamW(clip.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2)

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = clip(input_ids=batch.tokens.long(), pixel_values=batch.images, return_loss=True).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def seconds(step: Callable[[], float]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    batch = make_batch(options.model, options.batch)
    ours = our_step(options.model, batch, CPU, precision=options.precision)
    steps = {"fullclip": lambda: ours().item(), "transformers": theirs(options.model, batch, options.precision)}
    for step in steps.values():
        step()
    best = {name: min(seconds(step) for _ in range(options.rounds)) for name, step in steps.items()}
    longest = int((batch.tokens != 0).sum(dim=1).max())
    print(
        f"{options.model}, {options.batch} pairs, {options.precision}, longest text {longest} of {batch.tokens.shape[1]} tokens"
    )
    for name, value in best.items():
        print(f"{name:14s}{options.batch / value:8.1f} pairs/s")
    print(f"ratio         {best['transformers'] / best['fullclip']:8.2f}")


if __name__ == "__main__":
    main()
