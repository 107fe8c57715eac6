"""Counts on disk against counters in memory."""

import random
from collections import Counter

import pytest

from fullclip.data.building.queries import counts
from fullclip.data.building.queries.counting import first_word
from fullclip.data.building.queries.counts import NUM_PARTS, part_of, read_parts, sum_parts, write_counts


def counters(number, seed):
    draw = random.Random(seed)
    return [Counter(f"w{draw.randrange(300)} é{draw.randrange(9)}" for _ in range(500)) for _ in range(number)]


def write(path, found, **options):
    with path.open("wb") as file:
        assert write_counts(file, iter(found), **options) == sum(map(len, found))
    return str(path)


def rows(table):
    return list(zip(table["text"].to_pylist(), table["count"].to_pylist(), strict=True))


@pytest.mark.parametrize("rows_at_once", [1, 1000, 1 << 20])
@pytest.mark.parametrize("share", [1, 16, 64])
def test_sums_are_those_of_counters(tmp_path, monkeypatch, rows_at_once, share):
    monkeypatch.setattr(counts, "_ROWS_AT_ONCE", rows_at_once)
    files = [counters(number, number) for number in (1, 3, 0, 2)]
    paths = [write(tmp_path / f"{number}", found) for number, found in enumerate(files)]
    expected = sum((counter for found in files for counter in found), Counter())
    found = []
    for start in range(0, NUM_PARTS, share):
        piece = rows(sum_parts(paths, range(start, start + share)))
        assert piece == sorted(piece)
        found += piece
    assert sorted(found) == sorted(expected.items())


def test_rows_lie_in_the_part_of_what_was_said(tmp_path):
    found = counters(2, 5)
    path = write(tmp_path / "a", found, by=first_word)
    for part in range(NUM_PARTS):
        expected = [(text, count) for counter in found for text, count in counter.items() if part_of(text.split()[0]) == part]
        assert rows(read_parts(path, range(part, part + 1))) == expected
