"""What a client may filter by: nothing that makes gigabytes of a line."""

import pytest

from fullclip.serve.conditions import check_condition
from fullclip.serve.errors import ApiError


@pytest.mark.parametrize(
    "where",
    [
        "width >= 640 AND (height < 10 or not (path like '%it''s/(x)%'))",
        "caption IN ('a', 'repeat(x)') and date > timestamp '2020-01-01'",
        "lower(path) = 'x' and regexp_like (caption, 'a|b$')",
        '`a column` is not null and "range(" between 1 and 2',
        "cast(width as decimal(10, 2)) > 1.5 and width::bigint % 2 = 0",
        "größe > 3",
        f"width in ({', '.join(map(str, range(300)))})",
    ],
)
def test_conditions(where):
    check_condition(where)


@pytest.mark.parametrize(
    "where",
    [
        "length(repeat('x', 2000000000)) > 1",
        "array_length(RANGE (0, 1000000000)) > 1",
        "lpad\n('a', 1000000000, 'b') = 'c'",
        '"range"(0, 1000000000) is null',
        "`range` (0, 1000000000) is null",
        "range/**/(0, 1000000000) is null",
        "range--\n(0, 1000000000) is null",
        "path = E'a\\'' or length(repeat('x', 2000000000)) > 1 or path = ''",
        "$$'$$ = repeat('x', 2000000000) or path = '",
        "arrow_cast(1, 'Foo') = 1",
        "path = 'a",
        "1" + "+1" * 990 + " > 0",
        "width > 1" + " and width > 1" * 140,
        "not " * 300 + "width > 1",
    ],
)
def test_conditions_that_take_much(where):
    with pytest.raises(ApiError, match="where: ") as found:
        check_condition(where)
    assert (found.value.status, found.value.code) == (400, "invalid_value")
