from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fullclip.data.building.deduplicating import candidates
from fullclip.data.building.deduplicating.candidates import Crowds, close_hashes, close_levels, count_bits, equal_keys


def pairs_of(found):
    """All pairs, each with the smaller number first."""
    return [tuple(sorted(pair)) for first, second in found for pair in zip(first.tolist(), second.tolist(), strict=True)]


def planted(seed, *, number=60, copies=4, flips=12):
    """Random hashes, and copies of each with some bits turned."""
    random = np.random.default_rng(seed)
    found = []
    for one in random.integers(0, 1 << 63, number, dtype=np.uint64).tolist():
        found.append(one)
        for _ in range(copies):
            bits = random.choice(64, random.integers(0, flips + 1), replace=False)
            found.append(one ^ sum(1 << int(bit) for bit in bits))
    return np.array(found, dtype=np.uint64)


def same_bytes(first, second):
    return sum((first >> 8 * place) & 0xFF == (second >> 8 * place) & 0xFF for place in range(8))


@pytest.mark.parametrize("seed", range(3))
def test_close_hashes_are_those_that_a_look_at_all_pairs_finds_each_once(seed):
    hashes = planted(seed)
    listed = hashes.tolist()
    naive = {
        (i, j)
        for i, j in combinations(range(len(listed)), 2)
        if (listed[i] ^ listed[j]).bit_count() <= 12 and same_bytes(listed[i], listed[j]) >= 3
    }
    found = pairs_of(close_hashes(hashes, Crowds()))
    assert len(naive) > 100
    assert len(found) == len(set(found))
    assert set(found) == naive


@settings(max_examples=50)
@given(one=st.integers(0, 2**64 - 1), bits=st.sets(st.integers(0, 63), max_size=5))
def test_five_bits_are_never_too_many(one, bits):
    hashes = np.array([one, one ^ sum(1 << bit for bit in bits)], dtype=np.uint64)
    assert pairs_of(close_hashes(hashes, Crowds())) == [(0, 1)]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_bits_are_counted_as_python_counts_them(numbers):
    assert count_bits(np.array(numbers, dtype=np.uint64)).tolist() == [number.bit_count() for number in numbers]


@settings(max_examples=50)
@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=2), st.tuples(*[st.integers(-4, 4)] * 3))
def test_levels_up_to_four_apart_are_close(levels, change):
    levels = [levels[0], tuple(int(np.clip(a + b, 0, 255)) for a, b in zip(levels[0], change, strict=True))]
    assert (0, 1) in pairs_of(close_levels(np.array(levels, dtype=np.uint8), Crowds()))


def test_levels_eight_apart_are_never_close():
    levels = np.array([[a, 128, 128] for a in range(0, 256, 8)], dtype=np.uint8)
    assert pairs_of(close_levels(levels, Crowds())) == []


def test_a_crowd_is_bounded_and_counted(monkeypatch):
    monkeypatch.setattr(candidates, "WINDOW", 5)
    crowds = Crowds()
    found = pairs_of(equal_keys(np.zeros(100, dtype=np.uint32), crowds))
    assert len(found) == sum(100 - distance for distance in range(1, 6))
    assert {second - first for first, second in found} == {1, 2, 3, 4, 5}
    assert crowds.rows == 94


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_has_no_pairs(number):
    assert pairs_of(close_hashes(np.zeros(number, dtype=np.uint64), Crowds())) == []
    assert pairs_of(close_levels(np.zeros((number, 3), dtype=np.uint8), Crowds())) == []
