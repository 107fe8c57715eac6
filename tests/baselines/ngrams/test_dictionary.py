"""The dictionary of n-grams against naive counting, and what it finds of a text against looking n-gram by n-gram."""

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from fullclip.baselines.ngrams.dictionary import BEGIN, END, build_dictionary, words_of

SENTENCES = st.lists(st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join), min_size=1, max_size=12)


def counted(texts, longest):
    """All n-grams of all texts, but for the one that is only the beginning."""
    found = Counter()
    for text in texts:
        sequence = [BEGIN, *text.split(), END]
        for order in range(1, longest + 1):
            found.update(tuple(sequence[i : i + order]) for i in range(len(sequence) - order + 1))
    del found[BEGIN,]
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A Dog's nose, don’t touch!", ["a", "dogs", "nose", "dont", "touch"]),
        ("state-of-the-art (1990) snake_case", ["state", "of", "the", "art", "1990", "snake", "case"]),
        ("caf&eacute; &amp; bar", ["café", "bar"]),
        ("schÃ¶n", ["schön"]),
        (" ... ", []),
    ],
)
def test_words_are_what_is_left_without_punctuation(text, words):
    assert words_of(text) == words


@given(texts=SENTENCES, at_least=st.integers(1, 4), longest=st.integers(1, 5))
def test_the_dictionary_is_what_naive_counting_finds(texts, at_least, longest):
    expected = {ngram: count for ngram, count in counted(texts, longest).items() if count >= at_least}
    if all(ngram in ((END,), (BEGIN, END)) for ngram in expected):
        with pytest.raises(ValueError, match="no word occurs"):
            build_dictionary(texts, at_least=at_least, longest=longest)
        return
    dictionary = build_dictionary(texts, at_least=at_least, longest=longest)
    assert dict(zip(dictionary.ngrams, dictionary.counts, strict=True)) == expected
    assert dictionary.sizes() == dict(sorted(Counter(map(len, expected)).items()))
    shuffled = build_dictionary(reversed(texts), at_least=at_least, longest=longest)
    assert shuffled.ngrams == dictionary.ngrams


@given(texts=SENTENCES, longest=st.integers(1, 5))
def test_ngrams_of_one_context_stand_side_by_side(texts, longest):
    dictionary = build_dictionary([*texts, "a b"], at_least=1, longest=longest)
    starts = dictionary.starts
    assert starts[0] == 0
    assert starts[-1] == len(dictionary)
    assert dictionary.contexts[()] == 0
    for context, number in dictionary.contexts.items():
        group = dictionary.ngrams[starts[number] : starts[number + 1]]
        assert set(group) == {ngram for ngram in dictionary.ngrams if ngram[:-1] == context}


@given(texts=SENTENCES, text=st.lists(st.sampled_from("abcdxy"), max_size=7), bounded=st.booleans())
def test_occurrences_are_those_of_looking_word_by_word(texts, text, bounded):
    dictionary = build_dictionary([*texts, "a b c"], at_least=1, longest=3)
    found = dictionary.occurrences(" ".join(text), bounded=bounded)
    sequence = [BEGIN, *text, END] if bounded else text
    rows = []
    for place in range(1 if bounded else 0, len(sequence)):
        if (sequence[place],) not in dictionary.ngrams:
            continue
        ngrams, contexts = [], []
        for order in (1, 2, 3):
            ngram = tuple(sequence[place - order + 1 : place + 1]) if order <= place + 1 else None
            ngrams.append(dictionary.ngrams.index(ngram) if ngram in dictionary.ngrams else -1)
            known = ngram is not None and any(ngram[:-1] == other[:-1] for other in dictionary.ngrams)
            contexts.append(dictionary.contexts[ngram[:-1]] if known else -1)
        rows.append((ngrams, contexts))
    assert list(zip(found.ngrams.tolist(), found.contexts.tolist(), strict=True)) == rows
    assert found.num_unknown == len(text) + bounded - len(rows)


@pytest.mark.parametrize(
    ("texts", "at_least", "longest", "said"),
    [
        (["a b", "c d"], 2, 5, "no word occurs 2 times in 2 different texts; ask for fewer occurrences"),
        ([], 1, 5, "no word occurs 1 times in 0 different texts"),
        (["a"], 0, 5, "both at least 1, such as 5 and 20"),
        (["a"], 1, 0, "both at least 1, such as 5 and 20"),
    ],
)
def test_what_gives_no_dictionary_is_said(texts, at_least, longest, said):
    with pytest.raises(ValueError, match=said):
        build_dictionary(texts, at_least=at_least, longest=longest)
