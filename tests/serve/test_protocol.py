"""Clients that take or give nothing, or everything in crumbs: they are cut off, and others do not notice."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from fullclip.serve import parts, protocol
from served import NAME, Live, app_of, few, head_of, picture, sent, told_to
from tiny import tiny_encoder

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live(app_of(encoder=tiny_encoder(), limits=few(body_bytes=1 << 20, held_bytes=2 << 20))) as server:
        yield server


def is_alive(live: Live) -> bool:
    return httpx.post(f"{live.url}/v1/embeddings", json={"model": NAME, "input": "still there"}).status_code == 200


def is_cut_off(client: socket.socket, piece: bytes) -> bool:
    """Whether the server ends the connection while more of the same is sent."""
    try:
        for _ in range(100):
            client.sendall(piece)
            time.sleep(0.02)
    except OSError:
        return True
    return False


def test_a_body_that_is_only_announced_keeps_nobody_out(live):
    waiting = [live.connect() for _ in range(4)]
    for client in waiting:
        client.sendall(head_of("/v1/embeddings", 1 << 20) + b"{")
    time.sleep(0.1)
    assert is_alive(live)
    for client in waiting:
        client.close()


def test_of_bodies_that_arrive_together_only_those_too_many_are_refused(live):
    body = json.dumps({"model": NAME, "input": "a", "user": "x" * 700_000}).encode()
    with ThreadPoolExecutor(6) as pool:

        def send(_: int) -> int:
            with live.connect() as client:  # all have a part of their bodies there before any has the rest
                client.sendall(head_of("/v1/embeddings", len(body), more="\r\nConnection: close") + body[:300_000])
                time.sleep(0.2)
                client.sendall(body[300_000:])
                return int(told_to(client).split()[1])

        statuses = list(pool.map(send, range(6)))
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 2


def test_answers_that_are_not_read_are_given_up(live, monkeypatch):
    monkeypatch.setattr(protocol, "READ_SECONDS", 0.3)
    body = json.dumps({"model": NAME, "input": ["a"] * 512}).encode()
    with socket.socket() as deaf, live.connect() as slow:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", live.port))
        deaf.settimeout(10)
        for _ in range(40):  # more than the system itself would keep
            try:
                deaf.sendall(head_of("/v1/embeddings", len(body)) + body)
            except OSError:
                break
        time.sleep(2.0)
        assert is_cut_off(deaf, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        slow.sendall(head_of("/v1/embeddings", len(body), more="\r\nConnection: close") + body)
        time.sleep(1.0)
        assert told_to(slow).endswith(b"}}")  # a short one waits in the system's buffers
    assert is_alive(live)


def test_a_body_in_chunks_of_a_byte_is_given_up(live, monkeypatch):
    monkeypatch.setattr(protocol, "WORK_SECONDS", 0.05)
    with live.connect() as client:
        client.sendall(head_of("/v1/embeddings", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        assert is_cut_off(client, b"1\r\n \r\n" * 10_000)
    assert is_alive(live)


def test_probes_may_ask_for_the_head_alone(live):
    for path in ("/", "/healthz", "/readyz", "/v1/models", "/metrics"):
        answer = httpx.head(f"{live.url}{path}")
        assert (answer.status_code, answer.content) == (200, b"")
    assert httpx.head(f"{live.url}/v1/embeddings").status_code == 405


def test_pictures_that_take_long_to_decode_hold_up_no_probe(monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(parts, "_decoded", lambda *_: go.wait(20))
    number = 1 + (os.cpu_count() or 1)
    body = {"model": NAME, "input": [{"image": sent(picture(0))}]}
    with Live(app_of(encoder=tiny_encoder())) as live, ThreadPoolExecutor(number) as pool:
        asked = [pool.submit(httpx.post, f"{live.url}/v1/embeddings", json=body, timeout=30) for _ in range(number)]
        time.sleep(0.5)
        try:
            for path in ("/readyz", "/v1/models", "/metrics"):
                assert httpx.get(f"{live.url}{path}", timeout=5).status_code == 200
        finally:
            go.set()
        for one in asked:
            one.result()
