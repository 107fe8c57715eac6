import gzip
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import pyarrow.parquet as parquet
import pytest

from crawled import ENGLISH, GERMAN, files_of, image, page, rows_in, warc, wat, write_parquet
from fullclip.data.building.collecting.collect import collect
from fullclip.data.building.collecting.pairs import COLUMNS
from fullclip.data.building.collecting.settings import Collecting, ImageRules, Limits, TextRules
from fullclip.data.building.collecting.works import IMAGES, works_of
from fullclip.data.building.engine import Pool
from fullclip.preprocess.image import IMAGE_EXTENSIONS
from stores import s3_store

ANYTHING = Collecting(language="any")


def run(tmp_path, *inputs, settings=ANYTHING, workers=1, out="out"):
    with closing(Pool(workers)) as engine:
        return collect([str(path) for path in inputs], str(tmp_path / out), engine=engine, settings=settings)


def dropped(report):
    return {one.reason: one.count for one in report.dropped}


def balanced(report):
    return report.num_in == report.num_out + sum(one.count for one in report.dropped)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "crawl.warc.gz"
    pages = [(f"http://a.org/{number}/", page(image(number, f"dog number {number} in the snow"))) for number in range(30)]
    path.write_bytes(warc(pages))
    return path


def test_the_rows_of_a_page(tmp_path):
    path = tmp_path / "a.warc.gz"
    head = "<link rel=license href='/terms'>"
    tag = image(1, "the alt of it", title="the title of it", width=640, height=480)
    figure = f"<figure>{tag}<figcaption>The caption</figcaption></figure>"
    path.write_bytes(warc([("http://a.org/page", page(figure, head=head))]))
    report = run(tmp_path, path, settings=Collecting())
    rows = rows_in(tmp_path / "out")
    assert [(row["kind"], row["text"]) for row in rows] == [
        ("alt", "the alt of it"), ("title", "the title of it"), ("caption", "The caption")
    ]  # fmt: skip
    assert {row["url"] for row in rows} == {"http://a.org/pictures/1.jpg"}
    assert [rows[0][name] for name in ("page", "width", "height", "language", "licence")] == [
        "http://a.org/page", 640, 480, "en", "http://a.org/terms"
    ]  # fmt: skip
    assert (report.num_in, report.num_out, dict(report.counts)) == (3, 3, {"images": 1, "pages": 1, "records": 1})
    assert tuple(rows[0]) == COLUMNS


def test_what_is_left_out_is_counted_once_by_reason(tmp_path):
    path = tmp_path / "a.warc.gz"
    tags = [
        image(1, "a dog in the snow"),
        image(1, "a dog in the snow"),
        image(2, "IMG_1234.jpg"),
        image(3, "a pixel", width=1, height=1),
        '<img alt="nothing here">',
        '<img src="data:image/png;base64,xx" alt="in the page">',
        image(4, ""),
        image(5, "ein kleiner Hund spielt im Schnee"),
        '<img src="x.svg" alt="a drawing of it">',
    ]
    path.write_bytes(warc([("http://a.org/", page(*tags))]))
    report = run(tmp_path, path, settings=Collecting())
    assert [row["text"] for row in rows_in(tmp_path / "out")] == ["a dog in the snow"]
    assert dropped(report) == {
        "text: repeated on the page": 1,
        "text: a file's name": 1,
        "image: a side under 64 pixels": 1,
        "image: no address": 1,
        "image: written into the page (data:)": 1,
        "image: no text": 1,
        "text: not in the language en": 1,
        "image: .svg": 1,
    }
    assert balanced(report)


def test_records_that_are_no_pages(tmp_path):
    path = tmp_path / "a.warc"
    ours = [("http://a.org/", page(image()))]
    path.write_bytes(
        warc(ours, gzip=False)
        + warc(ours, gzip=False, status="404 Not Found")
        + warc(ours, gzip=False, headers=[("Content-Type", "image/png")])
        + warc(ours, gzip=False, headers=[("X-Robots-Tag", "noai")])
        + warc([("http://a.org/", page(image(), head="<meta name=robots content=noimageai>"))], gzip=False)
    )
    report = run(tmp_path, path)
    assert report.num_out == 1
    assert dropped(report) == {
        "page: an HTTP status other than 2xx": 1,
        "page: not HTML": 1,
        "page: opted out (noai)": 1,
        "page: opted out (noimageai)": 1,
    }
    assert run(tmp_path, path, settings=Collecting(keep_opted_out=True, language="any"), out="all").num_out == 3


def test_settings(tmp_path):
    path = tmp_path / "a.warc.gz"
    pages = [
        ("http://a.org/de", page(image(1, "ein Hund im Schnee", title="a dog", width=100, height=400), text=GERMAN, lang="de")),
        ("http://a.org/en", page(image(2, "a dog in the snow"), image(3, "a cat in the snow"), text=ENGLISH)),
    ]
    path.write_bytes(warc(pages))

    def texts(name, **settings):
        run(tmp_path, path, settings=Collecting(**settings), out=name)
        return [row["text"] for row in rows_in(tmp_path / name)]

    assert texts("de", language="de", images=ImageRules(max_aspect=4.0)) == ["ein Hund im Schnee"]
    assert texts("en") == ["a dog in the snow", "a cat in the snow"]
    assert texts("title", kinds=("title",), images=ImageRules(min_side=100, max_aspect=4.0)) == ["a dog"]
    assert texts("long", texts=TextRules(min_words=9)) == []
    assert texts("one", limits=Limits(max_images=1)) == ["a dog in the snow"]
    assert texts("short", limits=Limits(max_page_bytes=100)) == []


def test_keys_are_unique_and_of_the_place_alone(tmp_path, archive):
    other = tmp_path / "below" / "crawl.warc.gz"
    other.parent.mkdir()
    other.write_bytes(archive.read_bytes())
    run(tmp_path, archive, out="one")
    run(tmp_path, archive, other, out="two")
    one, two = ([row["key"] for row in rows_in(tmp_path / name)] for name in ("one", "two"))
    assert two[:30] == one
    assert len(set(two)) == 60
    assert all(len(key) == 24 and not set(key) & set("./") for key in two)


def test_the_result_depends_on_neither_workers_nor_place(tmp_path, archive):
    table = write_parquet(
        tmp_path / "t.parquet", [{"url": f"http://a.org/{n}.jpg", "text": f"dog {n} here"} for n in range(50)]
    )
    for workers in (1, 3):
        run(tmp_path, archive, table, workers=workers, out=f"out{workers}")
    assert files_of(tmp_path / "out1") == files_of(tmp_path / "out3")


TABLE = [
    {"image_url": "http://a.org/a b.jpg", "caption": "a dog in the snow", "id": "x.1", "license": "CC0", "extra": 3},
    {"image_url": "pictures/b.jpg", "caption": "a cat in the snow", "id": "x.1", "license": None, "extra": 4},
    {"image_url": "javascript:x", "caption": "no such scheme", "id": "z", "license": None, "extra": 5},
    {"image_url": "c.jpg", "caption": "", "id": "z", "license": None, "extra": 6},
]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table(tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    if ending == "parquet":
        write_parquet(path, TABLE)
    elif ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, TABLE)))
    else:
        comma = "," if ending == "csv" else "\t"
        path.write_text(
            "\n".join(
                comma.join(str(one or "") for one in row)
                for row in [dict(zip(TABLE[0], TABLE[0], strict=True)).values(), *(row.values() for row in TABLE)]
            )
        )
    report = run(tmp_path, path)
    rows = rows_in(tmp_path / "out")
    assert [(row["url"], row["text"], row["kind"], row["licence"]) for row in rows] == [
        ("http://a.org/a%20b.jpg", "a dog in the snow", "table", "CC0"),
        (str(tmp_path / "pictures/b.jpg"), "a cat in the snow", "table", None),
    ]
    assert [(row["source_key"], str(row["extra"])) for row in rows] == [("x.1", "3"), ("x.1", "4")]
    assert len({row["key"] for row in rows}) == 2
    assert dropped(report) == {"image: an address of another scheme": 1, "image: no text": 1}
    assert balanced(report)


def test_several_texts_of_a_row_are_rows(tmp_path):
    captions = ["a dog in the snow", "a dog in the snow", "a brown dog", "x"]
    path = write_parquet(
        tmp_path / "t.parquet", [{"url": "http://a.org/1.jpg", "captions": captions, "width": 300, "height": "9"}]
    )
    assert run(tmp_path, path, out="small").num_out == 0
    path = write_parquet(tmp_path / "t.parquet", [{"url": "http://a.org/1.jpg", "captions": captions, "width": 300.0}])
    report = run(tmp_path, path)
    assert [(row["text"], row["width"]) for row in rows_in(tmp_path / "out")] == [
        ("a dog in the snow", 300),
        ("a brown dog", 300),
    ]
    assert dropped(report) == {"text: repeated on the page": 1, "text: under 5 characters": 1}


def test_an_earlier_stages_rows_keep_their_keys(tmp_path, archive):
    run(tmp_path, archive, out="first")
    report = run(tmp_path, tmp_path / "first", out="second")
    assert rows_in(tmp_path / "second") == rows_in(tmp_path / "first")
    assert balanced(report)


def test_a_table_without_addresses_is_refused(tmp_path):
    path = write_parquet(tmp_path / "t.parquet", [{"text": "a dog in the snow"}])
    with pytest.raises(ValueError, match="no column of image addresses; name it one of: url"):
        run(tmp_path, path)


@pytest.fixture
def folder(tmp_path):
    """Pages with pictures beside them, and one picture outside."""
    root = tmp_path / "site"
    (root / "sub").mkdir(parents=True)
    for name in ("a b.png", "sub/c.png", "../outside.png"):
        (root / name).write_bytes(b"x")
    (root / "index.html").write_text(page("<img src='a%20b.png' alt='a dog here'>", "<img src='gone.png' alt='a dog gone'>"))
    (root / "sub" / "more.htm").write_text(
        page(
            "<img src=c.png alt='a cat here'>",
            "<img src='../../outside.png' alt='not below'>",
            "<img src='//b.org/d.png' alt='a bird there'>",
        )
    )
    return root


def test_a_folder_of_pages(tmp_path, folder):
    report = run(tmp_path, folder)
    assert [(row["url"], row["page"]) for row in rows_in(tmp_path / "out")] == [
        (str(folder / "a b.png"), str(folder / "index.html")),
        (str(folder / "sub/c.png"), str(folder / "sub/more.htm")),
        ("http://b.org/d.png", str(folder / "sub/more.htm")),
    ]
    assert dropped(report) == {"image: not in the folder": 2}


def test_a_folder_of_pages_with_its_address(tmp_path, folder):
    run(tmp_path, folder, settings=Collecting(language="any", base="https://a.org/x/"))
    assert [row["url"] for row in rows_in(tmp_path / "out")][:2] == ["https://a.org/x/a%20b.png", "https://a.org/x/gone.png"]


def test_a_single_page(tmp_path, folder):
    run(tmp_path, folder / "index.html")
    assert [row["url"] for row in rows_in(tmp_path / "out")] == [str(folder / "a b.png")]


def test_a_folder_of_images_with_texts(tmp_path):
    root = tmp_path / "images"
    (root / "sub").mkdir(parents=True)
    for name, text in (("a.jpg", "a dog here\n\na brown dog\n"), ("sub/b.PNG", "a cat here"), ("c.webp", None), ("d.gif", "x")):
        (root / name).write_bytes(b"x")
        if text is not None:
            (root / name).with_suffix(".txt").write_text(text)
    report = run(tmp_path, root)
    found = [(row["url"], row["text"], row["kind"]) for row in rows_in(tmp_path / "out")]
    a, b = str(root / "a.jpg"), str(root / "sub" / "b.PNG")
    assert found == [(a, "a dog here", "sidecar"), (a, "a brown dog", "sidecar"), (b, "a cat here", "sidecar")]
    assert dropped(report) == {"image: no text": 1, "text: under 5 characters": 1}
    assert {ending.lstrip(".") for ending in IMAGES} == set(IMAGE_EXTENSIONS)


def test_wat_files(tmp_path):
    path = tmp_path / "a.warc.wat.gz"
    content = {"Head": {"Title": "x"}, "Links": [{"path": "IMG@/src", "url": "b.jpg", "alt": "a dog in the snow"}]}
    data = wat([("http://a.org/p/", content, {}), ("http://a.org/q/", {}, {})])
    path.write_bytes(data)
    report = run(tmp_path, path, settings=Collecting())
    assert [(row["url"], row["text"]) for row in rows_in(tmp_path / "out")] == [("http://a.org/p/b.jpg", "a dog in the snow")]
    assert dict(report.counts) == {"images": 1, "pages": 1, "records": 2}


def test_a_folder_with_several_kinds_of_files(tmp_path, archive):
    write_parquet(tmp_path / "t.parquet", [{"url": "http://a.org/1.jpg", "text": "a dog here"}])
    works = works_of([str(tmp_path), str(archive)])
    assert [(work.number, work.path.rpartition("/")[2]) for work in works] == [(0, "crawl.warc.gz"), (1, "t.parquet")]


@pytest.mark.parametrize("given", ["a.zip", "empty", "", "none.warc.gz", "*.warc"])
def test_inputs_that_are_nothing_are_refused(tmp_path, given):
    (tmp_path / "a.zip").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError):
        works_of([f"{tmp_path}/{given}" if given else ""])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Collecting(language="xx"), "--language xx"),
        (Collecting(kinds=("alt", "name")), "--kind name: not one of alt"),
        (Collecting(base="a.org"), "--base a.org"),
        (Collecting(texts=TextRules(min_words=9, max_words=3)), "at least 9 and at most 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, archive, settings, words):
    with pytest.raises(ValueError, match=words):
        run(tmp_path, archive, settings=settings)


def test_on_a_store(tmp_path, archive):
    pytest.importorskip("s3fs")
    run(tmp_path, archive)
    with s3_store("bucket"):
        import fsspec

        with fsspec.open("s3://bucket/crawl.warc.gz", "wb") as file:
            file.write(archive.read_bytes())
        with closing(Pool(1)) as engine:
            report = collect(["s3://bucket/*.warc.gz"], "s3://bucket/out", engine=engine, settings=ANYTHING)
        assert report.num_out == 30
        with fsspec.open("s3://bucket/out/parts/000000.parquet", "rb") as file:
            assert parquet.read_table(file).to_pylist() == rows_in(tmp_path / "out")


@pytest.mark.faults
def test_killed_it_goes_on_and_ends_with_the_same_bytes(tmp_path):
    for number in range(6):
        pages = [(f"http://a.org/{number}/{n}/", page(image(n, f"dog {n} in the snow"), text=ENGLISH * 20)) for n in range(150)]
        (tmp_path / f"{number}.warc.gz").write_bytes(warc(pages))
    inputs = [str(tmp_path / f"{number}.warc.gz") for number in range(6)]
    run(tmp_path, *inputs, out="straight")
    code = (
        "import sys\nfrom fullclip.data.building.collecting.collect import collect\n"
        "from fullclip.data.building.collecting.settings import Collecting\n"
        "from fullclip.data.building.engine import Pool\n"
        "collect(sys.argv[2:], sys.argv[1], engine=Pool(1), settings=Collecting(language='any'))\n"
    )
    killed = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(killed), *inputs], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(killed.glob("done/*.json"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    report = run(tmp_path, *inputs, out="killed")
    assert 2 <= report.resumed < 6
    assert files_of(killed) == files_of(tmp_path / "straight")


@pytest.mark.faults
def test_hostile_pages_are_counted_and_the_others_stay(tmp_path):
    path = tmp_path / "a.warc.gz"
    bomb = gzip.compress(b"<p>" + b"a" * 50_000_000)
    hostile = [
        ("http://a.org/nested", "<div>" * 100_000 + image(1, "deep in the page")),
        ("http://a.org/images", image(2, "many of these images") * 3000),
        ("http://a.org/bytes", bytes(range(256)) * 20 + b"<img src=x.jpg alt='after the bytes'>"),
        ("http://a.org/\u00e4", page("<img src='\x00.jpg' alt='a zero\x00 in it'>")),
        ("", page(image(3, "a page of no address"))),
    ]
    data = warc(hostile) + warc([("http://a.org/bomb", bomb)], headers=[("Content-Encoding", "gzip")])
    path.write_bytes(data + warc([("http://a.org/last", page(image(9, "the last one here")))]))
    report = run(tmp_path, path)
    texts = {row["text"] for row in rows_in(tmp_path / "out")}
    assert {"deep in the page", "many of these images", "after the bytes", "the last one here"} <= texts
    assert dropped(report)["page: the images after 1,000"] == 1
    assert dropped(report)["page: the rest after 5,242,880 bytes"] == 1
    assert balanced(report)


@pytest.mark.faults
def test_names_that_are_not_in_utf_8(tmp_path):
    """Halves of characters in JSON, broken bytes in headers and in the names of files."""
    half = {"path": "IMG@/src", "url": "data:\ud800", "alt": "half \udc00 of a letter"}
    whole = {"path": "IMG@/src", "url": "\ud800.jpg", "alt": "a dog in the snow"}
    (tmp_path / "a.wat.gz").write_bytes(wat([("http://a.org/\u00e4", {"Links": [half, whole]}, {"X-Robots-Tag": "\ud800"})]))
    data = warc([("http://a.org/PLACE", page(image()))], gzip=False)
    (tmp_path / "b.warc").write_bytes(data.replace(b"PLACE", b"\xff\xfe\x80.."))
    (tmp_path / "t.jsonl").write_text(
        '{"url": "\\ud800.svg", "text": "a dog"}\n{"url": "a\\ud800.jpg", "text": "half \\ud800 of it"}'
    )
    site = tmp_path / "site"
    site.mkdir()
    (site / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    (site / os.fsdecode(b"\xfe.html")).write_text(
        page("<img src='%FF.png' alt='a dog here'>", "<img src='http://b.org/1.jpg' alt='a dog there'>")
    )
    report = run(tmp_path, *(tmp_path / name for name in ("a.wat.gz", "b.warc", "t.jsonl", "site")))
    urls = [row["url"] for row in rows_in(tmp_path / "out")]
    assert [url.rpartition("/")[2] for url in urls] == ["%EF%BF%BD.jpg", "0.jpg", "a?.jpg", "1.jpg"]
    assert dropped(report) == {
        "image: written into the page (data:)": 1,
        "image: .svg": 1,
        "image: not in the folder": 1,
    }


@pytest.mark.faults
def test_a_torn_part_of_an_earlier_stage_is_a_clear_error(tmp_path, archive):
    run(tmp_path, archive, out="first")
    part = tmp_path / "first" / "parts" / "000000.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a whole Parquet file"):
        run(tmp_path, tmp_path / "first", out="second")
