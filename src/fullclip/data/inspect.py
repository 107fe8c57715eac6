"""Shards -> what they hold: counts, lengths, sizes, frequent words, and a picture of some pairs. Memory stays bounded."""

import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fullclip.core.logs import track
from fullclip.core.storage import atomic_file
from fullclip.core.types import Pair
from fullclip.data.contact_sheet import draw_contact_sheet
from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards, read_shard
from fullclip.preprocess.features import is_features, unpack_features
from fullclip.preprocess.tokenizer import Tokenizer, clean

CONTEXT = 77
_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*").findall
_MOST_WORDS = 500_000
_EXACT_BITS = 12
_FEATURES = "NPY"  # among the formats


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a number is spread. Median and 95th percentile are values that occur (the smallest with that share at or below
    it), from 4096 on to within 1 in 2048; the rest is exact.
    """

    min: int
    median: int
    mean: float
    p95: int
    max: int


@dataclass(frozen=True, kw_only=True)
class Count:
    """How often something was met."""

    name: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a set of shards holds. A spread is None where there was nothing to measure.

    Tokens count start and end; `share_truncated` is the share of captions over 77 of them. Sizes are the files' own,
    before any EXIF rotation. `words` are the 20 most frequent (approximate past half a million different ones).
    """

    num_shards: int
    num_pairs: int
    num_captions: int
    captions_per_pair: float
    characters: Spread | None
    tokens: Spread | None
    share_truncated: float
    widths: Spread | None
    heights: Spread | None
    bytes_per_image: Spread | None
    formats: tuple[Count, ...]
    modes: tuple[Count, ...]
    words: tuple[Count, ...]


def inspect_shards(
    patterns: Sequence[str], *, drops: Drops, grid: Path | None, num_pictures: int = 64, seed: int = 0
) -> Inspection:
    """Read every pair that `patterns` (files, globs, folders) name, and describe them; of images only the headers.

    `grid`: where to write a PNG of `num_pictures` pairs, drawn at random by `seed`. What cannot be read goes to `drops`.
    ValueError for a grid where all pairs have features in their pictures' places.
    """
    shards = find_shards(patterns)
    facts, sample = _Facts(), _Reservoir(num_pictures if grid else 0, seed)
    for shard in track(shards, "inspecting", unit="shards"):
        for pair in read_shard(shard, drops):
            if facts.add(pair, drops) and not is_features(pair.image):
                sample.add(pair)
    found = facts.inspection(len(shards))
    if grid is not None and [kind.name for kind in found.formats] == [_FEATURES]:
        raise ValueError("these shards hold features and no picture to draw: leave --grid out")
    if grid is not None:
        sheet = draw_contact_sheet(sample.pairs, drops)
        with atomic_file(grid) as file:
            sheet.save(file, "PNG")
    return found


class _Tally:
    """A histogram in bounded memory: values keep their 12 leading bits, so those under 4096 are exact."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._sum, self._min, self._max = 0, math.inf, 0

    def add(self, value: int) -> None:
        drop = max(0, value.bit_length() - _EXACT_BITS)
        self._counts[value >> drop << drop] += 1
        self._sum, self._min, self._max = self._sum + value, min(self._min, value), max(self._max, value)

    @property
    def num(self) -> int:
        return self._counts.total()

    def share_over(self, limit: int) -> float:
        return sum(count for value, count in self._counts.items() if value > limit) / max(1, self.num)

    def spread(self) -> Spread | None:
        if not self._counts:
            return None
        values = sorted(self._counts)
        seen = np.cumsum([self._counts[value] for value in values])
        median, p95 = (values[int(np.searchsorted(seen, math.ceil(self.num * share)))] for share in (0.5, 0.95))
        return Spread(min=int(self._min), median=median, mean=self._sum / self.num, p95=p95, max=self._max)


class _Facts:
    """What is known of the pairs so far."""

    def __init__(self) -> None:
        self._num_pairs = 0
        self._characters, self._tokens = _Tally(), _Tally()
        self._widths, self._heights, self._bytes = _Tally(), _Tally(), _Tally()
        self._formats, self._modes, self._words = Counter[str](), Counter[str](), Counter[str]()
        self._tokenizer = Tokenizer.clip(context_length=CONTEXT)

    def add(self, pair: Pair, drops: Drops) -> bool:
        """Count a pair; False where its image's header cannot be read."""
        self._num_pairs += 1
        for text in pair.texts:
            self._characters.add(len(text))
            self._words.update(_WORDS(text.lower()))
        for num_tokens in _num_tokens(pair.texts, self._tokenizer):
            self._tokens.add(num_tokens)
        if len(self._words) > _MOST_WORDS:
            self._words = Counter(dict(self._words.most_common(_MOST_WORDS // 2)))
        try:
            (width, height), mode, kind = _header(pair)
        except Exception as error:  # a broken header can raise nearly anything in Pillow's readers
            drops.drop("unreadable image", f"{pair.key} ({type(error).__name__})")
            return False
        self._widths.add(width)
        self._heights.add(height)
        self._bytes.add(len(pair.image))
        self._formats[kind] += 1
        self._modes[mode] += 1
        return True

    def inspection(self, num_shards: int) -> Inspection:
        return Inspection(
            num_shards=num_shards,
            num_pairs=self._num_pairs,
            num_captions=self._characters.num,
            captions_per_pair=self._characters.num / max(1, self._num_pairs),
            characters=self._characters.spread(),
            tokens=self._tokens.spread(),
            share_truncated=self._tokens.share_over(CONTEXT),
            widths=self._widths.spread(),
            heights=self._heights.spread(),
            bytes_per_image=self._bytes.spread(),
            formats=_most_common(self._formats),
            modes=_most_common(self._modes),
            words=_most_common(self._words)[:20],
        )


def _header(pair: Pair) -> tuple[tuple[int, int], str, str]:
    """(width, height), mode and format of an image; of features that were computed before (numbers, views), type, NPY."""
    if is_features(pair.image):
        views = unpack_features(pair.image, name=pair.key)
        return (views.shape[1], views.shape[0]), "float16", _FEATURES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(pair.image)) as image:
            return image.size, image.mode, image.format or "unknown"


def _num_tokens(texts: Sequence[str], tokenizer: Tokenizer) -> Iterable[int]:
    """The number of tokens of each text, however long it is."""
    for text in texts:
        tokens = tokenizer.encode(text, truncate=True)
        if tokens.num_truncated:  # a cleaned text has at most one token a byte
            wide = Tokenizer.clip(context_length=len(clean(text).encode("utf-8")) + 2)
            tokens = wide.encode(text)
        yield int((tokens.ids[0] == tokenizer.end_id).nonzero().max()) + 1


def _most_common(counts: Counter[str]) -> tuple[Count, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Count(name=name, count=count) for name, count in ordered)


class _Reservoir:
    """`size` pairs of a stream of unknown length, each equally likely (Vitter 1985, algorithm R)."""

    def __init__(self, size: int, seed: int) -> None:
        self.pairs: list[Pair] = []
        self._size, self._num_seen, self._random = size, 0, np.random.default_rng(seed)

    def add(self, pair: Pair) -> None:
        self._num_seen += 1
        if len(self.pairs) < self._size:
            self.pairs.append(pair)
        elif self._size and (place := int(self._random.integers(self._num_seen))) < self._size:
            self.pairs[place] = pair
