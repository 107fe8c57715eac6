"""What occurs in the texts of the pairs: pieces of words for encoders and decoders, whole words for a bag that is predicted.

CLIP's own 49,408 pieces would cost a model of this size most of its weights, and most of them it would never meet.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from fullclip.preprocess.tokenizer import Tokenizer, clean

T = TypeVar("T", int, str)

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_MOST_KNOWN = 100_000


class Pieces:
    """CLIP's pieces that occur in at least `least` of the texts, the `most` most frequent of them, numbered anew: 0 pads, 1 is
    any other piece, then come start, end and the pieces by frequency. ValueError where no piece is left.
    """

    UNKNOWN, START, END = 1, 2, 3

    def __init__(self, texts: Iterable[str], *, least: int, most: int, context_length: int) -> None:
        self._tokenizer = Tokenizer.clip(context_length=context_length)
        counts = Counter[int]()
        for text, number in Counter(texts).items():
            counts.update(dict.fromkeys(self._ids(text), number))
        kept = _frequent(counts, least=least, most=most)
        if not kept:
            raise ValueError(f"no piece of a word occurs in {least} texts of the pairs: set least lower, or give more pairs")
        self._numbers = {piece: number for number, piece in enumerate(kept, 4)}
        self.size, self.context_length = 4 + len(kept), context_length
        self.row = lru_cache(maxsize=_MOST_KNOWN)(self._encoded)

    def _ids(self, text: str) -> list[int]:
        """CLIP's ids of a text, without start and end; a long text is cut."""
        ids = self._tokenizer.encode(text, truncate=True).ids[0].tolist()
        return ids[1 : ids.index(self._tokenizer.end_id)]

    def _encoded(self, text: str) -> tuple[int, ...]:
        """The numbers of one text, start and end included."""
        return (self.START, *(self._numbers.get(piece, self.UNKNOWN) for piece in self._ids(text)), self.END)

    def __call__(self, texts: Sequence[str]) -> Int[Tensor, "batch context"]:
        """Start, pieces, end, and zeros up to the length of the longest."""
        rows = [torch.tensor(self.row(text)) for text in texts]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def knows(self, text: str) -> bool:
        """Whether all pieces of a text are in the vocabulary."""
        return self.UNKNOWN not in self.row(text)


class Words:
    """Words, lower case, that occur in at least `least` of the texts, the `most` most frequent of them in that order. A word is
    a run of letters and digits, as `dog` or `7up`, or two with an apostrophe between them. ValueError where none is left.
    """

    def __init__(self, texts: Iterable[str], *, least: int, most: int) -> None:
        counts = Counter[str]()
        for text, number in Counter(texts).items():
            counts.update(dict.fromkeys(words_in(text), number))
        self.words = _frequent(counts, least=least, most=most)
        if not self.words:
            raise ValueError(f"no word occurs in {least} texts of the pairs: set least lower, or give more pairs")
        self._numbers = {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def numbers(self, text: str) -> list[int]:
        """The known words of a text, each once, ascending."""
        return sorted({self._numbers[word] for word in words_in(text) if word in self._numbers})

    def knows(self, text: str) -> bool:
        """Whether all words of a text are in the vocabulary."""
        return all(word in self._numbers for word in words_in(text))


def words_in(text: str) -> list[str]:
    """The words of a text, mended and in lower case as CLIP's tokenizer cleans it."""
    return _WORD.findall(clean(text))


def _frequent(counts: Counter[T], *, least: int, most: int) -> list[T]:
    """What occurs often enough, the most frequent first, of equal ones in their own order."""
    enough = [item for item, count in counts.items() if count >= least]
    return sorted(enough, key=lambda item: (-counts[item], item))[:most]
