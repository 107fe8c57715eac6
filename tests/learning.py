"""Pairs whose captions name a colour, and settings of a comparison that takes a second."""

import numpy as np

from fullclip.baselines.pairs import Pairs, Question
from fullclip.baselines.settings import Settings, TextShape
from fullclip.models.config import VitConfig
from fullclip.train.config import OptimConfig

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 220), "yellow": (230, 220, 40)}
SETTINGS = Settings(
    vision=VitConfig(image_size=8, patch_size=4, width=16, layers=1, heads=2, mlp_width=32),
    embed=16,
    text=TextShape(width=16, layers=1, heads=2, context_length=12),
    images=320,
    every=160,
    batch_size=16,
    optim=OptimConfig(learning_rate=1e-2, beta2=0.98, epsilon=1e-6, weight_decay=0.2, warmup=2),
    average=0.8,
    precision="float32",
    least=1,
)


def _coloured(number: int, *, side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(number) % len(COLOURS)
    levels = np.array(list(COLOURS.values()))[labels][:, None, None] + random.normal(0, 20, (number, side, side, 3))
    return np.clip(levels, 0, 255).astype(np.uint8), labels


def colour_pairs(number: int = 64) -> Pairs:
    """Each picture is of one colour, its captions say which."""
    pictures, labels = _coloured(number, side=9, seed=0)
    names = list(COLOURS)
    return Pairs(pictures=pictures, texts=tuple((f"a {names[i]} wall", f"this is {names[i]}") for i in labels))


def colour_question(number: int = 40) -> Question:
    """Other pictures of the same colours."""
    pictures, labels = _coloured(number, side=9, seed=1)
    return Question(
        name="walls", pictures=pictures, labels=labels, classes=tuple((name,) for name in COLOURS), templates=("a {} wall",)
    )
