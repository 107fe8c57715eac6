import csv
import json

import pytest

from embedded import FILES
from fullclip.data.drops import Drops
from fullclip.data.tables import columns_of, cut, ending, read_rows

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

# rows of one image stand together: 1, 2, 3, ... of them; captions with the commas, quotes and line ends of each kind
ROWS = [{"image": f"pictures/{i}.png", "caption": f'{i}, "{j}"\r\nä\n'} for i in range(12) for j in range(1 + i % 4)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a/b.CSV", ".csv"), ("a.b/c", ""), ("https://host.org/shards", ""), ("a.tar.gz", ".gz"), ("a/", "")],
)
def test_the_ending_of_a_path(path, expected):
    assert ending(path) == expected


def write(path, rows=ROWS):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=5)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, ["image", "caption"], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".parquet", ".CSV"])
@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("together", [None, "image"])
def test_runs_are_the_table_and_keep_rows_of_one_image_together(tmp_path, kind, size, together):
    table, drops = write(tmp_path / f"table{kind}"), Drops()
    whole = list(read_rows(table, drops))
    assert whole == list(enumerate(ROWS))
    runs = list(cut(table, size, together=together))
    parts = [list(read_rows(table, drops, run=run)) for run in runs]
    assert [row for part in parts for row in part] == whole
    assert all(len(part) >= size for part in parts[:-1])
    assert [part[0][0] for part in parts] == [run.first for run in runs]
    if together:
        names = [{row["image"] for _, row in part} for part in parts]
        assert sum(map(len, names)) == len(set().union(*names))
    else:
        assert all(len(part) == size for part in parts[:-1])


def test_broken_lines_keep_their_numbers(tmp_path):
    table = tmp_path / "table.jsonl"
    table.write_text('{"image": "a"}\nbroken\n\n{"image": "b"}\n[1]\n{"image": "c"}\n')
    runs = list(cut(str(table), 2, together=None))  # the broken ones count
    drops = Drops()
    assert [[number for number, _ in read_rows(str(table), drops, run=run)] for run in runs] == [[0], [3], [5]]
    assert drops.examples == {"broken row": [f"{table}:2", f"{table}:5"]}


def test_lone_carriage_returns_end_lines(tmp_path):
    table = tmp_path / "old.csv"
    table.write_bytes(b"image,caption\ra,1\rb,2\r")
    assert [row for _, row in read_rows(str(table), Drops())] == [
        {"image": "a", "caption": "1"},
        {"image": "b", "caption": "2"},
    ]
    runs = list(cut(str(table), 1, together=None))
    assert [list(read_rows(str(table), Drops(), run=run)) for run in runs] == [
        [(0, {"image": "a", "caption": "1"})],
        [(1, {"image": "b", "caption": "2"})],
    ]


def test_parquet_with_files_is_cut_between_its_groups(tmp_path):
    path = tmp_path / "files.parquet"
    pq.write_table(pa.table({"image": FILES, "label": list(range(10))}), path, row_group_size=3)
    assert columns_of(str(path)) == {"image": "bytes", "label": "values"}
    assert [(run.start, run.end) for run in cut(str(path), 4, together="image")] == [(0, 6), (6, 10)]
    [_, last] = cut(str(path), 4, together="image")
    assert list(read_rows(str(path), Drops(), run=last, columns=["label"])) == [(n, {"label": n}) for n in range(6, 10)]


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_a_table_without_rows_has_no_columns_and_no_runs(tmp_path, kind):
    table = tmp_path / f"table{kind}"
    if kind == ".parquet":
        pq.write_table(pa.table({"image": pa.array([], pa.string())}), table)
    else:
        table.write_text("image,caption\n" if kind == ".csv" else "\n")
    assert columns_of(str(table)) == {}
    assert list(cut(str(table), 4, together=None)) == []


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_a_damaged_table_is_one_line(tmp_path, kind):
    table = tmp_path / f"table{kind}"
    table.write_bytes(b'image,caption\na,"b\n' if kind == ".csv" else b"PAR1 nothing")
    with pytest.raises(ValueError, match="not a whole"):
        list(cut(str(table), 4, together=None))
