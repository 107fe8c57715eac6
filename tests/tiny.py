"""A run that takes a second: the tiny preset on the sample shard."""

from dataclasses import replace

from fullclip.core.config import override
from fullclip.models.config import PRESETS
from fullclip.preprocess.image import PreprocessConfig
from fullclip.train.config import Run
from fullclip.train.recipes import demo

SETTINGS = [
    "train.steps=8",
    "train.batch_size=16",
    "train.checkpoint_every=3",
    "train.log_every=1",
    "train.minutes=none",
    "train.precision=float32",
    "optim.warmup=2",
    "data.shuffle_size=64",
]


def tiny_run(*settings: str) -> Run:
    """The demo recipe with the tiny preset and a handful of steps; `settings` as after --set."""
    run = replace(demo(), model=PRESETS["tiny"], preprocess=PreprocessConfig(size=32))
    return override(run, [*SETTINGS, *settings])
