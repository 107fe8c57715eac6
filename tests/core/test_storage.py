import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from fullclip.core.storage import atomic_file, atomic_folder, cache_folder, expand, is_folder, is_remote, open_file, sha256


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_after(action, *arguments):
    action(*arguments)
    raise RuntimeError


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sha256_is_hashlib_s(tmp_path, size):
    data = bytes(i % 251 for i in range(size))
    (tmp_path / "file").write_bytes(data)
    assert sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with atomic_file(path, "w") as file:
        file.write("größer")
        file.flush()
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "größer"
    assert names(path.parent) == ["file.txt"]


def test_a_failed_file_leaves_nothing_and_the_old_one_alone(tmp_path):
    path = tmp_path / "file"
    for before in ([], ["file"]):
        with pytest.raises(RuntimeError), atomic_file(path) as file:
            fail_after(file.write, b"half")
        assert names(tmp_path) == before
        path.write_bytes(b"old")
    assert path.read_bytes() == b"old"
    with atomic_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "folder"
    with atomic_folder(path) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("1")
        assert not path.exists()
    assert names(path.parent) == ["folder"]
    assert (path / "sub" / "file").read_text() == "1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_a_new_folder_replaces_all_of_the_old_one(tmp_path):
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with atomic_folder(path) as folder:
            (folder / name).touch()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["folder"]


def test_a_failed_folder_leaves_nothing_and_the_old_one_alone(tmp_path):
    path = tmp_path / "folder"
    for before in ([], ["folder"]):
        with pytest.raises(RuntimeError), atomic_folder(path) as folder:
            fail_after((folder / "half").touch)
        assert names(tmp_path) == before
        path.mkdir(exist_ok=True)
        (path / "old").touch()
    assert names(path) == ["old"]


def test_a_folder_that_cannot_take_its_place_gives_it_back(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    rename = os.rename

    def fail_for_the_new(source, target):
        if ".partial-" in str(source):
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_for_the_new)
    with pytest.raises(OSError, match="no"), atomic_folder(path) as folder:
        (folder / "new").touch()
    assert names(path) == ["old"]
    assert names(tmp_path) == ["folder"]


_SLOW_WRITER = """
import sys, time
from fullclip.core.storage import atomic_file, atomic_folder
with atomic_file(sys.argv[1]) as file, atomic_folder(sys.argv[2]) as folder:
    file.write(b"new" * 100_000)
    file.flush()
    (folder / "new").write_bytes(b"new" * 100_000)
    print("in the middle", flush=True)
    time.sleep(60)
"""


@pytest.mark.faults
def test_kill_in_the_middle_leaves_what_was_there(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_bytes(b"old")
    folder.mkdir()
    (folder / "old").touch()
    writer = subprocess.Popen([sys.executable, "-c", _SLOW_WRITER, file, folder], stdout=subprocess.PIPE)
    with writer:
        assert writer.stdout.readline() == b"in the middle\n"
        writer.kill()
    assert writer.returncode == -signal.SIGKILL
    assert file.read_bytes() == b"old"
    assert names(folder) == ["old"]
    with atomic_file(file) as again, atomic_folder(folder) as new:  # and the next attempt succeeds
        again.write(b"new")
        (new / "new").touch()
    assert file.read_bytes() == b"new"
    assert names(folder) == ["new"]


_TOO_MUCH = """
import sys, resource
from fullclip.core.storage import atomic_file
if limit := int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with atomic_file(sys.argv[1]) as file:
        for _ in range(100):
            file.write(b"x" * 10_000)
except OSError as error:
    print(type(error).__name__, error.errno)
"""


@pytest.mark.faults
@pytest.mark.parametrize("limit", [0, 65536], ids=["full disk", "size limit"])
def test_a_full_disk_is_an_error_and_leaves_what_was_there(tmp_path, limit):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not limit:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
        if mounted.returncode:
            pytest.skip("mounting a small disk needs root")
    try:
        (disk / "file").write_bytes(b"old")
        done = subprocess.run([sys.executable, "-c", _TOO_MUCH, disk / "file", str(limit)], capture_output=True, text=True)
        assert done.stdout.startswith("OSError"), done.stderr
        assert names(disk) == ["file"]
        assert (disk / "file").read_bytes() == b"old"
    finally:
        if not limit:
            subprocess.run(["umount", disk], check=True)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder with a.tar, b.tar and things that are no shards, which is also the working folder."""
    for name in ("b.tar", "a.tar", "index.json", "sub/c.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["."], ["a.tar", "b.tar"]),
        (["sub"], ["sub/c.tar"]),
        (["sub/"], ["sub/c.tar"]),
        (["*.tar"], ["a.tar", "b.tar"]),
        (["*"], ["a.tar", "b.tar"]),
        (["**/*.tar"], ["a.tar", "b.tar", "sub/c.tar"]),
        (["[b-z].tar"], ["b.tar"]),
        (["b.tar", "a.tar"], ["b.tar", "a.tar"]),
        (["b.tar", "*.tar", "."], ["b.tar", "a.tar"]),
        (["index.json"], ["index.json"]),
    ],
)
def test_expand(shelf, patterns, names):
    assert expand(patterns, suffix=".tar") == [str(shelf / name) for name in names]
    absolute = [str(shelf / pattern) for pattern in patterns]
    assert expand([*absolute, *patterns], suffix=".tar") == expand(patterns, suffix=".tar")


def test_a_name_with_brackets_is_a_name_where_it_exists(shelf):
    (shelf / "d[1]").mkdir()
    (shelf / "d[1]" / "x.tar").touch()
    for pattern in ("d[1]", "d[1]/x.tar"):
        assert expand([pattern], suffix=".tar") == [str(shelf / "d[1]" / "x.tar")]


@pytest.mark.parametrize("pattern", ["c.tar", "nowhere/", "x*.tar", "nowhere/*.tar"])
def test_a_pattern_without_a_file_is_an_error_that_names_it(shelf, pattern):
    with pytest.raises(ValueError) as error:
        expand(["a.tar", pattern], suffix=".tar")
    assert repr(pattern) in str(error.value)


def test_remote_files_are_found_read_and_hashed():
    memory = fsspec.filesystem("memory")
    memory.pipe({"/storage/a.tar": b"1", "/storage/b.tar": b"2", "/storage/c.txt": b"3"})
    try:
        folder, both = "memory://storage", ["memory:///storage/a.tar", "memory:///storage/b.tar"]
        assert expand([folder], suffix=".tar") == expand([f"{folder}/*.tar"], suffix=".tar") == both
        assert expand([f"{folder}/b.tar"], suffix=".tar") == both[1:]
        assert is_folder(folder)
        assert not is_folder(both[0])
        with open_file(both[1]) as file:
            assert file.read() == b"2"
        assert sha256(both[1]) == hashlib.sha256(b"2").hexdigest()
        with pytest.raises(FileNotFoundError, match="nothing"):
            open_file("memory://storage/nothing")
    finally:
        memory.rm("/storage", recursive=True)


def test_what_has_a_scheme_is_remote():
    assert [is_remote(path) for path in ("s3://a/b", "https://x", "/a/b", "a:b", "C:/x")] == [True, True, False, False, False]


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("FULLCLIP_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("FULLCLIP_CACHE")
    assert cache_folder() == Path("/b/fullclip")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert cache_folder() == Path("/c/.cache/fullclip")
