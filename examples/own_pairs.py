"""Own pictures with captions -> shards -> a model -> an answer, on eight drawn pictures and in a few seconds."""

from pathlib import Path
from tempfile import mkdtemp

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

folder = Path(mkdtemp())
for colour in ("red", "green", "blue", "yellow", "black", "white", "orange", "purple"):
    Image.new("RGB", (64, 64), colour).save(folder / f"{colour}.png")
    (folder / f"{colour}.txt").write_text(f"a {colour} square")
write_shards(read_source(str(folder), Drops(strict=True)), folder / "shards")

settings = [f"data.shards={folder / 'shards'}", "train.steps=12", "train.batch_size=8", "optim.warmup=2"]
done = train(override(demo(), settings), folder / "run", resume=False, world=World.single(), device=torch.device("cpu"))

classifier = fullclip.ZeroShotClassifier(fullclip.load(done.model), labels=["red", "blue"], templates=["a {} square"])
print(classifier.predict([folder / "red.png", folder / "blue.png"]))
