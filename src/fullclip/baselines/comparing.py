"""Ways, pairs and a question -> a row for each number of images at which a way is asked, kept as parts are finished."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fullclip.baselines.learning import learn
from fullclip.baselines.methods import METHODS, Vocabularies
from fullclip.baselines.pairs import Pairs, Question
from fullclip.baselines.records import Row
from fullclip.baselines.settings import Settings
from fullclip.baselines.zero_shot import ask
from fullclip.core.config import lookup, to_dict


def curve(
    method: str, pairs: Pairs, question: Question, settings: Settings, *, words: Vocabularies, seed: int, device: torch.device
) -> list[Row]:
    """Train one way with one seed, asking it the question at each mark. Two rows for each mark of a way whose scores are
    likelihoods: `rule` is "likelihood" for the scores as they are and "ratio" for what they are above those at large; else one
    row, "similarity".
    """
    title = f"{method}, seed {seed}"
    way = lookup(METHODS, method, what="way of learning").build(settings, words, seed).to(device)
    unknown, rows, start = way.num_unknown(question.classes), list[Row](), time.monotonic()
    for images in learn(way, pairs, settings, seed=seed, title=title):
        told: dict[str, Any] = {"images": images, "unknown_classes": unknown, "seconds": round(time.monotonic() - start, 1)}
        plain, ratio = ask(way, question, settings, at_large=pairs)
        rules = [("similarity", plain)] if ratio is None else [("likelihood", plain), ("ratio", ratio)]
        rows += [{"method": method, "seed": seed, "rule": rule, **told, **to_dict(result)} for rule, result in rules]
    return rows


def check_methods(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once, in the table's order. ValueError where one is unknown or there is none."""
    for name in names:
        lookup(METHODS, name, what="way of learning")
    if not names:
        raise ValueError(f"no way of learning is named; there are: {', '.join(METHODS)}")
    return tuple(name for name in METHODS if name in names)


def in_order(rows: Sequence[Row]) -> list[Row]:
    """The rows by way, in the table's order, then by seed; a way's own keep their order."""
    places = list(METHODS)
    return sorted(rows, key=lambda row: (places.index(row["method"]), row["seed"]))


def check_seeds(number: int) -> range:
    """The seeds 0 to number - 1. ValueError for less than one."""
    if number < 1:
        raise ValueError(f"{number} seeds: at least 1 is needed, and 3 show how much chance decides")
    return range(number)


def described(shards: Sequence[str], pairs: Pairs, question: Question, settings: Settings) -> dict[str, Any]:
    """All that decides the numbers: what `records.held` is to be given."""
    asked = {"task": question.name, "classes": len(question.classes), "pictures": len(question.labels)}
    return {"settings": to_dict(settings), "shards": [Path(path).name for path in shards], "pairs": len(pairs), **asked}
