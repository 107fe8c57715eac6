"""Processes that work for this one: what they leave to it, and that none outlives it."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from fullclip.core.pools import end, process_pool


def told():
    return os.getpid(), signal.getsignal(signal.SIGINT) == signal.SIG_IGN, torch.get_num_threads()


def test_a_worker_leaves_ctrl_c_and_takes_one_thread():
    pool = process_pool(1)
    number, ignores, threads = pool.submit(told).result()
    assert (number != os.getpid(), ignores, threads) == (True, True, 1)
    end(pool)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_ended_in_the_middle_nothing_is_left():
    pool = process_pool(2)
    numbers = {future.result()[0] for future in [pool.submit(told) for _ in range(8)]}
    pool.submit(time.sleep, 600)
    end(pool)
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


PARENT = """
import os, time
from fullclip.core.pools import process_pool
if __name__ == "__main__":
    print(process_pool(1).submit(os.getpid).result(), flush=True)
    time.sleep(600)
"""


@pytest.mark.faults
def test_a_worker_ends_with_a_parent_that_was_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("it still runs")
