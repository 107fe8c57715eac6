"""Killed at any moment, a full disk: the index opens, nothing is double, and the same command goes on."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from embedded import write_model, write_pictures
from fullclip.search.index import Index, derived
from fullclip.search.index.building import add
from fullclip.search.jobs import ModelChoice
from indexed import drawn, write_index

pytestmark = pytest.mark.faults

NUM = 60

# the command in a process of its own, with writes of four rows and segments of some
_COMMAND = """
import sys
from fullclip.search.index import building, derived
from fullclip.search.jobs import ModelChoice
building.ROWS_A_WRITE = 4
derived.SWITCH = 20
print(building.add([sys.argv[1]], sys.argv[2], choice=ModelChoice(name=sys.argv[3]), create=True).rows)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, NUM)
    return folder


def keys(index: str) -> list[str]:
    opened = Index.open(index)
    found = [hit.key for hit in opened.search(np.ones((1, opened.dim)), top=1000, fold=False)[0]]
    assert len(found) == len(opened)
    return found


def test_killed_while_it_builds_and_gone_on_with(pictures, model, tmp_path):
    """Killed when the table has so many versions, and when segments are being written; each time it opens with what it had."""
    index, environment = str(tmp_path / "index"), {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", _COMMAND, str(pictures), index, model]
    versions, nearest = Path(index, "rows.lance/_versions"), Path(index, "nearest")
    before, kills = 0, 0
    for is_there in (
        lambda: versions.exists() and len(list(versions.iterdir())) > 5,
        lambda: nearest.exists() and any(nearest.iterdir()),
    ):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not is_there():
            pass
        kills += process.poll() is None
        process.kill()
        process.wait()
        found = keys(index)
        assert len(set(found)) == len(found) >= before
        before = len(found)
    assert kills >= 1
    assert 4 <= before <= NUM
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, f"{NUM}\n"), done.stderr
    expected = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    assert sorted(keys(index)) == expected
    assert Index.open(index).stats().arranged == NUM
    assert not [path for path in nearest.iterdir() if path.name.startswith(".")]


def test_killed_between_the_table_and_its_segments_what_changed_is_seen(model, tmp_path, monkeypatch):
    """A row that changed is not the one that a segment has, whoever was killed before the segment was made anew."""
    index, choice = str(tmp_path / "index"), ModelChoice(name=model)
    folder = tmp_path / "pictures"
    paths = write_pictures(folder, 40)
    with monkeypatch.context() as patched:
        patched.setattr(derived, "SWITCH", 20)
        add([str(folder)], index, choice=choice, create=True)
    assert Index.open(index).stats().arranged == 40
    paths[0].write_bytes(paths[1].read_bytes())
    add([str(folder)], index, choice=choice)  # with the usual size of segments, so that none is made anew
    opened = Index.open(index)
    assert opened.stats().arranged == 39
    (hits,) = opened.search(opened.vector("a/002.png")[None], top=5, fold=False)
    assert {hit.key for hit in hits} == {"a/000.png", *(f"a/{i}2.png" for i in ("00", "01", "02", "03"))}  # copies of it
    assert hits[-1].score > 0.999


def test_a_full_disk_is_one_line_and_what_is_there_is_whole(pictures, model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        index, words = str(disk / "index"), [sys.executable, "-c", _COMMAND, str(pictures)]
        done = subprocess.run([*words, index, model], capture_output=True, text=True)
        assert done.returncode == 1
        assert "no space left on the disk; what was there before is whole" in done.stderr.splitlines()[-1]
        found = keys(index)
        assert 0 < len(set(found)) == len(found) < NUM
    finally:
        subprocess.run(["umount", disk], check=True)


_ARRANGE = """
import sys
import numpy as np
from fullclip.search.index import derived
from fullclip.search.index.building import held
from fullclip.search.index.mark import read_mark
from fullclip.search.index.table import Table
derived.SWITCH = 1000
with held(sys.argv[1]):
    derived.catch_up(derived.derived_folder(sys.argv[1]), read_mark(sys.argv[1]).identity, Table.open_table(sys.argv[1]))
"""


def test_a_disk_that_is_full_while_vectors_are_arranged_is_one_line(tmp_path):
    """And no signal that kills the process, as of a mapped file whose disk has no room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        path, _ = write_index(disk, drawn(6000, dim=128))
        used = sum(file.stat().st_size for file in disk.rglob("*") if file.is_file())
        command = [sys.executable, "-c", _ARRANGE, path]
        for more in (1_000_000, 1_800_000, 2_500_000):
            subprocess.run(["mount", "-o", f"remount,size={used + more}", disk], check=True)
            done = subprocess.run(command, capture_output=True, text=True)
            assert (done.returncode, "no space left on the disk" in done.stderr.splitlines()[-1]) == (1, True)
            assert (len(Index.open(path)), Index.open(path).stats().arranged) == (6000, 0)
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        assert subprocess.run(command).returncode == 0
        assert Index.open(path).stats().arranged == 6000
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
