"""The map over partitions: every item once, errors as they are, and a process that dies loses nothing."""

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import building
from fullclip.data.building.engine import Pool


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_item_once_with_its_place(workers):
    with closing(Pool(workers)) as pool:
        found = dict(pool.map(building.squared, range(20)))
        assert found == {number: number * number for number in range(20)}
        assert dict(pool.map(building.squared, [7])) == {0: 49}  # and once more
        assert dict(pool.map(building.squared, [])) == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_the_functions_own(workers):
    with closing(Pool(workers)) as pool, pytest.raises(ValueError, match="three is not wanted"):
        list(pool.map(building.failing, range(10)))


@pytest.mark.faults
def test_an_item_whose_process_always_dies_is_an_error_that_names_it():
    with (
        closing(Pool(2)) as pool,
        pytest.raises(OSError, match=r"a process died 3 times at [0-9]+ or beside it; where the memory"),
    ):
        list(pool.map(building.deadly, range(4)))


def test_who_stops_asking_stops_the_work():
    with closing(Pool(2)) as pool:
        results = pool.map(building.squared, range(1000))
        next(results)
        results.close()
        assert dict(pool.map(building.squared, [3])) == {0: 9}


_SLEEPER = """
import os, time
from fullclip.data.building.engine import Pool

def told(number):
    print(os.getpid(), flush=True)
    time.sleep(number)
    return number

if __name__ == "__main__":
    list(Pool(2).map(told, [0, 0, 600, 600, 0, 0]))
"""


@pytest.mark.faults
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "sleeper.py"
    script.write_text(_SLEEPER)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = {int(parent.stdout.readline()) for _ in range(4)}
        parent.kill()
        until = time.monotonic() + 30
        while any(_runs(worker) for worker in workers) and time.monotonic() < until:
            time.sleep(0.05)
        assert not [worker for worker in workers if _runs(worker)]


def _runs(process):
    """Whether a process is there, and no zombie that nobody has waited for."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
