"""Text -> words and pairs of neighbouring words, by rules that are exact:

- the text in NFC, in small letters, ’ as ', and ‐ and ‑ (U+2010, U+2011) as -;
- a word: letters, digits and combining marks of any script; single apostrophes and hyphens within it belong to it;
- words are neighbours where nothing but spaces or tabs is between them.
"""

import re
import unicodedata
from collections import Counter
from functools import cache
from itertools import pairwise

MAX_CHARACTERS = 100  # of a word; what is longer is none, and has no neighbours
_SAME = str.maketrans({"’": "'", "‐": "-", "‑": "-"})


def normal(text: str) -> str:
    """The text as words and queries are written."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower()).translate(_SAME)


def as_query(text: str) -> str:
    """A name as a query: normal, with single spaces."""
    return " ".join(normal(text).split())


def has_word(query: str) -> bool:
    return any(character.isalnum() for character in query)


def count_words(text: str, words: "Counter[str]", pairs: "Counter[str]") -> None:
    """Count the text's words, and its pairs as "first second"."""
    for phrase in _phrases().findall(normal(text)):
        found = phrase.split()
        if len(phrase) > MAX_CHARACTERS and any(len(word) > MAX_CHARACTERS for word in found):
            words.update(word for word in found if len(word) <= MAX_CHARACTERS)
            pairs.update(f"{a} {b}" for a, b in pairwise(found) if max(len(a), len(b)) <= MAX_CHARACTERS)
            continue
        words.update(found)
        pairs.update(map(" ".join, pairwise(found)))


@cache
def _phrases() -> "re.Pattern[str]":
    """Words with nothing but spaces between them."""
    letters = rf"(?:[^\W_]|[{_marks()}])+"
    word = rf"{letters}(?:['-]{letters})*"
    return re.compile(rf"{word}(?:[ \t]+{word})*")


def _marks() -> str:
    """Unicode's combining marks as ranges of a class of characters; Python's own class of letters lacks them."""
    ranges = list[tuple[int, int]]()
    for code in range(0x300, 0xE01F0):
        if unicodedata.category(chr(code)).startswith("M"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
