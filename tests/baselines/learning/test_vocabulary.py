"""Vocabularies of the pairs' texts: pieces against CLIP's tokenizer, words against texts written by hand."""

import pytest

from fullclip.baselines.learning.vocabulary import Pieces, Words, words_in
from fullclip.preprocess.tokenizer import Tokenizer


def test_pieces_are_clips_numbered_anew():
    """CLIP's tokenizer cuts a text; what is too rare has one number for all."""
    clip = Tokenizer.clip()
    texts = ["red wall"] * 3 + ["sea lion"] * 2 + ["zebra"]
    pieces = Pieces(texts, least=2, most=3, context_length=8)
    assert pieces.size == 4 + 3
    red, wall = (pieces.row(word)[1] for word in ("red", "wall"))
    assert {red, wall} == {4, 5}  # the most frequent come first
    assert pieces(["red wall", "red"]).tolist() == [[2, red, wall, 3], [2, red, 3, 0]]
    assert pieces.row("zebra wall") == (2, *[1] * (len(clip.encode("zebra").ids[0].nonzero()) - 2), wall, 3)
    assert pieces.knows("wall red")
    assert not pieces.knows("zebra")
    assert not pieces.knows("sea lion")  # of two as frequent pieces one had room
    assert len(pieces.row("red " * 50)) == 8
    with pytest.raises(ValueError, match="no piece of a word occurs in 9 texts of the pairs: set least lower"):
        Pieces(texts, least=9, most=3, context_length=8)


def test_words_are_counted_once_in_a_text():
    texts = ["Dog dog dog", "a cat, a dog", "cat's_7up &amp; co"]
    assert words_in(texts[2]) == ["cat's", "7up", "co"]
    words = Words(texts, least=1, most=10)
    assert words.words == ["dog", "7up", "a", "cat", "cat's", "co"]
    assert Words(texts, least=2, most=10).words == ["dog"]
    assert words.numbers("a dog and a dog") == [0, 2]
    assert words.knows("a DOG")
    assert not words.knows("an ape")
    with pytest.raises(ValueError, match="no word occurs in 3 texts of the pairs: set least lower"):
        Words(texts, least=3, most=10)
