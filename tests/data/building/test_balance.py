"""Balancing against its formula: the distribution, the seed, and that partitions and processes do not matter."""

from contextlib import closing

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from building import WORDS, files_of, rows_of, web_rows, write_queries, write_rows
from fullclip.data.building.balance import balance
from fullclip.data.building.draws import number_of
from fullclip.data.building.engine import Pool
from fullclip.data.building.match import match
from fullclip.data.building.rows import partitions
from fullclip.data.drops import Drops


def matched(rows, tmp_path, *, queries=WORDS, out="matched", size=500):
    table = str(write_rows(tmp_path / f"{out}.jsonl", rows))
    listed = write_queries(tmp_path / f"{out}.txt", queries)
    match(partitions([table], rows=size), queries=listed, out=str(tmp_path / out), engine=Pool(1), drops=Drops())
    return str(tmp_path / out)


def run(folder, out, *, cap, seed=0, workers=1):
    with closing(Pool(workers)) as pool:
        return balance(partitions([folder]), out=str(out), cap=cap, seed=seed, engine=pool)


def test_the_number_kept_is_the_formulas(tmp_path):
    """The chance of a row is 1 - the product over its queries of 1 - cap / max(count, cap): the sum's deviation is known."""
    folder, cap = matched(web_rows(4000, words=3), tmp_path), 60
    rows = rows_of(tmp_path / "matched")
    counts = {row["query"]: row["count"] for row in pq.read_table(f"{folder}/queries.parquet").to_pylist()}
    chances = np.array([1 - np.prod([1 - cap / max(counts[query], cap) for query in row["queries"]]) for row in rows])
    kept = [run(folder, tmp_path / f"out{seed}", cap=cap, seed=seed).num_out for seed in range(8)]
    deviation = np.sqrt((chances * (1 - chances)).sum())
    assert abs(np.mean(kept) - chances.sum()) < 4 * deviation / np.sqrt(len(kept))
    assert all(abs(number - chances.sum()) < 5 * deviation for number in kept)
    assert len(set(kept)) > 1


def test_single_queries_keep_about_the_cap_and_rare_ones_all(tmp_path):
    rows = [{"url": f"u{i}", "text": "common"} for i in range(3000)] + [{"url": f"r{i}", "text": "rare"} for i in range(40)]
    folder = matched(rows, tmp_path, queries=["common", "rare"])
    report = run(folder, tmp_path / "out", cap=300)
    texts = [row["text"] for row in rows_of(tmp_path / "out")]
    assert texts.count("rare") == 40
    assert abs(texts.count("common") - 300) < 5 * np.sqrt(300 * 0.9)
    assert report.counts["before"] == {
        "queries_without_a_text": 0,
        "queries_in_more_than_300_texts": 1,
        "share_of_matches_of_those": round(3000 / 3040, 4),
    }
    assert report.counts["matches"] == 3040
    assert report.counts["matches_after"] == len(texts)
    assert {one.reason: one.count for one in report.dropped} == {"over the cap": 3040 - len(texts)}


def test_one_rare_query_keeps_a_row_of_frequent_ones(tmp_path):
    rows = [{"url": f"u{i}", "text": "common"} for i in range(500)] + [{"url": "both", "text": "common rare"}]
    folder = matched(rows, tmp_path, queries=["common", "rare"])
    for seed in range(5):
        run(folder, tmp_path / f"out{seed}", cap=1, seed=seed)
        assert "both" in [row["url"] for row in rows_of(tmp_path / f"out{seed}")]


def test_the_same_whatever_the_partitions_the_files_and_the_processes(tmp_path):
    rows = web_rows(2000)
    whole = matched(rows, tmp_path, out="whole")
    small = matched(rows, tmp_path, out="small", size=77)
    turned = matched(rows[::-1], tmp_path, out="turned", size=300)
    run(whole, tmp_path / "a", cap=20)
    run(whole, tmp_path / "b", cap=20, workers=2)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    expected = rows_of(tmp_path / "a")
    run(small, tmp_path / "c", cap=20)
    assert rows_of(tmp_path / "c") == expected
    run(turned, tmp_path / "d", cap=20)
    assert sorted(row["url"] for row in rows_of(tmp_path / "d")) == sorted(row["url"] for row in expected)


def test_texts_without_pictures_are_drawn_one_by_one(tmp_path):
    """Equal texts are different rows: of a thousand about the cap stays, and not all or none."""
    folder = matched([{"text": "a dog"} for _ in range(1000)], tmp_path, queries=["dog"])
    assert 60 < run(folder, tmp_path / "out", cap=100).num_out < 140


def test_seeds_draw_independently(tmp_path):
    folder = matched([{"url": f"u{i}", "text": "dog"} for i in range(2000)], tmp_path, queries=["dog"])
    kept = []
    for seed in (0, 1):
        run(folder, tmp_path / f"out{seed}", cap=1000, seed=seed)
        kept.append({row["url"] for row in rows_of(tmp_path / f"out{seed}")})
    assert abs(len(kept[0] & kept[1]) - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75)


def test_draws_are_evenly_spread():
    drawn = np.array([number_of(str(number)) for number in range(10_000)], dtype=np.float64) / 2**64
    counts, _ = np.histogram(drawn, bins=20, range=(0, 1))
    assert ((counts - 500) ** 2 / 500).sum() < 50  # chi squared of 19 degrees: 43.8 in one of a thousand


def test_head_and_tail_are_drawn(tmp_path):
    run(matched(web_rows(1000), tmp_path), tmp_path / "out", cap=20)
    with Image.open(tmp_path / "out/balance.png") as picture:
        assert picture.size == (1200, 480)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20
    after = {row["query"]: row["count"] for row in pq.read_table(tmp_path / "out/queries.parquet").to_pylist()}
    names = [query for row in rows_of(tmp_path / "out") for query in row["queries"]]
    assert after == {query: names.count(query) for query in set(names)}


def test_gone_on_with_after_its_counting(tmp_path):
    folder = matched(web_rows(1000), tmp_path, size=100)
    run(folder, tmp_path / "straight", cap=20)
    run(folder, tmp_path / "out", cap=20)
    whole = files_of(tmp_path / "out")
    for name in ("before.parquet", "done/000003.json", "report.json", "balance.png"):
        (tmp_path / "out" / name).unlink()
    assert run(folder, tmp_path / "out", cap=20).resumed == 9
    assert files_of(tmp_path / "out") == whole == files_of(tmp_path / "straight")


def test_rows_that_were_not_matched(tmp_path):
    table = str(write_rows(tmp_path / "rows.jsonl", web_rows(3)))
    with pytest.raises(ValueError, match="rows without queries; match them first, with `fullclip data match`"):
        run(table, tmp_path / "out", cap=3)
    with pytest.raises(ValueError, match="the cap is 0: at least 1"):
        run(table, tmp_path / "out", cap=0)
    empty = matched([{"text": "cat"}], tmp_path, queries=["dog"])
    with pytest.raises(ValueError, match="there is no row to balance"):
        run(empty, tmp_path / "out", cap=3)
