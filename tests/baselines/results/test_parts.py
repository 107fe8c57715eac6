"""The parts of a comparison: their order, and that only those are made that are lacking."""

import pytest

from fullclip.baselines.results.parts import check_methods, check_seeds, completed, in_order, parts_of

TABLE = {"slow": 1, "quick": 2, "quicker": 3}


def test_names_are_taken_once_in_the_tables_order():
    assert check_methods(["quicker", "slow", "quicker"], TABLE) == ("slow", "quicker")
    with pytest.raises(ValueError, match="no way of learning named 'quik'; did you mean 'quick'"):
        check_methods(["quik"], TABLE)
    with pytest.raises(ValueError, match="no way of learning is named; there are: slow, quick, quicker"):
        check_methods([], TABLE)


def test_seeds_are_counted_from_0():
    assert list(check_seeds(3)) == [0, 1, 2]
    with pytest.raises(ValueError, match="0 seeds: at least 1"):
        check_seeds(0)


def test_every_way_has_every_seed_and_rows_stay_in_order():
    assert parts_of(["slow", "quick"], range(2), named="way") == [
        {"way": "slow", "seed": 0},
        {"way": "quick", "seed": 0},
        {"way": "slow", "seed": 1},
        {"way": "quick", "seed": 1},
    ]
    rows = [{"method": "quick", "seed": 1}, {"method": "quick", "seed": 0}, {"method": "slow", "seed": 1}]
    assert in_order(rows, TABLE) == [rows[2], rows[1], rows[0]]


def test_only_parts_that_are_lacking_are_made(tmp_path):
    made = []

    def make(part):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(dict(part))
        return [{**part, "value": value} for value in (1, 2)]

    parts = parts_of(list(TABLE), range(2))
    with pytest.raises(KeyboardInterrupt):
        list(completed(tmp_path, {"a": 1}, parts, make))
    first, made = made, []
    rest = list(completed(tmp_path, {"a": 1}, parts, make))
    assert [len(rows) for rows in rest] == [8, 10, 12, 12]
    assert [*first, *made] == parts
    assert [row["value"] for row in rest[-1]] == [1, 2] * 6
    with pytest.raises(ValueError, match=r"a is 2, but the comparison in .* was begun with 1"):
        next(completed(tmp_path, {"a": 2}, parts, make))
