"""fullclip serve as a process: started, asked, stopped."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from embedded import write_model
from launched import serving
from served import head_of, told_to


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_taken_is_finished_and_nothing_more_is_taken(model, number):
    with serving("--model", model, "--limit", "image_batch=1", seconds=0.4) as server, ThreadPoolExecutor(4) as pool:
        server.until_ready()
        taken = [pool.submit(server.embed, seed) for seed in range(4)]
        time.sleep(0.6)
        server.process.send_signal(number)
        time.sleep(0.3)
        with pytest.raises(httpx.ConnectError):
            server.embed(9)
        assert [one.result().status_code for one in taken] == [200] * 4
        assert server.process.wait(20) in (-number, 128 + number, 130)


@pytest.mark.faults
def test_a_client_that_never_ends_does_not_keep_the_server(model):
    with serving("--model", model, "--limit", "drain_seconds=1", "--limit", "body_seconds=50") as server:
        server.until_ready()
        with socket.create_connection(("127.0.0.1", server.port)) as endless:
            endless.sendall(head_of("/v1/embeddings", 1000) + b"{")
            time.sleep(0.3)
            began = time.monotonic()
            server.process.terminate()
            server.process.wait(15)
            assert time.monotonic() - began < 10
            assert b" 200 " not in told_to(endless)


def test_keys_of_the_environment_lock_another_host(model):
    key = "0123456789abcdef"
    with serving("--model", model, "--host", "0.0.0.0", environment={"FULLCLIP_API_KEYS": key}) as server:  # noqa: S104
        server.until_ready()
        assert server.embed(0).status_code == 401
        answer = httpx.get(f"{server.url}/v1/models", headers={"Authorization": f"Bearer {key}"})
        assert [one["id"] for one in answer.json()["data"]] == ["tiny"]
        assert model not in answer.text
        logged = "".join(server.lines)
        assert "/v1/embeddings 401" in logged
        assert key not in logged
