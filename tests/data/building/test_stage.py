"""A stage's folder: the same bytes whoever works and whatever happens on the way, and no other run's."""

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

import building
from building import copied, copied_at_second_try, files_of, rows_of, web_rows, write_rows
from fullclip.data.building.engine import Pool
from fullclip.data.building.rows import partitions, read_table
from fullclip.data.building.stage import read_report, run_stage, told
from fullclip.data.drops import Drops
from stores import s3_store


@pytest.fixture
def table(tmp_path) -> str:
    return str(write_rows(tmp_path / "pairs.jsonl", web_rows(230)))


def run(table: str, out, *, workers: int = 1, do=copied, rows: int = 50, **settings):
    with closing(Pool(workers)) as pool:
        return run_stage(str(out), stage="copy", settings=settings, works=partitions([table], rows=rows), do=do, engine=pool)


def test_rows_and_reasons_are_counted(table, tmp_path):
    report = run(table, tmp_path / "out")
    assert (report.num_in, report.num_out, report.num_parts, report.resumed) == (230, 207, 5, 0)
    assert [(one.reason, one.count) for one in report.dropped] == [("a tenth", 23)]
    assert report.dropped[0].examples[0] == "00000-0000000000"
    assert report.counts == {"seen": 230}
    assert read_report(str(tmp_path / "out")) == json.loads(json.dumps(told(report)))
    expected = [row for number, row in enumerate(web_rows(230)) if number % 50 % 10]
    assert [{"url": row["url"], "text": row["text"]} for row in rows_of(tmp_path / "out")] == expected


def test_one_process_and_several_write_the_same_bytes(table, tmp_path):
    run(table, tmp_path / "one")
    run(table, tmp_path / "two", workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_a_finished_folder_is_told_again_and_a_lost_part_made_again(table, tmp_path):
    first = run(table, tmp_path / "out")
    assert run(table, tmp_path / "out").resumed == 5
    whole = files_of(tmp_path / "out")
    (tmp_path / "out/parts/000002.parquet").write_bytes(b"torn")
    (tmp_path / "out/done/000004.json").write_text("{torn", encoding="utf-8")
    (tmp_path / "out/parts/.000003.parquet.partial-99").write_bytes(b"begun")
    again = run(table, tmp_path / "out")
    assert again.resumed == 3
    assert told(again) == told(first)
    assert files_of(tmp_path / "out") == whole


@pytest.mark.faults
def test_a_killed_worker_loses_nothing(table, tmp_path):
    (tmp_path / "marks").mkdir()
    dying = partial(copied_at_second_try, deadly=2, marks=str(tmp_path / "marks"))
    run(table, tmp_path / "killed", workers=2, do=dying)
    assert (tmp_path / "marks/2").exists()
    run(table, tmp_path / "straight")
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "straight")


_SLOW = """
import sys
from functools import partial
from building import copied_slowly
from fullclip.data.building.engine import Pool
from fullclip.data.building.rows import partitions
from fullclip.data.building.stage import run_stage

if __name__ == "__main__":
    do = partial(copied_slowly, seconds=0.05)
    works = partitions([sys.argv[1]], rows=10)
    run_stage(sys.argv[2], stage="copy", settings={}, works=works, do=do, engine=Pool(int(sys.argv[3])))
"""


@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_any_moment_and_gone_on_with_it_is_the_same(table, tmp_path, workers):
    script = tmp_path / "slow.py"
    script.write_text(_SLOW, encoding="utf-8")
    path = os.pathsep.join([str(Path(building.__file__).parent), *filter(None, sys.path)])
    words = [sys.executable, str(script), table, str(tmp_path / "killed"), str(workers)]
    for at_least in (1, 9):
        process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((tmp_path / "killed").glob("done/*.json"))) >= at_least:
                break
            time.sleep(0.005)
        process.kill()
        process.wait()
        time.sleep(0.2)  # its workers notice that it is gone
    assert 0 < len(list((tmp_path / "killed").glob("done/*.json"))) < 23
    run(table, tmp_path / "killed", rows=10)
    run(table, tmp_path / "straight", rows=10)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "straight")


def test_another_run_is_refused(table, tmp_path):
    run(table, tmp_path / "out", cap=3)
    with pytest.raises(ValueError, match="was begun with cap 3, and now it is 4; give another --out"):
        run(table, tmp_path / "out", cap=4)
    with pytest.raises(ValueError, match="holds what `fullclip data copy` wrote"):
        run_stage(str(tmp_path / "out"), stage="other", settings={}, works=partitions([table]), do=copied, engine=Pool(1))
    with pytest.raises(ValueError, match=r"partitions, and now there are|was begun with another input"):
        run(table, tmp_path / "out", cap=3, rows=60)
    write_rows(Path(table), web_rows(231))
    with pytest.raises(ValueError, match=r"another input: .*pairs.jsonl has changed"):
        run(table, tmp_path / "out", cap=3)


def test_a_folder_of_something_else_is_left_alone(table, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds other files, such as thesis.tex"):
        run(table, tmp_path / "out")
    with pytest.raises(ValueError, match="is a file"):
        run(table, table)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/stage.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"stage.json is damaged"):
        run(table, tmp_path / "damaged")


@pytest.mark.faults
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(table, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(OSError, match="no space left on the disk"):
            run(table, disk / "out", rows=20)
        subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
        report = run(table, disk / "out", rows=20)
        assert 0 < report.resumed < report.num_parts == 12
        run(table, tmp_path / "straight", rows=20)
        assert files_of(disk / "out") == files_of(tmp_path / "straight")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_store_is_as_good_as_a_disk(table, tmp_path):
    run(table, tmp_path / "here")
    with s3_store("built"):
        report = run(table, "s3://built/there", rows=50)
        assert report.resumed == 0
        works = partitions(["s3://built/there"])
        found = [row for work in works for row in read_table(work, Drops()).to_pylist()]
        assert run(table, "s3://built/there").resumed == 5
    assert found == rows_of(tmp_path / "here")
