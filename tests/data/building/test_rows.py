"""Any input as partitions, and a partition as a table with the columns that stages know."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from building import copied, write_rows
from fullclip.data.building.engine import Pool
from fullclip.data.building.rows import partitions, read_table, table_of, texts_of
from fullclip.data.building.stage import run_stage
from fullclip.data.drops import Drops

ROWS = [{"url": f"https://example.org/{i}.jpg", "caption": f"text {i}"} for i in range(25)]


def write(path, rows=ROWS):
    if path.suffix == ".jsonl":
        return write_rows(path, rows)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(*inputs, rows=10, drops=None):
    return pa.concat_tables([read_table(work, drops or Drops()) for work in partitions(list(map(str, inputs)), rows=rows)])


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("size", [3, 10, 1000])
def test_a_table_of_any_kind_in_partitions_of_any_size(tmp_path, ending, size):
    found = read(write(tmp_path / f"table.{ending}"), rows=size)
    assert found["url"].to_pylist() == [row["url"] for row in ROWS]
    assert texts_of(found, path="a") == [row["caption"] for row in ROWS]
    assert found["key"].to_pylist() == [f"00000-{number:010d}" for number in range(25)]


def test_keys_of_ones_own_stay_and_numbers_go_on_from_file_to_file(tmp_path):
    write(tmp_path / "a.jsonl", [{"id": 7, "text": "a"}, {"id": 8, "text": "b"}])
    assert read(tmp_path / "a.jsonl")["key"].to_pylist() == ["7", "8"]
    write(tmp_path / "d.jsonl", [{"id": 7, "text": "another"}])
    assert read(tmp_path / "a.jsonl", tmp_path / "d.jsonl")["key"].to_pylist() == ["00000-7", "00000-8", "00001-7"]
    write(tmp_path / "b.jsonl", [{"text": "a"}])
    write(tmp_path / "c.jsonl", [{"text": "a"}])
    assert read(tmp_path / "b.jsonl", tmp_path / "c.jsonl")["key"].to_pylist() == ["00000-0000000000", "00001-0000000000"]


def test_texts_a_line(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffein Hund\r\n\n".encode() + b"\xff\xfe\n" + "eine Kätze\n".encode())
    drops = Drops()
    found = read(path, rows=2, drops=drops)
    assert texts_of(found, path="a") == ["ein Hund", "eine Kätze"]
    assert found["key"].to_pylist() == ["00000-0000000000", "00000-0000000003"]
    assert drops.counts == {"empty line": 1, "invalid UTF-8": 1}


def test_several_captions_and_none(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"captions": ["a", "b"]}, {"captions": None}, {"captions": []}, {"captions": ["c"]}])
    assert texts_of(read(path), path="a") == ["a\x01b", "", "", "c"]


def test_broken_lines_are_counted_and_mixed_columns_become_json(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "more": 1}\n{torn\n{"text": "b", "more": ["x"]}\n{"text": 3}\n', encoding="utf-8")
    drops = Drops()
    found = read(path, drops=drops)
    assert drops.counts == {"broken row": 1}
    assert found["more"].to_pylist() == ["1", '["x"]', None]
    assert found["text"].to_pylist() == ["a", "b", "3"]


@pytest.mark.parametrize("value", [2**70, "\ud800", {"a": [1, "b"]}])
def test_values_that_a_column_cannot_hold_are_told_as_text(value):
    found = table_of([{"x": value}, {"x": 1}])["x"].to_pylist()
    assert all(isinstance(one, str) for one in found)
    assert found[1] == "1"


def test_a_stages_parts_are_its_partitions(tmp_path):
    works = partitions([str(write(tmp_path / "a.jsonl"))], rows=10)
    run_stage(str(tmp_path / "out"), stage="copy", settings={}, works=works, do=copied, engine=Pool(1))
    found = partitions([str(tmp_path / "out")], rows=2)
    assert [work.path.rpartition("/")[2] for work in found] == ["000000.parquet", "000001.parquet", "000002.parquet"]
    assert sum(read_table(work, Drops()).num_rows for work in found) == 25 - 3


def test_inputs_that_are_not_there(tmp_path):
    for given, said in (
        (str(tmp_path / "none.jsonl"), r"no .jsonl files match"),
        (str(tmp_path), r"no .* files in this folder"),
        ("", "empty name"),
    ):
        with pytest.raises(ValueError, match=said):
            partitions([given])
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match="there is no row"):
        partitions([str(tmp_path / "empty.jsonl")])
    path = write(tmp_path / "other.jsonl", [{"number": 3}])
    with pytest.raises(
        ValueError, match=r"other.jsonl: no column of texts among \['key', 'number'\]; name it one of: text, cap"
    ):
        texts_of(read(path), path=str(path))
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(json.dumps({}).encode() * 10)
    with pytest.raises(ValueError, match="not a whole Parquet file"):
        read(torn)


def test_rows_whose_own_key_is_absent_are_named_by_file_and_row(tmp_path):
    write(tmp_path / "a.jsonl", [{"id": 7, "text": "a"}, {"id": None, "text": "b"}, {"text": "c"}, {"id": "", "text": "d"}])
    expected = ["7", "00000-0000000001", "00000-0000000002", "00000-0000000003"]
    assert read(tmp_path / "a.jsonl")["key"].to_pylist() == expected
    pq.write_table(pa.table({"key": [None, "x"], "text": ["a", "b"]}), tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet")["key"].to_pylist() == ["00000-0000000000", "x"]


def test_a_carriage_return_within_a_line_is_no_new_row(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes(b"a dog\rand a cat\r\n" * 7)
    found = read(path, rows=3)
    assert found["key"].to_pylist() == [f"00000-{number:010d}" for number in range(7)]
    assert texts_of(found, path="a") == ["a dog\rand a cat"] * 7


@pytest.mark.parametrize("values", [[1, 2], [None, None], [{"a": 1}, {"a": 2}], [[1], [2]], [b"a", b"b"]])
def test_what_is_no_text_is_an_empty_one(values):
    assert texts_of(pa.table({"text": pa.array(values)}), path="a") == ["", ""]


def test_a_csv_with_long_fields_and_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "table.csv"
    long = "word " * 40_000
    path.write_bytes(b"url,caption\n" + f"u0,{long}\n".encode() + b"u1,caf\xe9 noir\n" + "u2,café\n".encode())
    drops = Drops()
    found = [read_table(work, drops) for work in partitions([str(path)], rows=1)]
    assert [text for table in found if table.num_rows for text in texts_of(table, path="a")] == [long, "café"]
    assert drops.report() == {"invalid UTF-8": {"count": 1, "examples": [f"{path}:3"]}}
    (tmp_path / "other.csv").write_bytes("url,caption\nu0,a\n".encode("utf-16"))
    with pytest.raises(ValueError, match="not a whole table in UTF-8"):
        read(tmp_path / "other.csv")
