import numpy as np
from hypothesis import given, settings, strategies as st

from fullclip.data.building.deduplicating.unions import Unions

COUNT = 30
EDGES = st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)), max_size=40)


def naive(edges):
    """The smallest number that can be reached from each."""
    found = list(range(COUNT))
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            least = min(found[a], found[b])
            changed |= (found[a], found[b]) != (least, least)
            found[a] = found[b] = least
    return found


def columns(edges):
    array = np.array(edges, dtype=np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


@settings(max_examples=100)
@given(EDGES, st.randoms(use_true_random=False))
def test_groups_are_connected_components_whatever_the_order(edges, random):
    whole, one_by_one = Unions(COUNT), Unions(COUNT)
    whole.join(*columns(edges))
    shuffled = random.sample(edges, len(edges))
    for edge in shuffled:
        one_by_one.join(*columns([edge[::-1]]))
    assert whole.all_roots().tolist() == one_by_one.all_roots().tolist() == naive(edges)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=COUNT, max_size=COUNT))
def test_equal_values_are_joined(values):
    unions = Unions(COUNT)
    unions.join_equal(np.array(values, dtype=np.uint64), np.arange(COUNT))
    assert unions.all_roots().tolist() == [values.index(value) for value in values]


def test_a_long_chain_is_one_group():
    unions = Unions(100_000)
    numbers = np.arange(99_999)
    unions.join(numbers[::-1].copy(), numbers[::-1] + 1)
    assert not unions.all_roots().any()
