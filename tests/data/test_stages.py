import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice

import pytest
from hypothesis import given, strategies as st

from fullclip.data.stages import batches, made_ahead, map_ahead


@given(items=st.lists(st.integers(), max_size=30), ahead=st.integers(0, 9))
def test_map_ahead_is_map(items, ahead):
    with ThreadPoolExecutor(3) as pool:
        assert list(map_ahead(str, items, pool=pool, ahead=ahead)) == list(map(str, items))


def test_map_ahead_keeps_the_order_when_later_items_are_done_first():
    def slow_first(i):
        time.sleep(0.02 if i % 4 == 0 else 0)
        return i

    with ThreadPoolExecutor(4) as pool:
        assert list(map_ahead(slow_first, range(16), pool=pool, ahead=8)) == list(range(16))


def test_map_ahead_takes_no_more_than_it_says():
    taken = count()
    with ThreadPoolExecutor(2) as pool:
        for given_out, _ in enumerate(islice(map_ahead(str, taken, pool=pool, ahead=5), 20)):
            assert next(taken) - given_out <= 7 + given_out  # `next` itself takes one in every round


def test_an_error_comes_where_its_item_would():
    given_out = []
    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(lambda i: 10 // (3 - i), range(10), pool=pool, ahead=8)
        with pytest.raises(ZeroDivisionError):
            given_out.extend(results)
    assert given_out == [10 // 3, 10 // 2, 10 // 1]


def test_an_error_of_the_source_comes_through():
    def source():
        yield 1
        raise OSError("source")

    with ThreadPoolExecutor(1) as pool, pytest.raises(OSError, match="source"):
        list(map_ahead(str, source(), pool=pool, ahead=3))


def test_closing_cancels_what_has_not_begun():
    begun, go = [], threading.Event()

    def work(i):
        begun.append(i)
        if i:
            go.wait(10)
        return i

    with ThreadPoolExecutor(1) as pool:
        results = map_ahead(work, range(100), pool=pool, ahead=20)
        assert next(results) == 0
        results.close()
        go.set()
    assert len(begun) <= 3


@given(items=st.lists(st.integers()), size=st.integers(1, 7))
def test_batches(items, size):
    assert list(batches(items, size)) == [items[i : i + size] for i in range(0, len(items), size)]


@given(st.lists(st.integers()), st.integers(1, 5))
def test_made_ahead_is_the_same(items, ahead):
    assert list(made_ahead(iter(items), ahead=ahead)) == items


def test_made_ahead_takes_no_more_than_it_says_and_an_error_comes_in_its_place():
    taken = []

    def source():
        for i in range(100):
            if i == 9:
                raise KeyError("nine")
            taken.append(i)
            yield i

    made = made_ahead(source(), ahead=3)
    assert [next(made), next(made)] == [0, 1]
    time.sleep(0.05)
    assert len(taken) <= 2 + 3 + 1
    with pytest.raises(KeyError, match="nine"):
        list(made)
    assert taken == list(range(9))
