"""fullclip serve in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from served import picture, sent

# A slower model than the tiny one, so that there is something to be finished.
PROGRAM = """
import time, typer
from fullclip.inference import Encoder
from fullclip.cli.serve import serve
from fullclip.serve.model import SharedModel
rows = SharedModel._image_rows
def slow(self, pixels):
    time.sleep({seconds})
    return rows(self, pixels)
SharedModel._image_rows = slow
typer.run(serve)
"""
SECONDS = 60


class Running:
    """A process, the address that it told, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.lines, self.url = process, list[str](), ""
        self._told = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._told.wait(SECONDS), self.lines
        assert self.url, self.lines

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"at (http://\S+)", line):
                self.url = found[1]
                self._told.set()
        self._told.set()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def embed(self, seed: int) -> httpx.Response:
        body = {"model": "tiny", "input": [{"image": sent(picture(seed))}]}
        return httpx.post(f"{self.url}/v1/embeddings", json=body, timeout=SECONDS)

    def until_ready(self) -> None:
        until = time.monotonic() + SECONDS
        while True:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                assert time.monotonic() < until, self.lines
            time.sleep(0.05)


@contextmanager
def serving(*words: object, seconds: float = 0.0, environment: dict[str, str] | None = None) -> Iterator[Running]:
    """The command in a process, which is killed at the end."""
    command = [sys.executable, "-c", PROGRAM.format(seconds=seconds), "--port", "0", *map(str, words)]
    own = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=own, start_new_session=True)
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(SECONDS)
        process.stderr.close()


def children(pid: int) -> list[int]:
    """Worker processes, without multiprocessing's own tracker of resources."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if path.read_text().rpartition(")")[2].split()[1] != str(pid):
                continue
            words = (path.parent / "cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if b"spawn_main" in words:
            found.append(int(path.parent.name))
    return found
