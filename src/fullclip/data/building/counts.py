"""How many texts each query is in: counted by partition, added up, and told as head and tail."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.core.folders import whole_file
from fullclip.core.storage import open_file
from fullclip.data.building.rows import write_table
from fullclip.data.building.stage import Record

COUNTS, TOTALS_NAME = "counts", "queries.parquet"
_ROWS_AT_ONCE = 4_000_000


def counts_table(counts: Mapping[str, int]) -> Any:
    """Counts by query as a table of columns query and count, by query."""
    arrow = require("pyarrow", extra="data")
    names = sorted(counts)
    return arrow.table(
        {"query": arrow.array(names, arrow.string()), "count": arrow.array([counts[n] for n in names], arrow.int64())}
    )


def added(tables: Iterable[Any]) -> Any:
    """Tables of counts as one, the most frequent query first, then by its text; never more in memory than some and the sum."""
    arrow = require("pyarrow", extra="data")
    total, waiting, rows = counts_table({}), list[Any](), 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        if rows >= _ROWS_AT_ONCE:
            total, waiting, rows = _sum(arrow, [total, *waiting]), [], 0
    return _sum(arrow, [total, *waiting]).sort_by([("count", "descending"), ("query", "ascending")])


def _sum(arrow: Any, tables: Sequence[Any]) -> Any:
    whole = arrow.concat_tables(tables).group_by("query", use_threads=False).aggregate([("count", "sum")])
    return whole.rename_columns(["query", "count"])


def totals_of(out: str, records: Sequence[Record]) -> Any:
    """The sum of the counts that stand beside the parts of a stage's folder."""
    parquet = require("pyarrow.parquet", extra="data")

    def tables() -> Iterable[Any]:
        for record in records:
            for file in record.files:
                if file.name.startswith(f"{COUNTS}/"):
                    with open_file(f"{out}/{file.name}") as opened:
                        yield parquet.read_table(opened, use_threads=False)

    return added(tables())


def write_totals(out: str, records: Sequence[Record]) -> Any:
    """`totals_of`, which are also left as DIR/queries.parquet."""
    totals = totals_of(out, records)
    with whole_file(f"{out}/{TOTALS_NAME}") as file:
        write_table(totals, file)
    return totals


def head_and_tail(counts: np.ndarray, *, cap: int, num_queries: int) -> dict[str, Any]:
    """What is told of counts: queries in no text, in more than `cap`, and the share of all matches that those have."""
    over, total = counts > cap, int(counts.sum())
    return {
        "queries_without_a_text": num_queries - int((counts > 0).sum()),
        f"queries_in_more_than_{cap}_texts": int(over.sum()),
        "share_of_matches_of_those": round(float(counts[over].sum()) / total, 4) if total else 0.0,
    }
