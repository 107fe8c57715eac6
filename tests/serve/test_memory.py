"""What a server keeps of requests: nothing."""

import json
import re
from pathlib import Path

import httpx
import pytest

from embedded import write_model
from launched import serving
from served import picture, sent


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


def test_memory_stays_where_it_is(model):
    """Large bad requests and good ones, again and again: no more than twenty megabytes above the first ones."""

    def resident() -> int:
        return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())[1]) >> 10

    bad = json.dumps({"model": "tiny", "input": [{"image": sent(picture(1))[:-1] + "x" * 200_000}]}).encode()
    with serving("--model", model) as server, httpx.Client() as client:
        server.until_ready()

        def ask(number: int) -> None:
            for seed in range(number):
                client.post(f"{server.url}/v1/embeddings", content=bad, headers={"Content-Type": "application/json"})
                body = {"model": "tiny", "input": [{"image": sent(picture(seed))}, f"text {seed}"]}
                assert client.post(f"{server.url}/v1/embeddings", json=body).status_code == 200

        ask(60)
        before = resident()
        ask(150)
        assert resident() - before < 20
