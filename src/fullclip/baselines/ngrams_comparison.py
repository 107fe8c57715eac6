"""Visual n-grams beside CLIP, as in Table 1 of the CLIP paper: the same pairs, image tower and budget, the same questions.

The paper's CLIP had far more of everything than the n-grams of Li et al. (2017), as it says itself (section 3.1.3); here
nothing differs but what is learned.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from fullclip.baselines.comparing import check_seeds
from fullclip.baselines.learning import learn
from fullclip.baselines.methods import METHODS, vocabularies
from fullclip.baselines.ngrams import NaiveNgrams, VisualNgrams
from fullclip.baselines.ngrams_dictionary import NgramDictionary, build_dictionary
from fullclip.baselines.ngrams_smoothing import SMOOTHING, check_smoothing
from fullclip.baselines.pairs import Pairs, Question
from fullclip.baselines.records import Row, held
from fullclip.baselines.settings import Settings
from fullclip.baselines.way import Answering, image_tower
from fullclip.baselines.zero_shot import ask
from fullclip.core.config import lookup, to_dict

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
    given: Contest, out: Path, *, shards: Sequence[str], methods: Sequence[str], seeds: int, device: torch.device
) -> list[Row]:
    """Rows of results.jsonl in `out`, as `comparing.curve` has them, for each task; a way and seed whose rows are there already
    are not learned again. ValueError for an unknown way, fewer than one seed, and a folder of another comparison.
    """
    numbers, chosen = check_seeds(seeds), check_names(methods)
    with held(out, _described(given, shards)) as records:
        for seed in numbers:
            for method in chosen:
                if not records.has(method=method, seed=seed):
                    records.add(_curves(method, given, seed=seed, device=device))
        return sorted(records.rows, key=lambda row: (list(TITLES).index(row["method"]), row["seed"]))


def check_names(methods: Sequence[str]) -> list[str]:
    """The names, each once, in the order of `TITLES`. ValueError where one is unknown or there is none."""
    for name in methods:
        lookup(TITLES, name, what="way of learning")
    if not methods:
        raise ValueError(f"no way of learning is named; there are: {', '.join(TITLES)}")
    return [name for name in TITLES if name in methods]


def _curves(method: str, given: Contest, *, seed: int, device: torch.device) -> list[Row]:
    """Learn one way with one seed, and ask it every question at each mark."""
    way, rows, start = build_way(method, given, seed=seed).to(device), list[Row](), time.monotonic()
    for images in learn(way, given.pairs, given.settings, seed=seed, title=f"{method}, seed {seed}"):
        seconds = round(time.monotonic() - start, 1)
        for question in given.questions:
            plain, ratio = ask(way, question, given.settings, at_large=given.pairs)
            rules = [("similarity", plain)] if ratio is None else [("likelihood", plain), ("ratio", ratio)]
            told: dict[str, Any] = {"images": images, "unknown_classes": way.num_unknown(question.classes), "seconds": seconds}
            rows += [{"method": method, "seed": seed, "rule": rule, **told, **to_dict(result)} for rule, result in rules]
    return rows


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
