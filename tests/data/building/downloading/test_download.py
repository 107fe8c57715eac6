import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fullclip.data.building.downloading.download import download, pieces
from fullclip.data.building.downloading.fetch import Rules
from fullclip.data.building.downloading.partition import Pace
from fullclip.data.building.engine import Pool
from fullclip.data.building.rows import partitions, write_table
from fullclip.data.building.stage import told
from misbehaving import Server, body, picture, raw, redirect, status

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(folder, columns, *, part=0):
    """A part of a stage's folder."""
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    with (folder / f"parts/{part:06d}.parquet").open("wb") as file:
        write_table(pa.table(columns), file)
    return str(folder)


def columns_for(urls, *, start=0):
    keys = [f"{start + number:05d}-a" for number in range(len(urls))]
    return {"key": keys, "url": urls, "text": [f"text {key}" for key in keys]}


def run(source, out, *, rows=1000, pace=None, engine=None, **options):
    rules = Rules(**{"user_agent": "fullclip/1.0", "allow_private": True, "timeout": 5.0, **options})
    works = pieces([str(source)], rows=rows)
    return download(works, out=str(out), rules=rules, pace=pace or Pace(), engine=engine or Pool(1))


def rows_of(out, folder="parts"):
    return [row for path in sorted((Path(out) / folder).iterdir()) for row in pq.read_table(path).to_pylist()]


def files(out):
    """{name: bytes} of all that is left."""
    found = {str(path.relative_to(out)): path.read_bytes() for path in sorted(Path(out).rglob("*")) if path.is_file()}
    return {name: content for name, content in found.items() if name != ".lock"}


def pictures(number):
    return {f"/{one}.jpg": picture(one, size=(80 + one, 70)) for one in range(number)}


def test_rows_get_their_pictures_in_their_order(tmp_path):
    found = pictures(30)
    late = {path: body(content, seconds=0.03 * (number % 3)) for number, (path, content) in enumerate(found.items())}
    with Server(late | {"/moved": redirect("/3.jpg"), "/page": body(b"<html>")}) as server:
        paths = [*list(found)[:10], "/none", "/page", *list(found)[10:], "/moved"]
        columns = columns_for([server.url(path) for path in paths]) | {"width": [7] * len(paths), "alt": ["x"] * len(paths)}
        report = run(write(tmp_path / "in", columns), tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    expected = [path for path in paths if path not in ("/none", "/page")]
    assert [row["url"] for row in rows] == [server.url(path) for path in expected]
    for path, row in zip(expected, rows, strict=True):
        content = found.get(path, found["/3.jpg"])
        assert row["image"] == content
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert (row["width"], row["height"]) == (80 + list(found.values()).index(content), 70)
        assert (row["format"], row["declared_width"], row["alt"], row["text"]) == ("jpg", 7, "x", f"text {row['key']}")
    assert rows_of(tmp_path / "out", "failed") == [
        {"key": "00010-a", "url": server.url("/none"), "reason": "404", "detail": ""},
        {"key": "00011-a", "url": server.url("/page"), "reason": "not an image", "detail": ""},
    ]
    assert (report.num_in, report.num_out) == (33, 31)
    assert {one.reason: (one.count, one.examples) for one in report.dropped} == {
        "404": (1, (f"00010-a {server.url('/none')}",)),
        "not an image": (1, (f"00011-a {server.url('/page')}",)),
    }
    assert report.counts == {"image_bytes": sum(len(row["image"]) for row in rows), "repeated_urls": 0}
    assert not (tmp_path / "out/fetched").exists()


def test_a_url_of_several_rows_is_asked_for_once(tmp_path):
    with Server({"/a": body(picture(1)), "/b": status(404)}) as server:
        urls = [server.url(path) for path in ("/a", "/b", "/a#top", "/a", "/b")] + [f"  {server.url('/a')} "]
        report = run(write(tmp_path / "in", columns_for(urls)), tmp_path / "out")
        assert server.asked == {"/robots.txt": 1, "/a": 1, "/b": 1}
    assert [row["key"] for row in rows_of(tmp_path / "out")] == ["00000-a", "00002-a", "00003-a", "00005-a"]
    assert {row["image"] for row in rows_of(tmp_path / "out")} == {picture(1)}
    assert report.counts["repeated_urls"] == 3


def test_rows_without_anything_to_ask_for(tmp_path):
    urls = [None, "", " ", "a.jpg", "s3://bucket/a.jpg", "http://127.0.0.1/a", "http://10.0.0.1:22/", "javascript:alert(1)"]
    report = run(write(tmp_path / "in", columns_for(urls)), tmp_path / "out", allow_private=False)
    assert report.num_out == 0
    found = [row["reason"] for row in rows_of(tmp_path / "out", "failed")]
    assert found == ["no URL"] * 3 + ["local path", "bad URL", "refused address", "refused address", "bad URL"]
    assert "image" in pq.read_schema(tmp_path / "out/parts/000000.parquet").names


@pytest.mark.faults
def test_files_are_read_below_the_roots_only(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.jpg").write_bytes(picture(1))
    (inside / "link.jpg").symlink_to(outside / "a.jpg")
    (inside / "near.jpg").symlink_to(inside / "a.jpg")
    (inside / "circle.jpg").symlink_to(inside / "circle.jpg")
    (inside / "text.jpg").write_text("no picture")
    (inside / "large.jpg").write_bytes(bytes(200_000))
    os.mkfifo(inside / "pipe.jpg")
    names = ["a.jpg", "near.jpg", "link.jpg", "../outside/a.jpg", "circle.jpg", "none.jpg", "text.jpg", "large.jpg", "pipe.jpg"]
    names += ["", "\0"]
    urls = [f"{inside}/{name}" for name in names] + [str(outside / "a.jpg"), "/dev/zero", f"{inside}-other/a.jpg"]
    source = write(tmp_path / "in", columns_for(urls))
    run(source, tmp_path / "out", roots=(str(inside),), max_bytes=100_000)
    assert [row["url"] for row in rows_of(tmp_path / "out")] == urls[:2]
    reasons = [row["reason"] for row in rows_of(tmp_path / "out", "failed")]
    assert reasons == [
        *("local path", "local path", "no such file", "no such file", "not an image", "too large", "no such file"),
        *("no such file", "no such file", "local path", "local path", "local path"),
    ]
    report = run(source, tmp_path / "none")
    assert report.num_out == 0
    with pytest.raises(ValueError, match="no such folder"):
        run(source, tmp_path / "other", roots=(str(tmp_path / "missing"),))


def test_parts_of_a_stage_before_are_cut(tmp_path):
    found = pictures(25)
    with Server({path: body(content) for path, content in found.items()}) as server:
        urls = [server.url(path) for path in found]
        write(tmp_path / "in", columns_for(urls[:17]))
        write(tmp_path / "in", columns_for(urls[17:19], start=17), part=1)
        write(tmp_path / "in", columns_for(urls[19:], start=19), part=2)
        works = pieces([str(tmp_path / "in")], rows=5)
        assert [work.number for work in works] == list(range(7))
        assert [(work.start, work.end) for work in works] == [(0, 5), (5, 10), (10, 15), (15, 17), (0, 0), (0, 5), (5, 6)]
        assert len(partitions([str(tmp_path / "in")])) == 3
        run(tmp_path / "in", tmp_path / "small", rows=5)
        run(tmp_path / "in", tmp_path / "large", rows=1000)
        assert server.asked["/robots.txt"] == 2
    assert rows_of(tmp_path / "small") == rows_of(tmp_path / "large")
    assert [row["url"] for row in rows_of(tmp_path / "small")] == urls


def test_tables_of_people_s_own(tmp_path):
    with Server({"/a": body(picture(1)), "/b": body(picture(2))}) as server:
        (tmp_path / "table.csv").write_text(f"image_url,caption\n{server.url('/a')},one\n{server.url('/b')},two\n")
        run(tmp_path / "table.csv", tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert [(row["key"], row["text"], row["image"]) for row in rows] == [
        ("00000-0000000000", "one", picture(1)),
        ("00000-0000000001", "two", picture(2)),
    ]
    (tmp_path / "texts.jsonl").write_text('{"text": "one"}\n')
    with pytest.raises(ValueError, match="no column of URLs"):
        run(tmp_path / "texts.jsonl", tmp_path / "out2")
    columns = columns_for(["a"]) | {"format": ["x"], "declared_format": ["y"]}
    with pytest.raises(ValueError, match="both format and declared_format"):
        run(write(tmp_path / "both", columns), tmp_path / "out3")


def test_processes_and_pace_change_nothing(tmp_path):
    found = pictures(24)
    with Server({path: body(content) for path, content in found.items()}) as server:
        source = write(tmp_path / "in", columns_for([server.url(path) for path in (*found, "/none")]))
        run(source, tmp_path / "one", rows=7)
        engine = Pool(2)
        report = run(source, tmp_path / "two", rows=7, engine=engine, pace=Pace(concurrency=3, per_host=1, threads=2))
        engine.close()
    assert report.num_out == 24
    assert files(tmp_path / "one") == files(tmp_path / "two")


@pytest.mark.faults
def test_pictures_of_a_part_may_be_more_than_memory_would_hold(tmp_path):
    """180 MB of pictures in 90 MB; what is mapped from a file is not counted."""
    large = picture(1, size=(1000, 1000), kind="BMP")
    with Server({"*": body(large), "/robots.txt": status(404)}) as server:
        source = write(tmp_path / "in", columns_for([server.url(f"/{number}") for number in range(60)]))
        child = child_of(CHILD + WATCHED, source, tmp_path / "out", rows=1000, concurrency=4)
        assert int(child.communicate()[0]) < 90_000
    assert sum(len(row["image"]) for row in rows_of(tmp_path / "out")) == 60 * len(large)


CHILD = """
import resource, sys
from PIL import Image
import pyarrow.parquet, aiohttp, protego
from fullclip.preprocess import image
from fullclip.data.building.downloading.download import download, pieces
from fullclip.data.building.downloading.fetch import Rules
from fullclip.data.building.downloading.partition import Pace
from fullclip.data.building.engine import Pool
source, out, rows, concurrency = sys.argv[1:]
def go():
    rules = Rules(user_agent="fullclip/1.0", allow_private=True, timeout=5.0)
    pace = Pace(concurrency=int(concurrency), per_host=int(concurrency))
    download(pieces([source], rows=int(rows)), out=out, rules=rules, pace=pace, engine=Pool(1))
"""

WATCHED = """
import threading, time
def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
before, most, is_over = held(), 0, threading.Event()
def watch():
    global most
    while not is_over.wait(0.003):
        most = max(most, held())
thread = threading.Thread(target=watch)
thread.start()
go()
is_over.set()
thread.join()
print(most - before)
"""


def child_of(program, source, out, *, rows, concurrency):
    words = [sys.executable, "-c", program, str(source), str(out), str(rows), str(concurrency)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


@pytest.mark.faults
def test_killed_at_any_time_it_goes_on_asks_nothing_twice_and_ends_with_the_same_bytes(tmp_path):
    found, at_once = pictures(60), 4
    pages = {path: body(content, seconds=0.01) for path, content in found.items()}
    with Server(pages | {"/cut": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")}) as server:
        paths = [*list(found)[:30], "/none", "/none2", *list(found)[30:]]
        source = write(tmp_path / "in", columns_for([server.url(path) for path in paths]))
        run(source, tmp_path / "straight", rows=25)
        server.asked.clear()
        out = tmp_path / "killed"
        for number in (5, 28, 47):
            child = child_of(CHILD + "go()", source, out, rows=25, concurrency=at_once)
            deadline = time.monotonic() + 30
            while sum(server.asked.values()) < number and time.monotonic() < deadline:
                time.sleep(0.001)
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
            assert not (out / "report.json").exists()
        journal = next((out / "fetched").glob("*.journal"))
        journal.write_bytes(journal.read_bytes() + b"\x10\0\0\0torn")
        report = run(source, out, rows=25)
        assert server.asked["/robots.txt"] <= 1 + 3  # once, and once more where a kill came before it was written down
        again = sum(count - 1 for path, count in server.asked.items() if path != "/robots.txt")
        assert set(server.asked) == {*paths, "/robots.txt"}
        assert again <= 3 * at_once
    assert report.resumed >= 1
    assert files(out) == files(tmp_path / "straight")


def test_a_run_that_goes_on_may_have_another_pace_but_no_other_rules(tmp_path):
    with Server({"/a": body(picture(1))}) as server:
        source = write(tmp_path / "in", columns_for([server.url("/a")]))
        first = run(source, tmp_path / "out")
        again = run(source, tmp_path / "out", pace=Pace(concurrency=1))
        assert (again.resumed, told(again)) == (1, told(first))
        assert server.asked["/a"] == 1
        with pytest.raises(ValueError, match="min_side"):
            run(source, tmp_path / "out", min_side=1)


@pytest.mark.faults
def test_a_process_of_a_run_before_is_waited_for(tmp_path, capsys):
    with Server({"/a": body(picture(1))}) as server:
        source = write(tmp_path / "in", columns_for([server.url("/a")]))
        (tmp_path / "out").mkdir()
        run(source, tmp_path / "straight")
        (tmp_path / "out/fetched").mkdir()
        (tmp_path / "out/stage.json").write_bytes((tmp_path / "straight/stage.json").read_bytes())
        hold = "import filelock, sys, time; lock = filelock.FileLock(sys.argv[1]); lock.acquire()"
        hold += "; print('held', flush=True); time.sleep(0.5)"
        words = [sys.executable, "-c", hold, str(tmp_path / "out/fetched/000000.lock")]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout.readline() == "held\n"
            began = time.monotonic()
            run(source, tmp_path / "out")
    assert time.monotonic() - began >= 0.3
    assert "is still fetching" in capsys.readouterr().err
    assert files(tmp_path / "out") == files(tmp_path / "straight")


def test_a_folder_elsewhere(tmp_path):
    import fsspec

    with Server({"/a": body(picture(1)), "/b": status(404)}) as server:
        source = write(tmp_path / "in", columns_for([server.url("/a"), server.url("/b")]))
        run(source, "memory:///downloads/out")
        run(source, tmp_path / "out")
    store = fsspec.filesystem("memory")
    found = {name.removeprefix("/downloads/out/"): store.cat(name) for name in store.find("/downloads/out")}
    assert found == files(tmp_path / "out")
    assert list(Path(os.environ["FULLCLIP_CACHE"]).glob("downloads/*")) == []
