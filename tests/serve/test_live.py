"""Over the loopback: OpenAI's client, many clients at a time, slow ones, dead ones, and ones that speak no HTTP."""

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import openai
import pytest

from fullclip.serve import protocol
from served import NAME, Live, app_of, few, head_of, picture, sent, told_to, vectors_of
from tiny import tiny_encoder

BODY = json.dumps({"model": NAME, "input": "a cat"}).encode()
KEY = "k" * 24


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


@pytest.fixture(scope="module")
def live(encoder) -> Iterator[Live]:
    limits = few(body_seconds=0.5, body_bytes=1 << 20, held_bytes=2 << 20)
    with Live(app_of(encoder=encoder, limits=limits)) as server:
        yield server


def is_alive(live: Live) -> bool:
    answer = httpx.post(f"{live.url}/v1/embeddings", json={"model": NAME, "input": "still there"})
    return answer.status_code == 200


def test_openais_client_works(encoder):
    with Live(app_of(encoder=encoder, api_keys=(KEY,))) as live:
        with openai.OpenAI(base_url=f"{live.url}/v1", api_key=KEY) as client:
            expected = encoder.encode_texts(["a cat", "a dog"])
            for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
                found = client.embeddings.create(model=NAME, input=["a cat", "a dog"], **options)
                rows = [row.embedding for row in found.data]
                if options.get("encoding_format") == "base64":  # asked for by name, it comes as it is sent
                    rows = [np.frombuffer(base64.b64decode(row), dtype="<f4") for row in rows]
                np.testing.assert_allclose(np.array(rows), expected, atol=1e-6)
                assert found.usage.total_tokens > 0
            assert [one.id for one in client.models.list().data] == [NAME]
            with pytest.raises(openai.NotFoundError) as missing:
                client.embeddings.create(model="another", input="a")
            assert missing.value.code == "model_not_found"
            with pytest.raises(openai.BadRequestError):
                client.embeddings.create(model=NAME, input="a", dimensions=3)
        stranger = openai.OpenAI(base_url=f"{live.url}/v1", api_key="wrong", max_retries=0)
        with stranger, pytest.raises(openai.AuthenticationError):
            stranger.embeddings.create(model=NAME, input="a")


def test_many_clients_at_a_time_get_their_own(live, encoder):
    pictures = [picture(seed) for seed in range(24)]
    expected_images = encoder.encode_images(pictures)
    expected_texts = encoder.encode_texts([f"number {place}" for place in range(24)])

    def ask(place: int) -> np.ndarray:
        items = [{"image": sent(pictures[place])}, f"number {place}"]
        with httpx.Client() as client:
            return vectors_of(client.post(f"{live.url}/v1/embeddings", json={"model": NAME, "input": items}, timeout=30))

    with ThreadPoolExecutor(12) as pool:
        found = np.stack(list(pool.map(ask, range(24))))
    np.testing.assert_allclose(found[:, 0], expected_images, atol=1e-5)
    np.testing.assert_allclose(found[:, 1], expected_texts, atol=1e-5)
    text = httpx.get(f"{live.url}/metrics").text
    batches = {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line.startswith("fullclip_batch_size_")}
    assert batches['fullclip_batch_size_sum{kind="images"}'] == 24
    assert batches['fullclip_batch_size_count{kind="images"}'] < 24


def test_a_body_that_trickles_is_given_up(live):
    with live.connect() as slow:
        slow.sendall(head_of("/v1/embeddings", len(BODY)) + BODY[:5])
        began = time.monotonic()
        answer = told_to(slow)
        assert b" 408 " in answer.splitlines()[0]
        assert b'"slow_body"' in answer
        assert time.monotonic() - began < 5
    assert is_alive(live)


def test_a_head_that_trickles_is_given_up(live, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    for beginning in (b"", b"POST /v1/emb", b"GET / HTTP/1.1\r\nX: "):
        with live.connect() as slow:
            slow.sendall(beginning)
            assert told_to(slow) == b""
    with live.connect() as slow:  # the second request of a connection
        slow.sendall(head_of("/v1/embeddings", len(BODY)) + BODY)
        time.sleep(0.2)
        slow.sendall(b"GET / HT")
        assert told_to(slow).startswith(b"HTTP/1.1 200 ")
    assert is_alive(live)


def test_a_body_that_is_too_large_is_counted_whatever_it_says(live):
    large = b"x" * (2 << 20)
    with live.connect() as client:
        client.sendall(head_of("/v1/embeddings", len(large)) + large)
        assert b" 413 " in told_to(client).splitlines()[0]
    with live.connect() as client:  # in pieces, of no length that was told
        head = head_of("/v1/embeddings", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        client.sendall(head)
        for _ in range(32):
            client.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        assert b" 413 " in told_to(client).splitlines()[0]
    with live.connect() as client:
        client.sendall(head_of("/v1/embeddings", 10**18))
        assert b" 413 " in told_to(client).splitlines()[0]
    assert is_alive(live)


def test_bodies_that_are_held_are_bounded_together(live):
    waiting = [live.connect() for _ in range(2)]
    try:
        for client in waiting:
            client.sendall(head_of("/v1/embeddings", 1 << 20) + b" " * ((1 << 20) - 500))
        time.sleep(0.2)
        with live.connect() as third:
            third.sendall(head_of("/v1/embeddings", 2000) + b" " * 2000)
            answer = told_to(third)
        assert b" 429 " in answer.splitlines()[0]
        assert b"retry-after: 1" in answer.lower()
    finally:
        for client in waiting:
            client.close()
    until = time.monotonic() + 5
    while not is_alive(live):  # the room comes back
        assert time.monotonic() < until


GARBAGE = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "two lengths": head_of("/v1/embeddings", 5, more="\r\nContent-Length: 6") + b"12345",
    "length and chunks": head_of("/v1/embeddings", 5, more="\r\nTransfer-Encoding: chunked") + b"0\r\n\r\n",
    "a negative length": head_of("/v1/embeddings", -5),
    "bad chunks": head_of("/v1/embeddings", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"zz\r\n",
    "an endless head": b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 200_000,
    "null bytes": b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "garbage after a request": head_of("/v1/embeddings", len(BODY)) + BODY + b"\r\n\r\n\x00\xff garbage\r\n\r\n",
    "an absolute target": b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "another method": b"BREW /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
}


@pytest.mark.faults
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_answered_or_hung_up_on(live, name, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    with live.connect() as client:
        client.sendall(GARBAGE[name])
        try:
            answer = told_to(client)
        except ConnectionResetError:
            answer = b""
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
    assert all(status < 500 for status in statuses), answer
    assert name != "garbage after a request" or statuses == [200, 400]
    assert is_alive(live)


@pytest.mark.faults
def test_clients_that_die_leave_nothing_behind(live):
    for at in (0, 10, len(BODY) - 1, len(BODY)):
        for _ in range(5):
            client = live.connect()
            client.sendall(head_of("/v1/embeddings", len(BODY)) + BODY[:at])
            client.close()
    assert is_alive(live)
    until = time.monotonic() + 5
    while "fullclip_held_bytes 0.0" not in httpx.get(f"{live.url}/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.05)


class Slow:
    """A model's image tower that waits until it is let go."""

    def __init__(self, tower: object) -> None:
        self._tower, self.go, self.entered, self.calls = tower, threading.Event(), threading.Event(), 0

    def __call__(self, pixels: object) -> object:
        self.calls += 1
        self.entered.set()
        assert self.go.wait(20)
        return self._tower(pixels)


@pytest.fixture
def slow() -> Iterator[tuple[Slow, object]]:
    encoder = tiny_encoder()
    tower = Slow(encoder.model.encode_image)
    encoder.model.encode_image = tower
    yield tower, encoder
    tower.go.set()


def ask_for(live: Live, seed: int) -> httpx.Response:
    body = {"model": NAME, "input": [{"image": sent(picture(seed))}]}
    return httpx.post(f"{live.url}/v1/embeddings", json=body, timeout=30)


def test_a_full_queue_is_429_and_the_rest_is_answered(slow):
    tower, encoder = slow
    limits = few(waiting_images=3, items=3, image_batch=1)
    with Live(app_of(encoder=encoder, limits=limits)) as live, ThreadPoolExecutor(12) as pool:
        first = pool.submit(ask_for, live, 0)
        assert tower.entered.wait(10)
        others = [pool.submit(ask_for, live, seed) for seed in range(1, 11)]
        time.sleep(1.0)
        assert httpx.get(f"{live.url}/healthz").status_code == 200  # the model is busy, the server is not
        tower.go.set()
        answers = [one.result() for one in (first, *others)]
    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 4
    busy = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(busy.headers["retry-after"]) <= 60


def test_what_takes_too_long_is_504(slow):
    tower, encoder = slow
    with Live(app_of(encoder=encoder, limits=few(seconds=0.4))) as live:
        answer = ask_for(live, 0)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
        rerank = {"caption": "a", "images": [sent(picture(1))]}
        assert httpx.post(f"{live.url}/v1/rerank", json=rerank).status_code == 504
        assert httpx.get(f"{live.url}/readyz").status_code == 503
        assert httpx.get(f"{live.url}/healthz").status_code == 200
        tower.go.set()
        until = time.monotonic() + 10
        while ask_for(live, 2).status_code != 200:
            assert time.monotonic() < until
        assert httpx.get(f"{live.url}/readyz").status_code == 200


def test_who_has_gone_is_not_computed_for(slow):
    tower, encoder = slow
    with Live(app_of(encoder=encoder, limits=few(image_batch=1))) as live, ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask_for, live, 0)
        assert tower.entered.wait(10)
        body = json.dumps({"model": NAME, "input": [{"image": sent(picture(1))}] * 20}).encode()
        with live.connect() as dead:
            dead.sendall(head_of("/v1/embeddings", len(body)) + body)
            time.sleep(0.5)
        time.sleep(0.3)
        tower.go.set()
        assert first.result().status_code == 200
        assert ask_for(live, 2).status_code == 200
    assert tower.calls <= 4


def test_too_many_rerankings_are_told_to_come_again(slow):
    tower, encoder = slow
    with Live(app_of(encoder=encoder, limits=few(waiting_jobs=2))) as live, ThreadPoolExecutor(6) as pool:
        body = {"caption": "a", "images": [sent(picture(1))]}

        def rank(_: int) -> int:
            return httpx.post(f"{live.url}/v1/rerank", json=body, timeout=30).status_code

        asked = [pool.submit(rank, number) for number in range(6)]
        time.sleep(1.0)
        tower.go.set()
        statuses = sorted(one.result() for one in asked)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 2


def test_the_pages_files_are_counted_as_answered(live):
    for path in ("/", "/page/page.js", "/page/page.css"):
        assert httpx.get(f"{live.url}{path}").status_code == 200
    counted = [
        line for line in httpx.get(f"{live.url}/metrics").text.splitlines() if 'route="/page"' in line or 'route="/"' in line
    ]
    assert any('status="200"' in line for line in counted)
    assert not any('status="499"' in line for line in counted)
