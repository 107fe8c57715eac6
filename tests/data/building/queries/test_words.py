"""Words and pairs of words, against the rules spelt out character by character."""

import unicodedata
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from fullclip.data.building.queries.words import MAX_CHARACTERS, as_query, count_words


def counted(text):
    words, pairs = Counter(), Counter()
    count_words(text, words, pairs)
    return words, pairs


@pytest.mark.parametrize(
    ("text", "words", "pairs"),
    [
        ("The dog. The DOG", "the dog the dog", ["the dog", "the dog"]),
        ("New  York,\tNY", "new york ny", ["new york"]),
        ("dog’s rock-’n’-roll", "dog's rock n roll", ["dog's rock"]),
        ("well‐known, e-mail", "well-known e-mail", []),
        ("rock - roll", "rock roll", []),
        ("one\ntwo three", "one two three", ["two three"]),
        ("snake_case 3.5 x2", "snake case 3 5 x2", ["case 3", "5 x2"]),
        ("-a- 'b' c--d", "a b c d", []),
        ("cafe\u0301 CAFÉ", "café café", ["café café"]),
        ("हिन्दी भाषा", "हिन्दी भाषा", ["हिन्दी भाषा"]),
        ("犬と猫", "犬と猫", []),
        ("a " + "x" * 101 + " b c " + "y" * 100, "a b c " + "y" * 100, ["b c", "c " + "y" * 100]),
        ("", "", []),
    ],
)
def test_cases(text, words, pairs):
    assert counted(text) == (Counter(words.split()), Counter(pairs))


def reference(text):
    """One character after the other."""
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    text = text.replace("’", "'").replace("‐", "-").replace("‑", "-")

    def letter(at):
        return 0 <= at < len(text) and (text[at].isalnum() or unicodedata.category(text[at]).startswith("M"))

    tokens, gap = [], "start"
    word = ""
    for at, character in enumerate(text + "."):
        if letter(at) or (character in "'-" and letter(at - 1) and letter(at + 1)):
            word += character
            continue
        if word:
            tokens.append((word, gap))
            word, gap = "", ""
        gap += character
    words = Counter(found for found, _ in tokens if len(found) <= MAX_CHARACTERS)
    pairs = Counter(
        f"{first} {second}"
        for (first, _), (second, between) in pairwise(tokens)
        if not between.strip(" \t") and max(len(first), len(second)) <= MAX_CHARACTERS
    )
    return words, pairs


@given(st.text(st.one_of(st.sampled_from("ab é’'‐- \t\n._3İß\u0301हि犬"), st.characters(codec="utf-8")), max_size=60))
def test_against_the_rules_spelt_out(text):
    assert counted(text) == reference(text)


def test_names_as_queries():
    assert as_query("  Rock’n’Roll \u00a0 Hall\n") == "rock'n'roll hall"
