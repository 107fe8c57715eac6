"""No query has many more pairs than the cap (CLIP, Radford et al. 2021, section 2.2): matched rows in, a sample of them out.

A row stays where any of its queries draws u < cap / max(count, cap), with count the texts that the query is in (MetaCLIP, Xu et
al. 2023, section 3): all rows of rare queries stay, and of a frequent one about `cap`, more where other queries keep them. The
draw is a hash of the seed, the query and the row (its url and text; its key where it has no url), so that partitions and
machines do not matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.core.folders import appeared, whole_file
from fullclip.core.logs import track
from fullclip.core.storage import open_file
from fullclip.data.building.counts import COUNTS, added, counts_table, head_and_tail, write_totals
from fullclip.data.building.curve import draw_curve
from fullclip.data.building.draws import number_of
from fullclip.data.building.engine import Engine
from fullclip.data.building.match import QUERIES
from fullclip.data.building.rows import Work, read_table, texts_of, write_table
from fullclip.data.building.stage import Done, Record, Report, run_stage
from fullclip.data.drops import Drops

CAP = 20_000
BEFORE, CURVE_NAME = "before.parquet", "balance.png"
_WHOLE = float(2**64)


@dataclass(frozen=True, kw_only=True)
class BalanceSettings:
    """What the draws depend on. out: the folder with the counts before."""

    out: str
    cap: int
    seed: int


def balance(works: Sequence[Work], *, out: str, cap: int = CAP, seed: int = 0, engine: Engine) -> Report:
    """Sample the rows of matched partitions so that no query has many more than `cap`.

    DIR/balance.png shows head and tail before and after; DIR/before.parquet and DIR/queries.parquet have the counts. ValueError
    where rows have not been matched.
    """
    if cap < 1:
        raise ValueError(f"the cap is {cap}: at least 1")
    check_matched(works)
    return run_stage(
        out,
        stage="balance",
        settings={"cap": cap, "seed": seed},
        works=works,
        do=partial(balance_part, settings=BalanceSettings(out=out, cap=cap, seed=seed)),
        engine=engine,
        prepare=partial(_count, works=works, engine=engine),
        summarize=partial(_summarize, cap=cap),
    )


def check_matched(works: Sequence[Work]) -> None:
    """ValueError where the first partition that has rows has no queries."""
    for work in works:
        table = read_table(work, Drops())
        if table.num_rows:
            if QUERIES not in table.column_names:
                raise ValueError(f"{work.path}: rows without queries; match them first, with `fullclip data match`")
            return
    raise ValueError("there is no row to balance")


def _count(out: str, *, works: Sequence[Work], engine: Engine) -> None:
    """Leave the counts before; they are there where a run goes on."""
    if appeared(f"{out}/{BEFORE}"):
        return
    counted = (table for _, table in track(engine.map(count_part, works), "counting", unit="parts", total=len(works)))
    with whole_file(f"{out}/{BEFORE}") as file:
        write_table(added(counted), file)


def count_part(work: Work) -> Any:
    """How many rows of a partition each query is in."""
    table = read_table(work, Drops(), columns=[QUERIES])
    return _counts_of(table) if table.num_rows else counts_table({})


def _counts_of(table: Any) -> Any:
    compute, arrow = require("pyarrow.compute", extra="data"), require("pyarrow", extra="data")
    found = compute.value_counts(compute.list_flatten(table[QUERIES]))
    names, counts = found.field("values"), found.field("counts").cast(arrow.int64())
    return arrow.table({"query": names, "count": counts}).sort_by("query")


@lru_cache(maxsize=1)
def _chances(settings: BalanceSettings) -> tuple[Any, np.ndarray, np.ndarray]:
    """All queries, the chance that a row is kept by each, and a number drawn for each."""
    parquet = require("pyarrow.parquet", extra="data")
    with open_file(f"{settings.out}/{BEFORE}") as file:
        counts = parquet.read_table(file, use_threads=False)
    drawn = np.array([number_of(f"{settings.seed}\0{query}") for query in counts["query"].to_pylist()], dtype=np.uint64)
    chances = settings.cap / np.maximum(counts["count"].to_numpy(), settings.cap)
    return counts["query"].combine_chunks(), chances, drawn


def balance_part(work: Work, *, settings: BalanceSettings) -> Done:
    """The rows of a partition that are drawn."""
    compute, arrow = require("pyarrow.compute", extra="data"), require("pyarrow", extra="data")
    drops, table = Drops(), read_table(work, Drops())
    if not table.num_rows:
        return Done(table=table, num_in=0, drops=drops)
    queries, chances, drawn = _chances(settings)
    lists = table[QUERIES].combine_chunks()
    places = compute.index_in(compute.list_flatten(lists), value_set=queries).to_numpy(zero_copy_only=False)
    rows = compute.list_parent_indices(lists).to_numpy()
    names = _identities(table, path=work.path)
    numbers = np.array([number_of(name) for name in names], dtype=np.uint64)
    draws = _mixed(numbers[rows] ^ drawn[places]).astype(np.float64) / _WHOLE
    kept = np.zeros(table.num_rows, dtype=bool)
    kept[rows[draws < chances[places]]] = True
    has_query = np.zeros(table.num_rows, dtype=bool)
    has_query[rows] = True
    for row in np.flatnonzero(~kept):
        drops.drop("over the cap" if has_query[row] else "no query", table["key"][int(row)].as_py())
    table_kept = table.filter(arrow.array(kept))
    return Done(table=table_kept, num_in=table.num_rows, drops=drops, beside={COUNTS: _counts_of(table_kept)})


def _identities(table: Any, *, path: str) -> list[str]:
    """What each row is drawn by."""
    keys: list[str] = table["key"].to_pylist()
    if "url" not in table.column_names or "text" not in table.column_names:
        return keys
    urls = table["url"].to_pylist()
    return [f"{url}\0{text}" if url else key for key, url, text in zip(keys, urls, texts_of(table, path=path), strict=True)]


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers that differ anywhere differ everywhere (the finalizer of SplitMix64, Steele et al. 2014)."""
    z = numbers + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


def _summarize(out: str, records: Sequence[Record], *, cap: int) -> Mapping[str, Any]:
    parquet = require("pyarrow.parquet", extra="data")
    after = write_totals(out, records)["count"].to_numpy()
    with open_file(f"{out}/{BEFORE}") as file:
        before = parquet.read_table(file, use_threads=False)["count"].to_numpy()
    with whole_file(f"{out}/{CURVE_NAME}") as file:
        draw_curve(before, after, cap=cap, file=file)
    told = {"before": head_and_tail(before, cap=cap, num_queries=len(before))}
    told["after"] = head_and_tail(after, cap=cap, num_queries=len(before))
    return {"matches": int(before.sum()), "matches_after": int(after.sum()), **told}
