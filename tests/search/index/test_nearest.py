"""Search in segments and in what is in none, beside all products."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from fullclip.search.index import Index, derived, segment
from fullclip.search.index.derived import catch_up, derived_folder, read_segments
from fullclip.search.index.mark import read_mark
from indexed import drawn, exact, keys, rows, write_index

NUM, TOP = 3000, 10


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Segments of few rows, of which few are looked at."""
    monkeypatch.setattr(derived, "SWITCH", 1000)
    monkeypatch.setattr(segment, "FEWEST", 200)
    monkeypatch.setattr(segment, "SHARE", 0.1)
    monkeypatch.setattr(segment, "_LOOKED_AT", segment._LOOKED_AT)


def arrange(path: str, table) -> None:
    catch_up(derived_folder(path), read_mark(path).identity, table)


def shares(index: Index, vectors: np.ndarray, queries: np.ndarray, where: str | None = None, allowed=None) -> float:
    """What share of the exact answers is found."""
    found = [set(keys(index, query, TOP, where)) & set(exact(vectors, query, TOP, allowed)) for query in queries]
    return sum(map(len, found)) / (TOP * len(queries))


def test_few_rows_are_all_looked_at(tmp_path):
    vectors = drawn(800)
    path, table = write_index(tmp_path, vectors)
    arrange(path, table)
    index = Index.open(path)
    assert (len(index), index.stats().arranged) == (800, 0)
    for query in drawn(20, seed=1):
        hits = index.search(query[None], top=TOP, fold=False)[0]
        assert [hit.key for hit in hits] == exact(vectors, query, TOP)
        expected = [float(vectors[int(hit.key[1:])].astype(np.float16).astype(np.float32) @ query) for hit in hits]
        np.testing.assert_allclose([hit.score for hit in hits], expected, atol=1e-6)


def test_many_rows_are_arranged_and_nearly_all_neighbours_found(tmp_path):
    vectors = drawn(NUM)
    path, table = write_index(tmp_path, vectors)
    arrange(path, table)
    index = Index.open(path)
    assert index.stats().arranged == NUM
    assert shares(index, vectors, drawn(50, seed=1)) > 0.9
    assert shares(index, vectors, -drawn(50, seed=2)) > 0.8  # from the other side of the sphere
    together = index.search(drawn(50, seed=1), top=TOP, fold=False)
    alone = [index.search(query[None], top=TOP, fold=False)[0] for query in drawn(50, seed=1)]
    assert [[hit.key for hit in hits] for hits in together] == [[hit.key for hit in hits] for hits in alone]


def test_it_is_not_all_that_is_looked_at(tmp_path):
    """Otherwise the test above would say nothing: with one cell to look into, neighbours are missed."""
    path, table = write_index(tmp_path, drawn(NUM))
    arrange(path, table)
    segment.FEWEST, segment.SHARE, segment._LOOKED_AT = 10, 0.001, 0
    assert shares(Index.open(path), drawn(NUM), -drawn(50, seed=2)) < 0.6


@pytest.mark.parametrize("where", ["width = 3", "width < 5", "width = 3 AND key LIKE 'k1%'", "width > 99"])
def test_filters_are_asked_first(tmp_path, where):
    vectors = drawn(NUM)
    path, table = write_index(tmp_path, vectors)
    arrange(path, table)
    allowed = {
        "width = 3": [i for i in range(NUM) if i % 10 == 3],
        "width < 5": [i for i in range(NUM) if i % 10 < 5],
        "width = 3 AND key LIKE 'k1%'": [i for i in range(NUM) if i % 10 == 3 and str(i).startswith("1")],
        "width > 99": [],
    }[where]
    index = Index.open(path)
    for _ in range(2):  # the second time from what was kept
        found = [keys(index, query, TOP, where) for query in drawn(20, seed=3)]
        assert all(len(one) == min(TOP, len(allowed)) and {int(key[1:]) for key in one} <= set(allowed) for one in found)
    if allowed:
        assert shares(index, vectors, drawn(20, seed=3), where, allowed) > 0.85


def test_rows_that_come_and_go_after_it_was_arranged(tmp_path):
    vectors = drawn(NUM + 600)
    path, table = write_index(tmp_path, vectors[:NUM])
    arrange(path, table)
    index = Index.open(path)
    table.write(rows(vectors[NUM:], first=NUM), replaces=False)
    table.delete("width = 4")
    assert len(index) == NUM  # until it looks again
    index.refresh()
    assert len(index) == NUM + 600 - (NUM + 600) // 10
    allowed = [i for i in range(NUM + 600) if i % 10 != 4]
    queries = vectors[NUM : NUM + 20]
    assert shares(index, vectors, queries, allowed=allowed) > 0.9
    assert all(keys(index, vectors[i], 1) != [f"k{i}"] for i in range(4, 200, 10))
    assert [keys(index, vectors[i], 1) for i in range(NUM, NUM + 4)] == [[f"k{i}"] for i in range(NUM, NUM + 4)]


def test_a_second_segment_and_then_one_of_all(tmp_path):
    vectors = drawn(6000)
    path, table = write_index(tmp_path, vectors[:2500])
    arrange(path, table)
    folder, identity = derived_folder(path), read_mark(path).identity
    table.write(rows(vectors[2500:3700], first=2500), replaces=False)
    arrange(path, table)
    assert [len(one) for one in read_segments(folder, identity)] == [2500, 1200]
    assert shares(Index.open(path), vectors[:3700], drawn(30, seed=1)) > 0.9
    table.delete("width < 5")
    arrange(path, table)
    assert [len(one) for one in read_segments(folder, identity)] == [1850]
    assert len(list(folder.iterdir())) == 2  # the manifest, and one segment
    left = [i for i in range(3700) if i % 10 >= 5]
    assert shares(Index.open(path), vectors[:3700], drawn(30, seed=1), allowed=left) > 0.85


@pytest.mark.parametrize("damage", ["cut", "absent", "manifest", "another"])
def test_what_is_torn_or_of_another_table_is_not_used(tmp_path, damage, capsys):
    vectors = drawn(NUM)
    path, table = write_index(tmp_path, vectors)
    arrange(path, table)
    folder = derived_folder(path)
    manifest = folder / "manifest.json"
    (name,) = (one["name"] for one in json.loads(manifest.read_text())["segments"])
    if damage == "cut":
        (folder / name / "codes.npy").write_bytes((folder / name / "codes.npy").read_bytes()[:-100])
    elif damage == "absent":
        (folder / name / "vectors.npy").unlink()
    elif damage == "manifest":
        manifest.write_text("{")
    else:
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"identity": "of another"}))
    index = Index.open(path)
    assert index.stats().arranged == 0
    assert shares(index, vectors, drawn(10, seed=1)) == 1
    assert ("is damaged and not used" in capsys.readouterr().err) == (damage in ("cut", "absent"))
    arrange(path, table)
    assert Index.open(path).stats().arranged == NUM


def test_many_threads_ask_while_rows_come(tmp_path):
    vectors = drawn(NUM)
    path, table = write_index(tmp_path, vectors[:2000])
    arrange(path, table)
    index, wrong = Index.open(path), []

    def ask(first: int) -> None:
        for i in range(first, 2000, 97):
            try:
                if keys(index, vectors[i], 3)[0] != f"k{i}":
                    wrong.append(i)
            except Exception as error:  # in a thread, where pytest sees none
                wrong.append(error)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for first in range(2000, NUM, 250):
        table.write(rows(vectors[first : first + 250], first=first), replaces=False)
        index.refresh()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(index) == NUM


def test_what_cannot_be_looked_for(tmp_path):
    path, _ = write_index(tmp_path, drawn(10))
    index = Index.open(path)
    for vector, said in [
        (np.zeros((1, 16)), "zero"),
        (np.full((1, 16), np.nan), "NaN"),
        (np.full((1, 16), np.inf), "NaN or infinite"),
        (np.ones((1, 17)), r"\[n, 16\] is needed"),
        (np.ones(16), r"\[n, 16\] is needed"),
    ]:
        with pytest.raises(ValueError, match=said):
            index.search(vector)
    for where, said in [
        ("widt > 3", "No field named widt; the columns are key, path, caption, width"),
        ("caption LIKE '", "Unterminated"),
        ("key", "boolean"),
        ("1 / (length(key) - length(key)) > 1", "Divide by zero error; the columns"),
        ("count(*) > 1", "logical expression AggregateFunction"),
        ("key = ?", "placeholder"),
        ("key = $1", "placeholder"),
        (" ", "empty"),
        ("1; DROP TABLE rows", "where '1; DROP TABLE rows'"),
    ]:
        with pytest.raises(ValueError, match=said) as raised:
            index.search(np.ones((1, 16)), where=where)
        assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="top is 0"):
        index.search(np.ones((1, 16)), top=0)
    with pytest.raises(KeyError):
        index.vector("k10")
    with pytest.raises(KeyError):
        index.thumbnail("it's")
    assert index.thumbnail("k1") is None
    np.testing.assert_allclose(index.vector("k3"), drawn(10)[3], atol=1e-3)


def test_no_index_and_a_damaged_one(tmp_path):
    with pytest.raises(ValueError, match="no index; make one with: fullclip search build"):
        Index.open(str(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()
    path, _ = write_index(tmp_path, drawn(10))
    mark = Path(path, "index.json")
    told = mark.read_text()
    mark.write_text(told.replace('"dim": 16', '"dim": 8'))
    with pytest.raises(ValueError, match=r"vectors of 16 numbers, where index\.json says 8"):
        Index.open(path)
    mark.write_text("{")
    with pytest.raises(ValueError, match=r"index.json is damaged"):
        Index.open(path)
    mark.write_text(told)
    for version in Path(path, "rows.lance", "_versions").iterdir():
        version.write_bytes(b"torn")
    with pytest.raises(OSError, match="the rows of the index cannot be read"):
        Index.open(path)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.ones((1, 16), complex), "complex128: real numbers"),
        (np.ones((1, 16), bool), "bool: real numbers"),
        (np.ones((1, 16), object), "object: real numbers"),
        (np.full((1, 16), np.longdouble("1e4000")), "NaN or infinite"),
        (np.float32(3), r"vectors are \[\]: \[n, 16\] is needed"),
        (np.ones((1, 1, 16)), r"vectors are \[1, 1, 16\]"),
        ([], r"vectors are \[0\]"),
        ([[1.0, 2.0], [3.0]], "different lengths"),
        ("a dog", "real numbers"),
        (None, "real numbers"),
        (torch.ones(1, 16, dtype=torch.complex64), "complex64 on cpu: real numbers"),
        (torch.ones(1, 16, device="meta"), "float32 on meta: real numbers"),
    ],
)
def test_what_is_no_vector_is_one_line(tmp_path, vectors, said):
    path, _ = write_index(tmp_path, drawn(10))
    with pytest.raises(ValueError, match=said) as raised:
        Index.open(path).search(vectors)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "given",
    [
        lambda query: query.astype(np.float64) * 1e300,
        lambda query: query.astype(np.float64) * 1e-300,
        lambda query: query * np.float32(1e-41),
        lambda query: np.rint(query * 1e6).astype(np.int64),
        lambda query: query.tolist(),
        lambda query: torch.from_numpy(query).requires_grad_(),
        lambda query: torch.from_numpy(query).bfloat16(),
        lambda query: torch.from_numpy(query).double() * 1e200,
        lambda query: torch.from_numpy(query).to_sparse(),
        lambda query: [torch.from_numpy(query[0])],
    ],
)
def test_vectors_of_every_kind_and_length_ask_the_same(tmp_path, given):
    path, _ = write_index(tmp_path, drawn(500))
    index, query = Index.open(path), drawn(1, seed=1)
    (expected,), (found,) = index.search(query, top=3), index.search(given(query), top=3)
    assert [hit.key for hit in found] == [hit.key for hit in expected]
    np.testing.assert_allclose([hit.score for hit in found], [hit.score for hit in expected], atol=2e-2)


@pytest.mark.parametrize("is_arranged", [False, True])
def test_of_copies_those_that_came_first(tmp_path, is_arranged):
    """However many questions come together, and wherever the copies lie."""
    vectors = drawn(NUM)
    vectors[40:2900:7] = vectors[40]
    path, table = write_index(tmp_path, vectors)
    if is_arranged:
        arrange(path, table)
    index, queries = Index.open(path), np.stack([vectors[40], *drawn(30, seed=5)])
    assert keys(index, queries[0], TOP) == [f"k{i}" for i in range(40, 40 + 7 * TOP, 7)]
    together = index.search(queries, top=200, fold=False)
    alone = [index.search(query[None], top=200, fold=False)[0] for query in queries]
    assert [[hit.key for hit in hits] for hits in together] == [[hit.key for hit in hits] for hits in alone]
    for hits in together:
        order = [(-hit.score, int(hit.key[1:])) for hit in hits]
        assert order == sorted(order)


def test_where_many_are_asked_for_more_are_looked_at(tmp_path):
    vectors = drawn(NUM)
    path, table = write_index(tmp_path, vectors)
    arrange(path, table)
    segment.FEWEST, segment.SHARE = 40, 0.001
    index, queries = Index.open(path), drawn(20, seed=1)
    found = [len(set(keys(index, query, 50)) & set(exact(vectors, query, 50))) for query in queries]
    assert sum(found) > 0.97 * 50 * len(queries)


@pytest.mark.parametrize("name", ["numbers", "offsets", "scales", "means", "order", "told_ends"])
def test_a_bit_that_turned_is_noticed(tmp_path, name, capsys):
    vectors = drawn(NUM)
    path, table = write_index(tmp_path, vectors)
    arrange(path, table)
    (damaged,) = derived_folder(path).glob(f"*/{name}.npy")
    data = bytearray(damaged.read_bytes())
    data[-5] ^= 64
    damaged.write_bytes(data)
    index = Index.open(path)
    assert (index.stats().arranged, shares(index, vectors, drawn(10, seed=1))) == (0, 1)
    assert "is damaged and not used" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["vectors.npy", "codes.npy", "told.bin"])
def test_a_bit_that_turned_in_what_is_read_row_by_row_is_mended_by_the_next_writer(tmp_path, name):
    path, table = write_index(tmp_path, drawn(NUM))
    arrange(path, table)
    (damaged,) = derived_folder(path).glob(f"*/{name}")
    data = bytearray(damaged.read_bytes())
    data[-5] ^= 64
    damaged.write_bytes(data)
    arrange(path, table)
    folder, identity = derived_folder(path), read_mark(path).identity
    assert [len(one) for one in read_segments(folder, identity, whole=True)] == [NUM]


def test_what_is_damaged_goes_also_where_too_few_are_left_to_arrange(tmp_path, capsys):
    path, table = write_index(tmp_path, drawn(1200))
    arrange(path, table)
    next(derived_folder(path).glob("*/codes.npy")).unlink()
    table.delete("width < 5")
    arrange(path, table)
    capsys.readouterr()
    assert len(Index.open(path)) == 600
    assert capsys.readouterr().err == ""


def test_rows_that_cannot_be_read_are_one_line(tmp_path):
    path, _ = write_index(tmp_path, drawn(10))
    (data,) = Path(path, "rows.lance", "data").iterdir()
    whole = data.read_bytes()
    for left in (whole[: len(whole) // 2], b"", None):
        if left is None:
            data.unlink()
        else:
            data.write_bytes(left)
        with pytest.raises(OSError, match="the rows of the index cannot be read") as raised:
            Index.open(path)
        assert "\n" not in str(raised.value)
        assert ".rs:" not in str(raised.value)
