"""The paper's Figure 2: ways of learning from the same pairs with one image tower, each asked as it sees more images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from fullclip.baselines.learning.curve import curve, described
from fullclip.baselines.learning.pairs import Pairs, Question
from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.results.parts import Part, completed, in_order, parts_of
from fullclip.baselines.results.records import Row
from fullclip.baselines.ways.methods import METHODS, vocabularies


def compare_figure2(
    pairs: Pairs,
    question: Question,
    out: Path,
    settings: Settings,
    *,
    shards: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    device: torch.device,
) -> Iterator[list[Row]]:
    """The rows of results.jsonl in `out`, by way and seed, each time that a way has been learned with a seed, and at the end;
    what is there already is not learned again. ValueError for a folder of another comparison.
    """
    words = vocabularies(pairs, settings)

    def made(part: Part) -> list[Row]:
        way = METHODS[part["method"]].build(settings, words, part["seed"]).to(device)
        return curve(way, pairs, [question], settings, **part)

    for rows in completed(out, described(shards, pairs, question, settings), parts_of(methods, seeds), made):
        yield in_order(rows, METHODS)
