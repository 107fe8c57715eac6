"""A run that takes a second: the tiny preset on the sample shard; a model that takes none."""

from dataclasses import replace

import torch

from fullclip.core.config import override
from fullclip.inference import Encoder
from fullclip.inference.encoder import Decoding
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS, EfficientNetConfig
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer
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

NARROW = EfficientNetConfig(
    image_size=32,
    stem=8,
    blocks=(1, 2, 2),
    channels=(8, 12, 16),
    kernels=(3, 5, 3),
    strides=(1, 2, 2),
    expansions=(1, 6, 4),
    width=40,
)


def tiny_run(*settings: str) -> Run:
    """The demo recipe with the tiny preset and a handful of steps; `settings` as after --set."""
    run = replace(demo(), model=PRESETS["tiny"], preprocess=PreprocessConfig(size=32))
    return override(run, [*SETTINGS, *settings])


def tiny_encoder(*, decoding: Decoding = "exact") -> Encoder:
    """An untrained model of the tiny preset, always the same."""
    model = build(PRESETS["tiny"])
    initialize(model, torch.Generator().manual_seed(0))
    tokenizer = Tokenizer.clip(context_length=PRESETS["tiny"].text.context_length)
    return Encoder(model.eval(), preprocess=PreprocessConfig(size=32), tokenizer=tokenizer, decoding=decoding)
