"""Jelinek-Mercer smoothing of scores against its recursive formula, number by number, and against finite differences."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from fullclip.baselines.ngrams.dictionary import BEGIN, END, build_dictionary
from fullclip.baselines.ngrams.smoothing import log_probabilities, words_together

TEXTS = ["a b c", "a b d", "b c a b", "d", "c c c a", "a b c d b"]
SENTENCES = st.lists(st.lists(st.sampled_from("abcdx"), max_size=6).map(" ".join), min_size=1, max_size=5)


def probability(word, context, scores, ngrams, smoothing):
    """The formula as it is written; `scores` of one image, `context` a tuple of words."""
    same = [n for n in ngrams if n[:-1] == context]
    observed = 0.0
    if (*context, word) in ngrams:
        largest = max(scores[ngrams.index(n)] for n in same)
        total = sum(math.exp(scores[ngrams.index(n)] - largest) for n in same)
        observed = math.exp(scores[ngrams.index((*context, word))] - largest) / total
    if not context:
        return observed
    below = probability(word, context[1:], scores, ngrams, smoothing)
    return smoothing * observed + (1 - smoothing) * below if same else below


def weights(dictionary, batch, *, dim=3, size=1.0):
    random = torch.Generator().manual_seed(len(dictionary) + batch)
    shapes = ((batch, dim), (len(dictionary), dim), (len(dictionary),))
    return [size * torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("size", [1.0, 300.0])
@given(texts=SENTENCES, smoothing=st.floats(0.01, 0.99), longest=st.integers(1, 5))
def test_log_probabilities_are_those_of_the_recursion(size, texts, smoothing, longest):
    dictionary = build_dictionary(TEXTS, at_least=1, longest=longest)
    features, embedding, bias = weights(dictionary, len(texts), size=size**0.5)
    occurrences = [dictionary.occurrences(text) for text in texts]
    starts = torch.from_numpy(dictionary.starts)
    words = words_together(occurrences, torch.device("cpu"))
    found = log_probabilities(features, embedding, bias, words, starts=starts, smoothing=smoothing)
    scores, expected = (features @ embedding.T + bias).tolist(), []
    for row, text in enumerate(texts):
        sequence = [BEGIN, *text.split(), END]
        for place in range(1, len(sequence)):
            if (sequence[place],) in dictionary.ngrams:
                context = tuple(sequence[max(0, place + 1 - longest) : place])
                expected.append(probability(sequence[place], context, scores[row], dictionary.ngrams, smoothing))
    expected = np.array(expected)
    seen = expected > 1e-300  # below, exp has no digits left
    np.testing.assert_allclose(found.numpy()[seen], np.log(expected[seen]), rtol=1e-9, atol=1e-9)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("context", ["", "a b", "x a", "a x", "c c c c", "b c a b"])
def test_probabilities_of_all_words_add_up_to_one_in_any_context(context):
    dictionary = build_dictionary(TEXTS, at_least=1, longest=4)
    unigrams = [ngram[0] for ngram in dictionary.ngrams if len(ngram) == 1 and ngram != (END,)]
    phrases = [dictionary.occurrences(f"{context} {word}") for word in unigrams]
    ends = [dictionary.occurrences(context)]
    features, embedding, bias = weights(dictionary, 1)
    last = []
    for occurrences, place in [*((phrase, -2) for phrase in phrases), (ends[0], -1)]:
        words = words_together([occurrences], torch.device("cpu"))
        found = log_probabilities(features, embedding, bias, words, starts=torch.from_numpy(dictionary.starts), smoothing=0.3)
        last.append(found[place].exp())
    assert sum(last).item() == pytest.approx(1, rel=1e-12)


def test_gradients_are_those_of_finite_differences():
    dictionary = build_dictionary(TEXTS, at_least=1, longest=4)
    words = words_together([dictionary.occurrences(text) for text in ("a b x c", "b c a c", "")], torch.device("cpu"))
    starts = torch.from_numpy(dictionary.starts)
    leaves = [tensor.requires_grad_() for tensor in weights(dictionary, 3)]
    assert torch.autograd.gradcheck(lambda *given: log_probabilities(*given, words, starts=starts, smoothing=0.2), leaves)


def test_scores_of_log_counts_give_the_language_model_of_the_counts():
    dictionary = build_dictionary(TEXTS, at_least=1, longest=2)
    words = words_together([dictionary.occurrences("a b c", bounded=False)], torch.device("cpu"))
    nothing = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(len(dictionary), 1, dtype=torch.float64)
    bias = torch.from_numpy(np.log(dictionary.counts))
    found = log_probabilities(*nothing, bias, words, starts=torch.from_numpy(dictionary.starts), smoothing=0.25).exp()
    every = " ".join(f"{text} ." for text in TEXTS)
    total, count = len(every.split()), every.split().count  # a dot for each end
    followers = [b for text in TEXTS for a, b in zip(text.split(), [*text.split()[1:], "."], strict=True) if a == "a"]
    assert found[0].item() == pytest.approx(count("a") / total)
    assert found[1].item() == pytest.approx(0.25 * followers.count("b") / len(followers) + 0.75 * count("b") / total)


def test_only_what_occurs_is_computed(monkeypatch):
    dictionary = build_dictionary([f"w{i} w{i + 1}" for i in range(200)], at_least=1, longest=2)
    features, embedding, bias = weights(dictionary, 1)
    shapes, real = [], torch.addmm

    def watched(bias, rows, columns):
        shapes.append(len(rows))
        return real(bias, rows, columns)

    monkeypatch.setattr(torch, "addmm", watched)
    words = words_together([dictionary.occurrences("w3 w4", bounded=False)], torch.device("cpu"))
    log_probabilities(features, embedding, bias, words, starts=torch.from_numpy(dictionary.starts))
    unigrams = dictionary.sizes()[1]
    assert shapes == [unigrams + 2]  # w3 is followed by w4, or by the end
    assert len(dictionary) > 3 * unigrams


@pytest.mark.parametrize("smoothing", [0.0, 1.0, -0.1, math.nan])
def test_a_smoothing_that_leaves_a_model_out_is_refused(smoothing):
    dictionary = build_dictionary(TEXTS, at_least=1)
    words = words_together([dictionary.occurrences("a")], torch.device("cpu"))
    with pytest.raises(ValueError, match=r"smoothing is .*: above 0 and below 1, such as 0.2"):
        log_probabilities(*weights(dictionary, 1), words, starts=torch.from_numpy(dictionary.starts), smoothing=smoothing)
