"""The arithmetic of the table: ratios, bars, shares of the ceiling, timing."""

import json
import time
from dataclasses import replace

import pytest
import torch

from fullclip.bench.comparing import Rival, compared
from fullclip.bench.images import share
from fullclip.bench.peers import Absent
from fullclip.bench.rows import Bar, Row, number
from fullclip.bench.timing import Side, each_took, rates
from fullclip.models.config import PRESETS
from fullclip.models.flops import image_flops

FAST = Row(part="images", what="image tower", unit="images/s", ours=(90.0, 100.0), beside="transformers", theirs=(20.0, 25.0))
SHORT = replace(FAST, unit="s", ours=(1.5, 1.0), theirs=(3.0, 2.5), better="less")


def test_the_ratio_is_of_the_best_of_each_and_above_one_where_ours_is_better():
    assert FAST.ratio == 100 / 25
    assert SHORT.ratio == 2.5 / 1.0
    assert replace(FAST, theirs=()).ratio is None
    assert replace(FAST, better="neither").ratio is None


@pytest.mark.parametrize(
    ("row", "bar", "met"),
    [
        (FAST, Bar(ratio=4.0), True),
        (FAST, Bar(ratio=4.1), False),
        (SHORT, Bar(ratio=2.0, at_most=1.0), True),
        (SHORT, Bar(ratio=2.0, at_most=0.9), False),
        (SHORT, Bar(ratio=3.0, at_most=1.0), False),
        (replace(SHORT, theirs=()), Bar(ratio=2.0), None),
        (replace(SHORT, ours=()), Bar(at_most=2.0), None),
        (SHORT, None, None),
    ],
)
def test_a_bar_is_met_where_all_that_it_asks_is(row, bar, met):
    assert replace(row, bar=bar).met is met


def test_a_row_is_json_with_all_rounds():
    told = json.loads(json.dumps(replace(SHORT, bar=Bar(at_most=3.0, ratio=2.0)).as_json()))
    assert told["ours"] == {"best": 1.0, "rounds": [1.5, 1.0]}
    assert told["ratio"] == 2.5
    assert told["bar"] == {"ratio": 2.0, "at_most": 3.0, "at_least": None, "met": True}
    assert replace(FAST, ours=()).as_json()["ours"] is None


def test_cells_show_the_best_and_the_worst_round():
    assert FAST.cells() == ("image tower, images/s", "100 (90.0)", "transformers", "25.0 (20.0)", "4.00", "")
    assert SHORT.cells()[1] == "1.00 (1.50)"
    assert replace(FAST, theirs=()).cells()[3:5] == ("–", "")
    assert replace(FAST, beside="", theirs=()).cells()[2:5] == ("", "", "")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (12345.6, "texts/s", "12,346"),
        (99.96, "images/s", "100.0"),
        (9.876, "s", "9.88"),
        (0.0781, "s", "0.078"),
        (-16.2, "MB", "-16.2"),
        (0.999896, "lowest cosine", "0.99990"),
    ],
)
def test_numbers_have_the_digits_that_say_something(value, unit, shown):
    assert number(value, unit) == shown


def test_the_share_of_the_ceiling_is_operations_a_second_over_those_of_a_matrix_product():
    """A ViT-B/32: 12 layers of 12 width^2 weights on 50 tokens are 2 x 12 x 12 x 768^2 x 50 operations, and a little more."""
    operations = image_flops(PRESETS["ViT-B-32"])
    assert operations == pytest.approx(2 * 12 * 12 * 768**2 * 50, rel=0.05)
    assert share(10.0, operations=operations, gflops=200.0) == pytest.approx(10 * operations / 200e9)
    assert share(200e9 / operations, operations=operations, gflops=200.0) == pytest.approx(1)


def test_sides_are_called_in_turn_and_their_rates_count_things():
    calls = list[str]()
    slow = Side(call=lambda: (calls.append("slow"), time.sleep(0.01)), count=5)
    fast = Side(call=lambda: calls.append("fast"))
    found = rates([slow, fast], rounds=3)
    assert calls == ["slow", "fast"] * 3
    assert all(0 < rate <= 5 / 0.01 for rate in found[0])
    assert each_took((4.0, 0.5)) == (0.25, 2.0)


def test_short_work_is_done_again_until_the_time_has_passed():
    calls = list[int]()
    rates([Side(call=lambda: calls.append(1))], rounds=2, seconds=0.01)
    assert len(calls) > 2


def test_who_is_absent_or_computes_something_else_is_said_and_not_timed():
    like = Row(part="images", what="image tower", unit="images/s", ours=())
    never = Side(call=lambda: pytest.fail("a side that computes something else is not timed"))
    rivals = [Rival(name="same", side=Side(call=int), cosine=0.9999), Rival(name="other", side=never, cosine=0.5)]
    rows = list(compared(like, Side(call=int), rivals, [Absent(name="third", why="third is not installed")], rounds=2))
    assert [(row.beside, len(row.ours), len(row.theirs)) for row in rows] == [("same", 2, 2), ("other", 2, 0), ("third", 2, 0)]
    assert "something else" in rows[1].note
    assert rows[2].note == "third is not installed"
    assert [row.beside for row in compared(like, Side(call=int), [], rounds=1)] == [""]


def test_the_ceiling_counts_two_operations_for_each_multiply_add(monkeypatch):
    from fullclip.train import speed

    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    assert speed.product_flops(torch.device("cpu"), torch.float32, side=64, seconds=5.0) == 2 * 64**3
