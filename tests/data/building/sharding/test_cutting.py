import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from fullclip.data.building.rows import write_table
from fullclip.data.building.sharding import order
from fullclip.data.building.sharding.order import Limit, cut

END = 10_240  # what may close a tar


def write_places(folder, parts):
    """Tables as `record_part` leaves them: parts of (order, length)."""
    (folder / "parts").mkdir()
    for number, rows in enumerate(parts):
        rows = sorted(rows)
        lengths = np.array([length for _, length in rows], dtype=np.int64)
        table = pa.table(
            {
                "order": pa.array([one for one, _ in rows], pa.uint64()),
                "mark": pa.array([one for one, _ in rows], pa.uint64()),
                "start": pa.array(np.cumsum(lengths) - lengths, pa.int64()),
                "length": pa.array(lengths, pa.int64()),
            }
        )
        with open(folder / "parts" / f"{number:06d}.parquet", "wb") as file:
            write_table(table, file)


def naive(parts, *, pairs=None, num_bytes=None):
    """All in order; a shard ends before the record that would be too much, and never within one order."""
    found, weight = [], 0
    for one, length in sorted(row for rows in parts for row in rows):
        size = 1 if pairs else length
        full = pairs or max(1, num_bytes - END)
        if not found or (weight + size > full and found[-1][-1] != one):
            found, weight = [*found, []], 0
        found[-1].append(one)
        weight += size
    return found


PARTS = st.lists(
    st.lists(st.tuples(st.integers(0, 2**64 - 1) | st.integers(0, 3), st.integers(1, 9)), max_size=9), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(PARTS, st.integers(1, 5), st.integers(1, 30), st.booleans())
def test_shards_are_cut_as_one_by_one_would(tmp_path_factory, parts, pairs, num_bytes, by_pairs):
    folder = tmp_path_factory.mktemp("places")
    write_places(folder, parts)
    size = {"pairs": pairs} if by_pairs else {"num_bytes": num_bytes + END}
    sizes = [len(rows) for rows in parts]
    whole = list(cut(str(folder), sizes, limit=Limit(**size), shuffled=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "ROWS_AT_ONCE", 3)
        in_passes = list(cut(str(folder), sizes, limit=Limit(**size), shuffled=True))
    expected = naive(parts, **size)
    for found in (whole, in_passes):
        assert [shard.order.tolist() for some in found for shard in some] == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [({}, "give one of them"), ({"pairs": 2, "num_bytes": 3}, "give one of them"), ({"pairs": 0}, "at least 1")],
)
def test_sizes_that_cannot_be(values, message):
    with pytest.raises(ValueError, match=message):
        Limit(**values)
