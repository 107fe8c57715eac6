"""Killed at any moment, a full disk, two processes at once: what is on disk is whole, and the same command goes on."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedded import contents, write_model, write_pictures
from fullclip.core.parts import held
from fullclip.search import units
from fullclip.search.embed import embed
from fullclip.search.engines import Local
from fullclip.search.jobs import Layout, ModelChoice

pytestmark = pytest.mark.faults

# the command in a process of its own, with units of five files
_COMMAND = """
import sys
from fullclip.core.parts import held
from fullclip.search import units
units.UNIT_SIZE = 5
from fullclip.cli import main
main()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    paths = write_pictures(folder, 100)
    paths[33].write_bytes(b"no picture")
    return folder


def typed(pictures: Path, out: Path, model: str, *more: str) -> list[str]:
    given = [str(pictures), "--out", str(out), "--model", model, "--precision", "float32", "--what", "both", *more]
    return [sys.executable, "-c", _COMMAND, "embed", *given]


@pytest.mark.parametrize(("file_format", "moments"), [("parquet", (1, 5, 47)), ("npy", (24,))])
def test_killed_at_any_moment_and_gone_on_with_it_is_the_same(pictures, model, tmp_path, file_format, moments):
    """Killed when there are so many files, finished or not, which is at the beginning, within parts and between them."""
    words, environment = ("--format", file_format), {**os.environ, "OMP_NUM_THREADS": "1"}
    straight, out = tmp_path / "straight", tmp_path / "out"
    done = subprocess.run(typed(pictures, straight, model, *words), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(list((straight / "parts").iterdir())) == 20
    for at_least in moments:
        process = subprocess.Popen(typed(pictures, out, model, *words), stderr=subprocess.DEVNULL, env=environment)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if out.exists() and sum(path.is_file() for path in out.rglob("*")) > at_least:
                break
        process.kill()
        process.wait()
    before = len(list((out / "parts").glob("*.json")))
    assert 0 < before < 20
    done = subprocess.run(typed(pictures, out, model, *words), capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert f"{before} of the parts were finished before" in done.stderr
    assert contents(out) == contents(straight)


def test_a_full_disk_is_one_line_and_what_is_there_is_whole(pictures, model, tmp_path, monkeypatch):
    monkeypatch.setattr(units, "UNIT_SIZE", 10)
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    choice = ModelChoice(name=model)
    engine, layout = Local(choice), Layout(what="both")
    try:
        with pytest.raises(OSError, match="no space left on the disk; what was there before is whole"):
            embed([str(pictures)], str(disk / "out"), engine=engine, choice=choice, layout=layout)
        assert not list(disk.rglob("*partial*"))
        subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
        told = embed([str(pictures)], str(disk / "out"), engine=engine, choice=choice, layout=layout)
        assert 0 < told.resumed < told.parts == 10
        assert (told.images, told.texts) == (99, 200)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_two_processes_do_not_write_into_one_folder(pictures, model, tmp_path):
    choice = ModelChoice(name=model)
    with held(str(tmp_path / "out"), doing="embedding"), pytest.raises(ValueError, match="another process is embedding into"):
        embed([str(pictures)], str(tmp_path / "out"), engine=Local(choice), choice=choice, layout=Layout())
