"""A way, pairs and questions -> a row for each number of images after which the way is asked."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fullclip.baselines.learning.loop import learn
from fullclip.baselines.learning.pairs import Pairs, Question
from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.way import Answering
from fullclip.baselines.learning.zero_shot import ask
from fullclip.baselines.results.records import Row
from fullclip.core.config import to_dict


def curve(
    way: Answering, pairs: Pairs, questions: Sequence[Question], settings: Settings, *, method: str, seed: int
) -> list[Row]:
    """Train a way with one seed, asking it every question at each mark; `method` is its name in the rows.

    Two rows for each mark and question of a way whose scores are likelihoods: `rule` is "likelihood" for the scores as they are
    and "ratio" for what they are above those at large; else one row, "similarity".
    """
    unknown, rows, start = [way.num_unknown(question.classes) for question in questions], list[Row](), time.monotonic()
    for images in learn(way, pairs, settings, seed=seed, title=f"{method}, seed {seed}"):
        seconds = round(time.monotonic() - start, 1)
        for question, count in zip(questions, unknown, strict=True):
            plain, ratio = ask(way, question, settings, at_large=pairs)
            rules = [("similarity", plain)] if ratio is None else [("likelihood", plain), ("ratio", ratio)]
            told: dict[str, Any] = {"images": images, "unknown_classes": count, "seconds": seconds}
            rows += [{"method": method, "seed": seed, "rule": rule, **told, **to_dict(result)} for rule, result in rules]
    return rows


def described(shards: Sequence[str], pairs: Pairs, question: Question, settings: Settings) -> dict[str, Any]:
    """All that decides the numbers: what `records.held` is to be given."""
    asked = {"task": question.name, "classes": len(question.classes), "pictures": len(question.labels)}
    return {"settings": to_dict(settings), "shards": [Path(path).name for path in shards], "pairs": len(pairs), **asked}
