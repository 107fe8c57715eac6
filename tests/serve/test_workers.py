"""Several workers: one is killed, all are orphaned."""

import os
import re
import signal
import time
from pathlib import Path

import httpx
import pytest

from embedded import write_model
from launched import SECONDS, children, serving


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.mark.faults
def test_a_killed_worker_is_replaced_and_numbers_are_added_up(model):
    with serving("--model", model, "--workers", "2") as server:
        server.until_ready()
        until = time.monotonic() + SECONDS
        while len(children(server.process.pid)) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        first = children(server.process.pid)
        assert server.embed(0).status_code == 200
        os.kill(first[0], signal.SIGKILL)
        alive = 0
        for seed in range(20):
            try:
                alive += server.embed(seed).status_code == 200
            except httpx.TransportError:  # the killed one had taken it
                time.sleep(0.1)
        assert alive >= 15
        while len(set(children(server.process.pid)) - set(first)) < 1:
            assert time.monotonic() < until
            time.sleep(0.1)
        text = httpx.get(f"{server.url}/metrics").text
        asked = re.search(r'^fullclip_requests_total\{.*route="/v1/embeddings",status="200"\} (\S+)$', text, flags=re.M)
        assert asked is not None
        assert float(asked[1]) >= alive
        workers = children(server.process.pid)
        server.process.terminate()
        assert server.process.wait(30) in (-signal.SIGTERM, 143)
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


@pytest.mark.faults
def test_workers_end_with_a_killed_server(model):
    with serving("--model", model, "--workers", "2") as server:
        server.until_ready()
        workers = children(server.process.pid)
        assert len(workers) == 2
        server.process.kill()
        until = time.monotonic() + SECONDS
        while any(Path(f"/proc/{pid}").exists() for pid in workers):  # or they would keep the port
            assert time.monotonic() < until
            time.sleep(0.1)
