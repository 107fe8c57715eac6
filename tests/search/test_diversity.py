"""Maximal marginal relevance against its formula in loops, and what it is for."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fullclip.search.diversity import marginal_order


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def drawn(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=number), unit(random.normal(size=(number, 6)) + 0.5)


def naive(relevance, embeddings, top, diversity) -> list[int]:
    number, vectors = len(relevance), embeddings.astype(np.float64)
    pairs = [vectors[i] @ vectors[j] for i in range(number) for j in range(number) if i != j]
    mean, low, high = np.mean(pairs), min(relevance), max(relevance)
    taken: list[int] = []
    while len(taken) < min(top, number):
        values = {}
        for i in set(range(number)) - set(taken):
            alike = max((max(0, (vectors[i] @ vectors[j] - mean) / (1 - mean)) ** 2 for j in taken), default=0)
            values[i] = (1 - diversity) * (relevance[i] - low) / (high - low) - diversity * alike
        taken.append(max(values, key=lambda i: (round(values[i], 6), relevance[i])))
    return taken


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 14), st.floats(0, 0.95))
def test_it_is_the_formula(seed, number, top, diversity):
    relevance, embeddings = drawn(seed, number)
    assert marginal_order(relevance, embeddings, top=top, diversity=diversity) == naive(relevance, embeddings, top, diversity)


def test_without_diversity_it_is_the_order_of_relevance_and_equals_stay_as_they_came():
    relevance = np.array([0.1, 0.5, 0.3, 0.5, 0.3])
    embeddings = np.ones((5, 1), dtype=np.float32)
    assert marginal_order(relevance, embeddings, top=5, diversity=0.0) == [1, 3, 2, 4, 0]
    assert marginal_order(relevance, embeddings, top=2, diversity=0.0) == [1, 3]


@pytest.mark.parametrize("diversity", [0.3, 0.5, 0.9, 1.0])
def test_copies_come_behind_all_that_is_different(diversity):
    random = np.random.default_rng(0)
    different = unit(random.normal(size=(10, 64)))
    copies = unit(different[:1] + 0.002 * random.normal(size=(40, 64)))
    relevance = np.concatenate([np.linspace(0.9, 0.6, 10), np.full(40, 0.899), [0.0]])
    embeddings = np.concatenate([different, copies, unit(random.normal(size=(1, 64)))])
    order = marginal_order(relevance, embeddings, top=10, diversity=diversity)
    assert order[0] == 0
    assert not set(order) & set(range(10, 50))
    assert set(marginal_order(relevance, embeddings, top=10, diversity=0.0)) >= set(range(10, 19))


def test_at_one_relevance_counts_for_the_first_only():
    relevance, embeddings = drawn(3, 20)
    first = int(relevance.argmax())
    shuffled = np.where(np.arange(20) == first, 10.0, np.random.default_rng(1).permutation(relevance))
    found, others = (marginal_order(given, embeddings, top=3, diversity=1.0) for given in (relevance, shuffled))
    assert found[0] == others[0] == first
    farthest = (embeddings[first] @ embeddings.T).astype(np.float64)
    pairs = embeddings.astype(np.float64) @ embeddings.T
    mean = (pairs.sum() - np.trace(pairs)) / (20 * 19)
    assert farthest[found[1]] <= mean  # all below the mean are as unlike as can be
    assert farthest[others[1]] <= mean


def test_where_all_are_the_same_the_order_is_that_of_relevance():
    embeddings = unit(np.ones((4, 3)))
    assert marginal_order(np.array([0.1, 0.4, 0.2, 0.3]), embeddings, top=4, diversity=0.7) == [1, 3, 2, 0]
    assert marginal_order(np.full(4, 0.2), embeddings, top=4, diversity=0.7) == [0, 1, 2, 3]
    assert marginal_order(np.array([0.2]), embeddings[:1], top=4, diversity=1.0) == [0]
    assert marginal_order(np.zeros(0), embeddings[:0], top=4, diversity=0.5) == []


@pytest.mark.parametrize("diversity", [-0.1, 1.1, float("nan")])
def test_a_diversity_out_of_range_is_refused(diversity):
    with pytest.raises(ValueError, match="diversity is"):
        marginal_order(np.zeros(1), np.ones((1, 2), dtype=np.float32), top=1, diversity=diversity)
