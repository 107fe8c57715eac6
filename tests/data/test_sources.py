import csv
import json
from pathlib import Path

import pytest

from fullclip.core.types import Pair
from fullclip.data.drops import DroppedError, Drops
from fullclip.data.sources import read_source
from pairs import make_pairs, make_shards, picture, write_tar

ROWS = [("images/cat.png", "a cat"), ("images/dog.jpg", "a dog, asleep"), ("images/dog.jpg", 'a "dog"\non two lines')]


@pytest.fixture
def folder(tmp_path):
    """A folder with images/cat.png and images/dog.jpg."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "cat.png").write_bytes(picture(0))
    (tmp_path / "images" / "dog.jpg").write_bytes(picture(1, kind="JPEG"))
    return tmp_path


def expected(folder, **meta):
    """What ROWS mean: two rows of one image are one pair with two captions."""
    cat, dog = ((folder / "images" / name).read_bytes() for name in ("cat.png", "dog.jpg"))
    return [
        Pair(key="images-cat", image=cat, texts=("a cat",), meta=meta),
        Pair(key="images-dog", image=dog, texts=("a dog, asleep", 'a "dog"\non two lines'), meta=meta),
    ]


def write_table(path, rows, columns=("image", "caption")):
    """The rows as the kind of table that the path's ending names."""
    if path.suffix == ".parquet":
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist([dict(zip(columns, row, strict=False)) for row in rows]), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(dict(zip(columns, row, strict=False))) for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows([columns, *rows])
    return str(path)


def read(path):
    drops = Drops()
    return list(read_source(str(path), drops)), drops


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("name", ["captions", "metadata", "anything"])
def test_a_table(folder, name, ending):
    table = write_table(folder / f"{name}{ending}", ROWS)
    assert read(table) == (expected(folder), Drops())
    if name != "anything":
        assert read(folder) == (expected(folder), Drops())


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_other_columns_become_metadata(folder, ending):
    table = write_table(folder / f"t{ending}", [(*row, "free") for row in ROWS], ("image", "caption", "licence"))
    assert read(table) == (expected(folder, licence="free"), Drops())


@pytest.mark.parametrize(
    "columns", [("filepath", "title"), ("file_name", "text"), ("path", "captions"), ("image_path", "caption")]
)
def test_the_usual_names_of_columns(folder, columns):
    assert read(write_table(folder / "t.csv", ROWS, columns)) == (expected(folder), Drops())


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_list_of_captions(folder, ending):
    rows = [("images/cat.png", ["a cat"]), ("images/dog.jpg", [text for _, text in ROWS[1:]])]
    assert read(write_table(folder / f"t{ending}", rows)) == (expected(folder), Drops())


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_a_byte_order_mark_is_not_part_of_the_table(folder, ending):
    table = folder / f"t{ending}"
    write_table(table, ROWS)
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert read(table) == (expected(folder), Drops())


def test_rows_that_give_no_pair_are_dropped_by_reason_and_the_others_stay(folder):
    (folder / "notes.png").write_text("no image")
    rows = [
        ROWS[0],
        ("missing.png", "x"),
        ("images", "a folder"),
        (".", "a folder"),
        ("a\0b.png", "no file can have this name"),
        ("x" * 300, "nor this one"),
        ("notes.png", "x"),
        ("images/dog.jpg", ""),
        ("", "no image"),
        *ROWS[1:],
    ]
    found, drops = read(write_table(folder / "t.jsonl", rows))
    assert [pair.texts for pair in found] == [("a cat",), tuple(text for _, text in ROWS[1:])]
    assert drops.counts == {"unreadable image file": 5, "not an image": 1, "row without image": 1}
    assert drops.examples["not an image"] == [str(folder / "notes.png")]
    assert drops.examples["unreadable image file"][0] == f"{folder / 'missing.png'} (No such file or directory)"
    with pytest.raises(DroppedError, match=r"missing\.png"):
        list(read_source(str(folder / "t.jsonl"), Drops(strict=True)))


def test_an_image_with_empty_captions_only_is_dropped(folder):
    found, drops = read(write_table(folder / "t.csv", [("images/cat.png", " "), ROWS[1]]))
    assert [pair.key for pair in found] == ["images-dog"]
    assert drops.report() == {"image without text": {"count": 1, "examples": [str(folder / "images/cat.png")]}}


def test_short_and_long_csv_rows(folder):
    (folder / "t.csv").write_text("image,caption\nimages/cat.png\nimages/dog.jpg,a dog,one,too,many\n")
    found, drops = read(folder / "t.csv")
    assert found == []
    assert drops.counts == {"image without text": 1, "row with more fields than columns": 1}


def test_broken_lines_of_jsonl_are_dropped_by_number(folder):
    good = [json.dumps({"image": name, "caption": text}).encode() for name, text in ROWS]
    surrogate = b'{"image": "images/cat.png", "caption": "\\ud800"}'
    number = b'{"n": ' + b"1" * 5000 + b"}"
    lines = [good[0], b"{", b"[1]", b"", b"\xff\xfe", b"[" * 100_000, number, good[1], good[2], surrogate]
    (folder / "t.jsonl").write_bytes(b"\n".join(lines))
    found, drops = read(folder / "t.jsonl")
    assert found == expected(folder)
    assert drops.examples["broken row"] == [f"{folder / 't.jsonl'}:{line}" for line in (2, 3, 5, 6, 7)]
    assert drops.examples["broken text"] == [str(folder / "images/cat.png")]


@pytest.mark.parametrize(("columns", "missing"), [(("picture", "caption"), "images"), (("image", "words"), "captions")])
def test_a_table_without_the_columns_is_an_error_that_says_what_there_is(folder, columns, missing):
    with pytest.raises(ValueError) as error:
        read(write_table(folder / "t.csv", ROWS, columns))
    assert str(error.value).startswith(f"{folder / 't.csv'}: no column of {missing} among {list(columns)}; name it one of: ")


def test_an_image_met_again_later_is_a_pair_with_its_own_key(folder):
    found, _ = read(write_table(folder / "t.csv", [ROWS[1], ROWS[0], ROWS[1]]))
    assert [pair.key for pair in found] == ["images-dog", "images-cat", "images-dog-2"]


def test_names_become_keys_that_shards_take(folder):
    names = ["a.b/c.d.png", "a_b/c_d.png", "a_b-c_d.png", "a_b-c_d-2.png", "../out.png", "ü ä.png"]
    for name in names:
        path = folder / "images" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(0))
    (folder / "images" / "t.csv").unlink(missing_ok=True)
    found, drops = read(write_table(folder / "images" / "t.csv", [(name, "x") for name in names]))
    keys = [pair.key for pair in found]
    assert len(set(keys)) == len(names)
    assert not any(set(key) & set("./\\") for key in keys)
    assert not drops.counts
    shards = make_shards(folder / "shards", found)
    assert [pair.key for pair in read(folder / "shards")[0]] == keys
    assert shards


def test_sidecars_at_any_depth(tmp_path):
    for i, name in enumerate(["b.png", "deep/er/a.PNG", "deep/b.jpeg"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(i))
        path.with_suffix(".txt").write_text(f"\ufeffone {i}\n\n  two {i}  \n", encoding="utf-8")
    found, drops = read(tmp_path)
    assert [(pair.key, pair.texts) for pair in found] == [
        ("b", ("one 0", "two 0")),
        ("deep-b", ("one 2", "two 2")),
        ("deep-er-a", ("one 1", "two 1")),
    ]
    assert not drops.counts


def test_sidecars_that_give_no_pair(tmp_path):
    for name, text in (("a", None), ("b", b""), ("c", b"\xff\xfe"), ("d", b"good"), ("e", b"text")):
        (tmp_path / f"{name}.png").write_bytes(picture(0) if name != "e" else b"no image")
        if text is not None:
            (tmp_path / f"{name}.txt").write_bytes(text)
    found, drops = read(tmp_path)
    assert [pair.key for pair in found] == ["d"]
    assert drops.examples == {
        "image without text": [str(tmp_path / "a.png"), str(tmp_path / "b.png")],
        "broken text": [str(tmp_path / "c.txt")],
        "not an image": [str(tmp_path / "e.png")],
    }


def test_shards_as_a_source(tmp_path):
    pairs = make_pairs(5, captions=2)
    shards = make_shards(tmp_path, pairs, pairs_per_shard=2)
    assert read(tmp_path) == read(f"{tmp_path}/*.tar") == (pairs, Drops())
    assert read(shards[0]) == (pairs[:2], Drops())


@pytest.mark.parametrize("path", ["nowhere", "file.zip", "nowhere/"])
def test_what_is_no_source_is_an_error_that_names_it(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    Path("file.zip").touch()
    with pytest.raises(ValueError, match=f"^{path}: neither a folder"):
        read_source(path, Drops())


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no images, tables or shards"):
        read(tmp_path)


def test_shards_that_count_their_keys_alike_are_merged(tmp_path):
    for name in ("one", "two"):
        write_tar(tmp_path / f"{name}.tar", [("0.png", picture(0)), ("0.txt", name.encode())])
    pairs = list(read_source(str(tmp_path), Drops()))
    assert [(pair.key, pair.texts) for pair in pairs] == [("0", ("one",)), ("0-2", ("two",))]


def test_a_quote_that_is_never_closed_is_an_error(tmp_path):
    """Read leniently it would swallow the rows behind it."""
    (tmp_path / "pairs.csv").write_text('image,caption\na.png,"big\nb.png,small\n')
    with pytest.raises(ValueError, match=r"pairs\.csv: not a whole table"):
        list(read_source(str(tmp_path / "pairs.csv"), Drops()))


def test_a_caption_with_an_unquoted_comma_is_not_cut(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(0))
    (tmp_path / "pairs.csv").write_text("image,caption\na.png,hello, world\n")
    drops = Drops()
    assert list(read_source(str(tmp_path / "pairs.csv"), drops)) == []
    assert drops.counts == {"row with more fields than columns": 1}
