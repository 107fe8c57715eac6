"""Words that labels are weighed against: a long list of things, less those that the labels are themselves.

Knows nothing of pictures or scores.
"""

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
from jaxtyping import Float, Int

from fullclip.zeroshot.prompts import PHOTO

NEGATIVE_TEMPLATES = PHOTO
FEWEST = 20
_ARTICLES = ("a ", "an ", "the ")


def default_negatives() -> tuple[str, ...]:
    """The names of ImageNet's classes, each once: things of all sorts, that models of pictures know."""
    text = files("fullclip").joinpath("assets/datasets/imagenet/classnames.txt").read_text(encoding="utf-8")
    return tuple(dict.fromkeys(text.splitlines()))


def other_than(labels: Sequence[str], words: Sequence[str]) -> list[int]:
    """The places of those `words` that are no label in another spelling (case, articles, spaces, hyphens), each word once."""
    seen = {_plain(label) for label in labels}
    places = []
    for place, word in enumerate(words):
        if _plain(word) not in seen:
            seen.add(_plain(word))
            places.append(place)
    return places


def least_like(
    words: Float[np.ndarray, "words embed"], labels: Float[np.ndarray, "labels embed"], *, share: float
) -> Int[np.ndarray, " kept"]:
    """The places of that share of words whose most similar label is the least similar to them, in this order."""
    order = (words @ labels.T).max(axis=1).argsort(kind="stable")
    return order[: int(share * len(order))]


def _plain(word: str) -> str:
    word = word.casefold().strip().replace("_", " ")
    for article in _ARTICLES:
        word = word.removeprefix(article)
    return "".join(letter for letter in word if letter.isalnum()) or word
