"""Saying "none of these": pictures of labels are kept, others are not, with a threshold fitted on a few known ones.

A small model learns eight colours in some seconds. A real one in its place: encoder = fullclip.load("openai/ViT-B-32").
"""

from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from PIL import Image

import fullclip
from fullclip.core.config import override
from fullclip.core.distributed import World
from fullclip.data.drops import Drops
from fullclip.data.shards import write_shards
from fullclip.data.sources import read_source
from fullclip.train.loop import train
from fullclip.train.recipes import demo
from fullclip.zeroshot.outlier import OutlierDetector
from fullclip.zeroshot.threshold import load_threshold, save_threshold

COLOURS = {"red": (220, 30, 30), "green": (30, 160, 40), "blue": (40, 60, 220), "yellow": (230, 220, 40)}
random = np.random.default_rng(0)


def pictures(colour: str, number: int) -> list[Image.Image]:
    """Noisy squares of a colour."""
    noise = random.normal(0, 30, (number, 64, 64, 3)) + random.normal(0, 10, (number, 1, 1, 3))
    return [Image.fromarray(pixels) for pixels in np.clip(COLOURS[colour] + noise, 0, 255).astype(np.uint8)]


folder = Path(mkdtemp())
for colour in COLOURS:
    for number, picture in enumerate(pictures(colour, 8)):
        picture.save(folder / f"{colour}{number}.png")
        (folder / f"{colour}{number}.txt").write_text(f"a {colour} square")
write_shards(read_source(str(folder), Drops(strict=True)), folder / "shards")
settings = [f"data.shards={folder / 'shards'}", "train.steps=40", "train.batch_size=16", "optim.warmup=5"]
done = train(override(demo(), settings), folder / "run", resume=False, world=World.single(), device=torch.device("cpu"))

encoder = fullclip.load(done.model)
classifier = fullclip.ZeroShotClassifier(encoder, labels=["red", "blue"], templates=["a {} square"])
known = encoder.encode_images([*pictures("red", 20), *pictures("blue", 20)])
detector = OutlierDetector(classifier, "energy").fit(known, false_positive_rate=0.1)
save_threshold(detector, folder / "threshold.json", model=str(done.model))

detector = load_threshold(folder / "threshold.json", classifier, model=str(done.model))
for colour in COLOURS:
    rejected = detector.predict(encoder.encode_images(pictures(colour, 20)))
    print(f"{colour}: {rejected.sum()} of 20 are none of {', '.join(classifier.labels)}")
