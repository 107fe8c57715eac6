"""Captions -> the n-grams that are frequent among them, and where those stand in a text. Knows nothing of images or scores."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from fullclip.preprocess.tokenizer import clean

BEGIN, END = "[BEGIN]", "[END]"  # no word looks like these: words are lower case and have no brackets
Ngram = tuple[str, ...]

_APOSTROPHES = re.compile("['\u2019]")
_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """The words of a text: cleaned and lower-cased as for CLIP's tokenizer, then without punctuation, as Li et al. (2017) have
    it. What stands between letters and digits parts words, but for apostrophes, which are dropped: "a Dog's nose" is a, dogs,
    nose.
    """
    return _WORD.findall(_APOSTROPHES.sub("", clean(text)))


@dataclass(frozen=True, kw_only=True)
class Occurrences:
    """What a dictionary finds of a text, word by word: for each order from 1 up the number of the n-gram that ends with the
    word, and the number of the context, the words before it in that n-gram; -1 where the dictionary has no such n-gram, or none
    with such a context. Words that are no unigram of the dictionary are left out, and counted in `num_unknown`.
    """

    ngrams: Int[np.ndarray, "words orders"]
    contexts: Int[np.ndarray, "words orders"]
    num_unknown: int


@dataclass(frozen=True, kw_only=True)
class NgramDictionary:
    """n-grams of 1 to `longest` words with their numbers of occurrences, those of one context side by side: the n-grams of
    context c are ngrams[starts[c]:starts[c + 1]]. Context 0 is that of the unigrams, which has no word.

    [BEGIN] stands before a text and can only be part of a context; [END] behind it is predicted like a word.
    """

    ngrams: tuple[Ngram, ...]
    counts: Int[np.ndarray, " ngrams"]
    longest: int

    def __len__(self) -> int:
        return len(self.ngrams)

    @cached_property
    def numbers(self) -> dict[Ngram, int]:
        return {ngram: number for number, ngram in enumerate(self.ngrams)}

    @cached_property
    def contexts(self) -> dict[Ngram, int]:
        """The numbers of the contexts that have n-grams."""
        found: dict[Ngram, int] = {}
        for ngram in self.ngrams:
            found.setdefault(ngram[:-1], len(found))
        return found

    @cached_property
    def starts(self) -> Int[np.ndarray, " edges"]:
        """Where each context's n-grams start, and where the last one's end."""
        owners = np.array([self.contexts[ngram[:-1]] for ngram in self.ngrams])
        return np.append(np.unique(owners, return_index=True)[1], len(owners))

    def sizes(self) -> dict[int, int]:
        """How many n-grams there are of each order."""
        return dict(sorted(Counter(map(len, self.ngrams)).items()))

    def occurrences(self, text: str, *, bounded: bool = True) -> Occurrences:
        """Of a caption; without `bounded` of a phrase, which neither begins nor ends a text: the name of a class."""
        words = words_of(text)
        sequence = [BEGIN, *words, END] if bounded else words
        places = range(1 if bounded else 0, len(sequence))
        known = [place for place in places if (sequence[place],) in self.numbers]
        ngrams, contexts = (np.full((len(known), self.longest), -1, dtype=np.int64) for _ in range(2))
        for row, place in enumerate(known):
            for order in range(1, min(self.longest, place + 1) + 1):
                ngram = tuple(sequence[place + 1 - order : place + 1])
                ngrams[row, order - 1] = self.numbers.get(ngram, -1)
                contexts[row, order - 1] = self.contexts.get(ngram[:-1], -1)
        return Occurrences(ngrams=ngrams, contexts=contexts, num_unknown=len(places) - len(known))


def build_dictionary(texts: Iterable[str], *, at_least: int, longest: int = 5) -> NgramDictionary:
    """The n-grams of 1 to `longest` words that occur `at_least` times in the texts (Li et al. 2017, section 3: 5 words, more
    than 1,000 times in 30 million comments), ordered by length, context and last word. A text is one sentence.

    ValueError where no word is that frequent.
    """
    if longest < 1 or at_least < 1:
        raise ValueError(f"n-grams of up to {longest} words that occur {at_least} times: both at least 1, such as 5 and 20")
    captions = [([BEGIN, *words_of(text), END], times) for text, times in Counter(texts).items()]
    frequent: set[Ngram] = set()
    kept: dict[Ngram, int] = {}
    for order in range(1, longest + 1):
        found = _frequent(captions, order, frequent, at_least)
        if not found:
            break
        frequent = set(found)
        kept.update(found)
    kept.pop((BEGIN,), None)
    if not any(len(ngram) == 1 and ngram != (END,) for ngram in kept):
        raise ValueError(f"no word occurs {at_least} times in {len(captions):,} different texts; ask for fewer occurrences")
    ngrams = tuple(sorted(kept, key=lambda ngram: (len(ngram), ngram)))
    counts = np.array([kept[ngram] for ngram in ngrams], dtype=np.int64)
    return NgramDictionary(ngrams=ngrams, counts=counts, longest=longest)


def _frequent(captions: Sequence[tuple[list[str], int]], order: int, shorter: set[Ngram], at_least: int) -> dict[Ngram, int]:
    """The frequent n-grams of one order. Both ends of one are frequent themselves, so no others need to be counted."""
    found: Counter[Ngram] = Counter()
    for words, times in captions:
        for start in range(len(words) - order + 1):
            ngram = tuple(words[start : start + order])
            if order == 1 or (ngram[:-1] in shorter and ngram[1:] in shorter):
                found[ngram] += times
    return {ngram: count for ngram, count in found.items() if count >= at_least}
