"""Pairs whose captions name a colour, and settings of a comparison that takes a second; rows whose factors are known."""

import math

import numpy as np

from fullclip.baselines.learning.pairs import Pairs, Question
from fullclip.baselines.learning.settings import Settings, TextShape
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


def row(method, rule, seed, images, value):
    return {
        "method": method,
        "rule": rule,
        "seed": seed,
        "images": images,
        "value": value,
        "interval": [value - 0.01, value + 0.01],
        "n": 1000,
        "unknown_classes": 2,
        "task": "walls",
        "metric": "accuracy",
    }


def rows_of_doublings():
    """Each way is a doubling ahead of the one before; ratios half a doubling ahead of likelihoods."""
    order = ("caption-lm", "bag-of-words", "contrastive-bag", "contrastive")
    return [
        row(method, rule, seed, images, 0.1 * (math.log2(images / 1000) + place + half) + 0.001 * seed)
        for place, method in enumerate(order)
        for rule, half in ((("similarity", 0),) if place > 1 else (("likelihood", 0), ("ratio", 0.5)))
        for seed in (0, 1)
        for images in (1000, 2000, 4000, 8000)
    ]
