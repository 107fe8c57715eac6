"""The map over partitions: every item once, errors as they are, and a process that dies loses nothing."""

from contextlib import closing

import pytest

import building
from fullclip.data.building.engine import Pool


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_item_once_with_its_place(workers):
    with closing(Pool(workers)) as pool:
        found = dict(pool.map(building.squared, range(20)))
        assert found == {number: number * number for number in range(20)}
        assert dict(pool.map(building.squared, [7])) == {0: 49}  # and once more
        assert dict(pool.map(building.squared, [])) == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_the_functions_own(workers):
    with closing(Pool(workers)) as pool, pytest.raises(ValueError, match="three is not wanted"):
        list(pool.map(building.failing, range(10)))


@pytest.mark.faults
def test_an_item_whose_process_always_dies_is_an_error_that_names_it():
    with (
        closing(Pool(2)) as pool,
        pytest.raises(OSError, match=r"a process died 3 times at [0-9]+ or beside it; where the memory"),
    ):
        list(pool.map(building.deadly, range(4)))


def test_who_stops_asking_stops_the_work():
    with closing(Pool(2)) as pool:
        results = pool.map(building.squared, range(1000))
        next(results)
        results.close()
        assert dict(pool.map(building.squared, [3])) == {0: 9}
