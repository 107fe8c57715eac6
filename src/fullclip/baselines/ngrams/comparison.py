"""Visual n-grams beside CLIP, as in Table 1 of the CLIP paper: the same pairs, image tower and budget, the same questions.

The paper's CLIP had far more of everything than the n-grams of Li et al. (2017), as it says itself (section 3.1.3); here
nothing differs but what is learned.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from fullclip.baselines.learning.curve import curve
from fullclip.baselines.learning.pairs import Pairs, Question
from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.way import Answering, image_tower
from fullclip.baselines.ngrams.dictionary import NgramDictionary, build_dictionary
from fullclip.baselines.ngrams.smoothing import SMOOTHING, check_smoothing
from fullclip.baselines.ngrams.ways import NaiveNgrams, VisualNgrams
from fullclip.baselines.results.parts import Part, completed, in_order, parts_of
from fullclip.baselines.results.records import Row
from fullclip.baselines.ways.methods import METHODS, vocabularies
from fullclip.core.config import to_dict

LONGEST = 5  # words of an n-gram (Li et al. 2017, section 3)

Ngrams = Callable[..., VisualNgrams | NaiveNgrams]
TITLES: Mapping[str, str] = {
    "naive-ngrams": "naive n-grams",
    "visual-ngrams": "smoothed n-grams",
    "contrastive": "CLIP",
}


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What all ways are given. `smoothing` is how much an n-gram counts beside the shorter one within it."""

    pairs: Pairs
    questions: tuple[Question, ...]
    settings: Settings
    dictionary: NgramDictionary
    smoothing: float = SMOOTHING


def contest(pairs: Pairs, questions: Sequence[Question], settings: Settings, *, smoothing: float = SMOOTHING) -> Contest:
    """With the dictionary of the pairs' captions: n-grams of up to five words in at least `settings.least` of them. ValueError
    for no question or two of one name, a smoothing out of range, and captions without frequent words.
    """
    check_smoothing(smoothing)
    names = [question.name for question in questions]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"the tasks are {', '.join(names) or 'none'}: name one at least, and each once")
    dictionary = build_dictionary(chain.from_iterable(pairs.texts), at_least=settings.least, longest=LONGEST)
    return Contest(pairs=pairs, questions=tuple(questions), settings=settings, dictionary=dictionary, smoothing=smoothing)


def compare_ngrams(
    given: Contest, out: Path, *, shards: Sequence[str], methods: Sequence[str], seeds: Sequence[int], device: torch.device
) -> Iterator[list[Row]]:
    """The rows of results.jsonl in `out`, as `curve` gives them for each task, by way and seed, each time that a way has been
    learned with a seed, and at the end; what is there already is not learned again. ValueError for a folder of another
    comparison.
    """

    def made(part: Part) -> list[Row]:
        way = build_way(part["method"], given, seed=part["seed"]).to(device)
        return curve(way, given.pairs, given.questions, given.settings, **part)

    for rows in completed(out, _described(given, shards), parts_of(methods, seeds), made):
        yield in_order(rows, TITLES)


def build_way(method: str, given: Contest, *, seed: int) -> Answering:
    """A way of `TITLES` with its first weights."""
    settings = given.settings
    if method == "contrastive":
        return METHODS[method].build(settings, vocabularies(given.pairs, settings), seed)
    kind: Ngrams = NaiveNgrams if method == "naive-ngrams" else partial(VisualNgrams, smoothing=given.smoothing)
    way = kind(image_tower(settings, seed=seed), given.dictionary, dim=settings.embed)
    way.scores.initialize(torch.Generator().manual_seed(seed))
    return way


def _described(given: Contest, shards: Sequence[str]) -> dict[str, Any]:
    """All that decides the numbers."""
    return {
        "settings": to_dict(given.settings),
        "smoothing": given.smoothing,
        "longest": LONGEST,
        "shards": [Path(path).name for path in shards],
        "pairs": len(given.pairs),
        "tasks": {q.name: {"classes": len(q.classes), "pictures": len(q.labels)} for q in given.questions},
    }
