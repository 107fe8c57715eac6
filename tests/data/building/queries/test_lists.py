"""Lists of queries: what is written is read, and people's own files in every form."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fullclip.data.building.queries.lists import MAX_CHARACTERS, Query, read_header, read_queries, write_queries
from fullclip.data.drops import Drops

TEXTS = ["dog", "new york", "it's", "Ångström", "犬"]


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / "queries.jsonl")
    write_queries(path, {"words": 7}, [Query(text=text, source="unigram", measure="count", number=3) for text in TEXTS])
    assert read_queries(path, Drops(strict=True)) == TEXTS
    assert read_header(path) == {"fullclip queries": 1, "words": 7}
    lines = (tmp_path / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[2]) == {"query": "new york", "source": "unigram", "count": 3}


@pytest.mark.parametrize("column", ["query", "text", "title"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_tables_of_peoples_own(tmp_path, ending, column):
    path = tmp_path / f"list.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({"n": range(5), column: TEXTS}), path)
    elif ending == "jsonl":
        write(path, [{"n": 1, column: text} for text in TEXTS])
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t" if ending == "tsv" else ",").writerows([["n", column], *[(1, t) for t in TEXTS]])
    assert read_queries(str(path), Drops(strict=True)) == TEXTS


def test_json_arrays(tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps([*TEXTS, 3, None, "dog"]), encoding="utf-8")
    drops = Drops()
    assert read_queries(str(path), drops) == TEXTS
    assert drops.counts == {"no text in the array": 2, "query there before": 1}
    assert drops.examples["no text in the array"] == [f"{path}[5]", f"{path}[6]"]


@pytest.mark.faults
def test_lines_that_are_no_queries_are_counted(tmp_path):
    path = tmp_path / "list.txt"
    lines = [b"\xef\xbb\xbfdog", b"", b"  ", b"\xff\xfe", b"x" * 50_000, b" cat \r", b"\xe7\x8a\xac" * MAX_CHARACTERS]
    path.write_bytes(b"\n".join([*lines, b"dog", b"y" * (MAX_CHARACTERS + 1)]))
    drops = Drops()
    assert read_queries(str(path), drops) == ["dog", "cat", "犬" * MAX_CHARACTERS]
    assert drops.report() == {
        "query of more than 1,000 characters": {"count": 2, "examples": [f"{path}:5", f"{path}:9"]},
        "invalid UTF-8": {"count": 1, "examples": [f"{path}:4"]},
        "query there before": {"count": 1, "examples": [f"{path}:8"]},
    }


@pytest.mark.faults
def test_rows_that_are_no_queries_are_counted(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text('{"query": "dog"}\n{"query": 3}\n{"que\n{"query": ""}\n{"query": "\\ud800"}\n{"text": "x"}\n')
    drops = Drops()
    assert read_queries(str(path), drops) == ["dog"]
    assert drops.counts == {
        "no text in the column of queries": 2,
        "broken row": 1,
        "empty query": 1,
        "query with half a character": 1,
    }


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"\n \n", "there is no query"),
        ("a.txt", b"\xff\n", "left out: 1 invalid UTF-8"),
        ("a.json", b"[]", "there is no query"),
        ("a.json", b"[" * 100_000, "give an array of strings"),
        ("a.json", b'{"a": 1}', "give an array of strings"),
        ("a.jsonl", b'{"fullclip queries": 1}\n', "there is no query"),
        ("a.jsonl", b'{"fullclip queries": 2}\n{"query": "dog"}\n', "this fullclip reads 1"),
        ("a.csv", b"name,other\n1,2\n", "no column of queries"),
        ("a.parquet", b"PAR1", "not a whole Parquet file"),
        ("a.md", b"dog", r"ends with \.jsonl, \.txt"),
    ],
)
def test_what_is_no_list_is_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_queries(str(tmp_path / name), Drops())


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="fullclip data queries"):
        read_queries(str(tmp_path / "no.txt"), Drops())


def test_the_header_of_another_file(tmp_path):
    with pytest.raises(ValueError, match="first line is no header"):
        read_header(write(tmp_path / "a.jsonl", [{"query": "dog"}]))
