"""Numbers as people read them."""

import pytest

from fullclip.core.types import Result
from fullclip.evaluation.report.wording import between, listed, number, p_text, percent, plain, points


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.7621), "76.2"),
        (percent(1.0), "100.0"),
        (percent(-0.0001), "0.0"),
        (points(0.021), "+2.1"),
        (points(-0.021), "−2.1"),
        (points(-0.0001), "+0.0"),
        (plain(1.2), "1.20"),
        (plain(0.00123), "0.00123"),
        (plain(1000.0), "1,000"),
        (plain(99.96), "100"),
        (plain(12.0), "12.0"),
        (plain(-0.5), "−0.500"),
        (between((0.1, 0.25)), "10.0 to 25.0"),
        (between((-0.1, 0.25), signed=True), "−10.0 to +25.0"),
        (p_text(0.0004), "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.001"),
        (p_text(0.0123), "p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.012"),
        (p_text(1.0), "p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}1.00"),
        (listed([]), ""),
        (listed(["a"]), "a"),
        (listed("abc"), "a, b and c"),
        (listed("abcdef", most=2), "a, b and 4 more"),
    ],
)
def test_numbers_and_lists(shown, expected):
    assert shown == expected


@pytest.mark.parametrize(
    ("metric", "value", "interval"),
    [
        ("accuracy", "20.0", "10.0 to 40.0"),
        ("ECE after temperature", "20.0", "10.0 to 40.0"),
        ("NLL", "0.200", "0.100 to 0.400"),
        ("shots that zero-shot equals", "0.200", "0.100 to 0.400"),
        ("accuracy, all - clean", "+20.0", "+10.0 to +40.0"),
    ],
)
def test_a_result_is_in_percent_where_it_is_a_share(metric, value, interval):
    shown = number(Result(task="t", metric=metric, value=0.2, interval=(0.1, 0.4), n=5))
    assert (shown.value, shown.interval) == (value, interval)
