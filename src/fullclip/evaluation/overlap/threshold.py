"""From which similarity on a picture counts as the same: one number for each set, where the paper's authors chose by looking.

For photographs `DEFAULT` is right: of 57 million pairs of different pictures at most two are above it, of copies (recompressed,
resized, mirrored, cropped by up to a fifth on each side) one in a hundred is below. In a set whose pictures all look alike
(digits, x-rays, fields from above) other pictures come as near, and the set itself says how near: the similarity of each of
its pictures to the nearest *other* one. Their bulk is carried on to what one picture in 10,000 would reach, were the
arctanh of similarities normal, by median and upper quartile; so duplicates within the set, as long as they are fewer than a
quarter of it, do not raise the threshold. It is never below `DEFAULT` nor above `HIGHEST`: an unchanged or recompressed copy
is found in any set.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from fullclip.core.config import nearest
from fullclip.evaluation.overlap.pictures import Pictures
from fullclip.evaluation.overlap.search import Search

DEFAULT, HIGHEST = 0.8, 0.98
_ASKED = 512  # pictures of a set, chosen at random, whose nearest others are looked for
_BLOCK = 4096
_LEAST = 0.4  # what is less alike was not aligned to the end, so that it does not say how far the bulk spreads
_ONE_IN_10_000 = 3.72 / 0.674  # in normal quartiles above the median


def own_threshold(pictures: Pictures) -> float:
    """The threshold that fits a set, from its own pictures."""
    return raised(nearest_others(pictures)) if len(pictures) > 1 else DEFAULT


def raised(similarities: Float32[np.ndarray, " n"]) -> float:
    """The threshold where pictures that are not the same are as alike as this."""
    middle, upper = np.arctanh(np.clip(np.quantile(similarities, [0.5, 0.75]), _LEAST, 0.9999))
    return float(np.clip(np.tanh(middle + _ONE_IN_10_000 * (upper - middle)), DEFAULT, HIGHEST))


def nearest_others(pictures: Pictures) -> Float32[np.ndarray, " asked"]:
    """How alike the nearest other picture of the set is, for each of at most 512 of its pictures; 0 where none is alike."""
    asked = np.sort(np.random.default_rng(0).permutation(len(pictures))[:_ASKED])
    search, found = Search(pictures.descriptors[asked]), np.zeros(len(asked), dtype=np.float32)
    for start in range(0, len(pictures), _BLOCK):
        alike = search.look(pictures.descriptors[start : start + _BLOCK])
        others = asked[alike.rows] != alike.columns + start
        np.maximum.at(found, alike.rows[others], alike.similarities[others])
    return found


def parse_thresholds(words: Sequence[str]) -> tuple[float | None, dict[str, float]]:
    """(the threshold of all sets, where one was given, and those of single sets) from words such as 0.9 or cifar10=0.95.

    ValueError for what is no number above 0 and at most 1, or is said twice.
    """
    everywhere: float | None = None
    single: dict[str, float] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        value = _number(number, word)
        if (name and name in single) or (not name and everywhere is not None):
            raise ValueError(f"--threshold {word}: {name or 'all sets'} had a threshold already; give one")
        if name:
            single[name] = value
        else:
            everywhere = value
    return everywhere, single


def _number(text: str, word: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= 1:
        raise ValueError(f"--threshold {word}: a number above 0 and up to 1 is needed, such as 0.9, or NAME=0.95 for one set")
    return value


def check_names(single: Mapping[str, float], names: Sequence[str]) -> None:
    """ValueError for a threshold of a set that is not asked about."""
    for name in single:
        if name not in names:
            raise ValueError(f"--threshold {name}=...: there is no set {name!r} here{nearest(name, names)}")
