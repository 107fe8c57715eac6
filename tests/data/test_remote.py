"""Shards in real stores on this machine: moto's S3 and a web server, both with their faults."""

import threading
import time
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import fsspec
import pytest
import torch

from fullclip.core import remote
from fullclip.core.distributed import World
from fullclip.core.storage import expand, file_info, is_folder, open_file, read_range, sha256
from fullclip.data.drops import Drops
from fullclip.data.groups import sidecar
from fullclip.data.loader import Loader, Plan
from fullclip.data.shards import find_shards, read_shard
from fullclip.data.survey import survey
from fullclip.data.verify import verify_shards
from fullclip.preprocess.tokenizer import Tokenizer
from pairs import make_pairs, make_shards, pixels
from stores import s3_store

TOKENIZER = Tokenizer.clip(context_length=16)
EVERYTHING = [f"{i:05d}" for i in range(20)]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(remote, "TRIES", 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """20 pairs in three shards, with tables and an index."""
    path = tmp_path_factory.mktemp("shards")
    make_shards(path, make_pairs(20), pairs_per_shard=7)
    return path


@pytest.fixture(scope="module")
def s3(folder):
    """A server of moto's, and its place for shards."""
    with s3_store("bucket") as server:
        fsspec.filesystem("s3").put(f"{folder}/", "bucket/shards/", recursive=True)
        yield server, "s3://bucket/shards"


class Handler(SimpleHTTPRequestHandler):
    """A web server of files that knows ranges, as every store does, and that can be told to fail."""

    ranges = True
    failures: list[int] = []  # noqa: RUF012
    requests: list[str] = []  # noqa: RUF012

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.requests.append(self.path)
        if self.failures:
            self.send_error(self.failures.pop())
            return
        span = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if not self.ranges or span is None or not path.is_file():
            super().do_GET()
            return
        first, _, last = span.removeprefix("bytes=").partition("-")
        data = path.read_bytes()
        if int(first) >= len(data):
            self.send_error(416)
            return
        part = data[int(first) : int(last) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(part)


@contextmanager
def serving(folder, *, port=0, **settings):
    handler = type("Served", (Handler,), {"failures": [], "requests": [], **settings})
    server = ThreadingHTTPServer(("127.0.0.1", port), lambda *arguments: handler(*arguments, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield handler, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def load(*patterns, workers=0, drops=None, batch_size=4):
    drops = Drops() if drops is None else drops
    return Loader(
        survey(patterns, drops=drops, world=World.single()),
        transform=pixels,
        tokenizer=TOKENIZER,
        plan=Plan(batch_size=batch_size, seed=0, shuffle_size=8),
        drops=drops,
        workers=workers,
    )


def keys(loader):
    return sorted(key for batch in loader.one_epoch() for key in batch.keys)


def seconds(action):
    start = time.monotonic()
    action()
    return time.monotonic() - start


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_on_s3_give_what_the_same_shards_on_disk_give(s3, folder, workers):
    _, place = s3
    theirs, ours = load(place, workers=workers), load(str(folder))
    for one, other in zip(islice(iter(theirs), 6), islice(iter(ours), 6), strict=True):
        assert (one.keys, one.position) == (other.keys, other.position)
        assert torch.equal(one.images, other.images)
    assert keys(theirs) == EVERYTHING


def test_names_on_s3(s3):
    _, place = s3
    names = [f"{place}/00000{i}.tar" for i in range(3)]
    for pattern in (place, f"{place}/", f"{place}/*.tar", place + "/{000000..000002}.tar"):
        assert find_shards([pattern]) == names
    assert expand([f"{place}/*1.tar"], suffix=".tar") == names[1:2]
    assert is_folder(place)
    with pytest.raises(ValueError, match=r"no \.tar files match 's3://bucket/none'"):
        find_shards(["s3://bucket/none"])
    assert verify_shards([place], drops=Drops()).problems == ()


def test_files_on_s3(s3, folder):
    _, place = s3
    path, data = f"{place}/000001.tar", (folder / "000001.tar").read_bytes()
    assert read_range(path, 100, 200) == data[100:200]
    assert read_range(path, len(data) - 5, len(data) + 5) == data[-5:]
    assert read_range(path, len(data) + 5, len(data) + 9) == b""
    assert file_info(path).num_bytes == len(data)
    assert sha256(path) == sha256(folder / "000001.tar")
    with open_file(path) as file:
        file.seek(-7, 2)
        assert file.read() == data[-7:]
    with pytest.raises(FileNotFoundError, match=r"^s3://bucket/none\.tar: there is no such file$"):
        open_file("s3://bucket/none.tar")


def test_shards_of_others_on_s3_are_looked_at_once(s3, folder):
    _, place = s3
    filesystem = fsspec.filesystem("s3")
    filesystem.copy(f"{place}/000000.tar", "bucket/others/a.tar")
    filesystem.pipe("bucket/others/b.tar", (folder / "000001.tar").read_bytes()[:6000])
    drops = Drops()
    found = keys(load("s3://bucket/others/*.tar", drops=drops))
    assert found[:7] == EVERYTHING[:7]
    assert set(found[7:]) < set(EVERYTHING[7:14])
    assert drops.counts["torn shard"] == 1


@pytest.mark.faults
def test_s3_away_for_a_moment_costs_nothing_and_for_good_is_one_clear_error(s3, folder, monkeypatch):
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.5)
    server, place = s3
    loader = load(place)
    straight = [batch.keys for batch in islice(iter(load(str(folder))), 40)]
    batches = iter(loader)
    assert next(batches).keys == straight[0]
    port = server.get_host_and_port()[1]
    server.stop()

    def come_back():
        time.sleep(1)
        server._port = port
        server.start()

    thread = threading.Thread(target=come_back)
    thread.start()
    assert [next(batches).keys for _ in range(30)] == straight[1:31]
    thread.join()
    server.stop()
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.1)

    def go_on():
        with pytest.raises(OSError, match=r"^s3://bucket/shards/00000\d\.tar: the store does not answer, 4 tries \([^\n]*$"):
            list(islice(batches, 100))

    assert seconds(go_on) < 15
    with pytest.raises(OSError, match="the store does not answer"):
        load(place)


@pytest.mark.parametrize("ranges", [True, False])
def test_shards_on_the_web(folder, ranges):
    with serving(folder, ranges=ranges) as (_, place):
        for pattern in (place, place + "/{000000..000002}.tar"):
            assert find_shards([pattern]) == [f"{place}/00000{i}.tar" for i in range(3)]
            assert keys(load(pattern)) == EVERYTHING
        drops = Drops()
        assert [pair.key for pair in read_shard(f"{place}/000001.tar", drops)] == EVERYTHING[7:14]
        assert keys(load(f"{place}/000001.tar", workers=1)) == EVERYTHING[7:14]
        with pytest.raises(ValueError, match=r"no \.tar files match 'http.*/none\.tar'"):
            find_shards([f"{place}/none.tar"])
        with pytest.raises(FileNotFoundError, match=r"/000003\.tar: there is no such file$"):
            load(place + "/{000002..000003}.tar")
        data = (folder / "000000.tar").read_bytes()
        assert read_range(f"{place}/000000.tar", 10, 20) == data[10:20]
        assert read_range(f"{place}/000000.tar", len(data) + 1, len(data) + 20) == b""


def test_a_web_server_s_bad_moments_pass(folder):
    with serving(folder) as (handler, place):
        handler.failures += [503, 429, 500]
        assert read_range(f"{place}/000000.tar", 0, 5) == (folder / "000000.tar").read_bytes()[:5]
        handler.requests.clear()
        handler.failures += [403] * 4
        with pytest.raises(Exception, match="403"):
            read_range(f"{place}/000000.tar", 0, 5)
        assert len(handler.requests) == 1  # another try would not help


@pytest.mark.faults
@pytest.mark.parametrize("workers", [0, 1])
def test_a_web_server_that_goes_away_is_one_clear_error_in_limited_time(folder, workers):
    with serving(folder) as (_, place):
        batches = iter(load(place, workers=workers))
        next(batches)

    def go_on():
        with pytest.raises(
            OSError, match=r"^http://127\.0\.0\.1:\d+/00000\d\.tar: the store does not answer, 4 tries \([^\n]*$"
        ):
            list(islice(batches, 100))

    assert seconds(go_on) < 20
    with pytest.raises(OSError, match="the store does not answer"):
        survey([place + "/{000000..000002}.tar"], drops=Drops(), world=World.single())


def test_the_table_beside_a_remote_shard_spares_the_look(folder, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/beside", recursive=True)
    try:
        monkeypatch.setattr("fullclip.data.groups.scan", None)
        assert keys(load("memory://beside")) == EVERYTHING
        assert memory.exists(sidecar("/beside/000000.tar"))
    finally:
        memory.rm("/beside", recursive=True)


def test_ranges_of_names(tmp_path):
    for i in range(8, 12):
        (tmp_path / f"a-{i:02d}.tar").touch()
    expected = [f"{tmp_path}/a-{i:02d}.tar" for i in range(8, 12)]
    assert expand([f"{tmp_path}/a-{{08..11}}.tar"], suffix=".tar") == expected
    with pytest.raises(ValueError, match=r"no \.tar files match '.*a-12\.tar'"):
        expand([f"{tmp_path}/a-{{08..12}}.tar"], suffix=".tar")
    with pytest.raises(ValueError, match=r"the range \{11\.\.08\} goes down"):
        expand([f"{tmp_path}/a-{{11..08}}.tar"], suffix=".tar")
    literal = tmp_path / "a-{08..11}.tar"
    literal.touch()
    assert expand([str(literal)], suffix=".tar") == [str(literal)]
    many = expand(["https://host/{0..1}/{098..101}.tar"], suffix=".tar")
    assert many[:2] == ["https://host/0/098.tar", "https://host/0/099.tar"]
    assert (len(many), many[-1]) == (8, "https://host/1/101.tar")


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_what_passes_is_tried_again_and_what_does_not_comes_at_once(monkeypatch, number):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(remote, "FIRST_PAUSE", 1.0)
    errors = [ConnectionResetError("reset"), TimeoutError(), OSError(5, "I/O error"), ConnectionRefusedError()][:number]
    left = list(errors)

    def action():
        if left:
            raise left.pop()
        return 7

    if number < 4:
        assert remote.patiently(action, "s3://a/b.tar") == 7
    else:
        with pytest.raises(
            OSError, match=r"^s3://a/b\.tar: the store does not answer, 4 tries \(ConnectionResetError: reset\)$"
        ):
            remote.patiently(action, "s3://a/b.tar")
    assert all(0.5 * 2**i <= pause <= 1.5 * 2**i for i, pause in enumerate(pauses))
    assert len(pauses) == min(number, 3)
    for error in (FileNotFoundError("x"), PermissionError("x"), ValueError("x")):
        pauses.clear()
        with pytest.raises(type(error)):
            remote.patiently(lambda error=error: (_ for _ in ()).throw(error), "s3://a/b.tar")
        assert not pauses
