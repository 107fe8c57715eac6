"""What no honest client sends: each is a clear 4xx, and the server goes on."""

import base64
import io
import json
import struct
import time
import tracemalloc
import zlib

import pytest
from PIL import Image

from fullclip.serve.errors import ApiError
from fullclip.serve.images import check
from served import NAME, app_of, asking, error_of, few, picture, sent
from tiny import tiny_encoder

GOOD = picture(0)
LIMITS = few(
    body_bytes=1 << 20,
    pixels=1_000_000,
    items=4,
    text_characters=200,
    labels=5,
    prompts=10,
    waiting_texts=20,
    waiting_images=20,
)
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client():
    with asking(app_of(limits=LIMITS)) as client:
        yield client


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, size: tuple[int, int]) -> bytes:
    """A PNG of black pixels that compresses to nothing, with chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    row = b"\0" * (1 + 3 * size[0])
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(size[1])) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def header_only(width: int, height: int) -> bytes:
    """A PNG that claims a size."""
    return png(size=(1, 1)).replace(struct.pack(">II", 1, 1), struct.pack(">II", width, height)).replace(
        struct.pack(">I", zlib.crc32(b"IHDR" + struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))),
        struct.pack(">I", zlib.crc32(b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))),
    )  # fmt: skip


def bomb_in_text() -> bytes:
    """Fifty megabytes of a text chunk in fifty kilobytes."""
    return png(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * (50 << 20), 9)), size=(4, 4))


def bomb_in_profile() -> bytes:
    return png(chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"a" * (50 << 20), 9)), size=(4, 4))


def of_many_scans() -> bytes:
    """A JPEG whose last scan, which changes nothing, stands there again and again: each goes over all pixels."""
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 200 + data[-2:]


def of_many_parts(kind: str) -> bytes:
    """A picture with half a million parts before its pixels, or behind."""
    whole = saved(kind.partition(" ")[0])
    if kind == "JPEG":
        return whole[:2] + b"\xff\xfe\x00\x02" * 500_000 + whole[2:]
    if kind == "GIF":
        place = 13 + (3 * (2 << (whole[10] & 7)) if whole[10] & 128 else 0)
        return whole[:place] + b"\x21\xfe\x01a\x00" * 500_000 + whole[place:]
    chunks = chunk(b"teSt", b"") * 100_000
    return whole[:-12] + chunks + whole[-12:] if kind.endswith("behind") else whole[:33] + chunks + whole[33:]


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    return file.getvalue()


BAD_PICTURES = {
    "no base64": "this is no picture!",
    "cut base64": sent(GOOD)[:-1],
    "base64 with a line end": base64.encodebytes(GOOD).decode(),
    "url-safe base64": "_-_-" * 8,
    "not ASCII": "é" * 40,
    "empty data": "data:image/png;base64,",
    "another data URL": "data:text/html;base64," + sent(b"<html>"),
    "data URL in percents": "data:image/png,%89PNG",
    "long data URL": "data:image/" + "a" * 100_000,
    "truncated picture": sent(GOOD[: len(GOOD) // 2]),
    "only a head": sent(GOOD[:20]),
    "SVG": sent(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    "HTML as a JPEG": "data:image/jpeg;base64," + sent(b"<!doctype html><script>alert(1)</script>"),
    "EPS": sent(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    "PPM": sent(saved("PPM")),
    "ICO": sent(saved("ICO")),
    "a body of zeros": sent(bytes(1000)),
    "30,000 by 30,000": sent(header_only(30_000, 30_000)),
    "2,000,000,000 wide": sent(header_only(2_000_000_000, 1)),
    "over the limit": sent(png(size=(1100, 1000))),
    "a bomb in its text": sent(bomb_in_text()),
    "a bomb in its profile": sent(bomb_in_profile()),
    "a JPEG of many scans": sent(of_many_scans()),
    "a URL": "http://127.0.0.1/a.png",
    "another URL": "HTTPS://elsewhere.example/a.png",
    "a path": "/etc/passwd",
    "a file": "file:///etc/passwd",
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_what_is_no_picture(client, name):
    bad = BAD_PICTURES[name]
    code = "url_not_allowed" if name.endswith("URL") and "data" not in name else "bad_image"
    if name == "a bomb in its profile":  # Pillow leaves such a profile out, unread beyond its limit
        assert client.post("/v1/embeddings", json={"model": NAME, "input": [{"image": bad}]}).status_code in (200, 400)
        return
    for route, body in (
        ("/v1/embeddings", {"model": NAME, "input": ["a", {"image": bad}]}),
        ("/v1/classify", {"images": [sent(GOOD), bad], "labels": ["a", "b"]}),
        ("/v1/rerank", {"caption": "a", "images": [sent(GOOD), bad]}),
    ):
        answer = client.post(route, json=body)
        assert error_of(answer) == (400, code)
        assert "1: " in answer.json()["error"]["message"] or code == "url_not_allowed"
    assert client.post("/v1/embeddings", json={"model": NAME, "input": [{"image": sent(GOOD)}]}).status_code == 200


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "PNG", "PNG behind"])
def test_a_picture_of_endless_parts_is_refused_early(kind):
    began = time.monotonic()
    with pytest.raises(ApiError, match="save it anew"):
        check(of_many_parts(kind), "image 0", max_pixels=1000)
    assert time.monotonic() - began < 2


def test_a_million_mistakes_are_told_as_one():
    """Each as a sentence of its own would be gigabytes."""
    many = 60_000
    bodies = {
        "/v1/embeddings": [{"model": NAME, "input": [True] * many}, {"model": NAME, "input": [{"text": 1, "more": 2}] * many}],
        "/v1/classify": [{"image": "a", "labels": [1] * many}, {"image": "a", "labels": ["a"], "templates": [1] * many}],
        "/v1/rerank": [{"caption": "a", "images": [1] * many}, {"caption": [1] * many, "images": ["a"]}],
        "/v1/search": [{"text": [1] * many}, {"image": [1] * many}, {f"field {place}": 1 for place in range(many)}],
    }
    with asking(app_of()) as client:
        client.post("/v1/search", json={})
        for route, asked in bodies.items():
            for body in asked:
                sent_body = json.dumps(body).encode()
                tracemalloc.start()
                try:
                    answer = client.post(route, content=sent_body, headers=HEADERS)
                    assert error_of(answer) == (400, "invalid_value")
                    assert tracemalloc.get_traced_memory()[1] < 40 << 20
                finally:
                    tracemalloc.stop()


def test_a_body_of_too_many_values_is_not_parsed():
    with asking(app_of()) as client:
        for body in (b"[" + b"{}," * 300_000 + b"1]", b'{"model": "tiny", "input": [' + b"1," * 300_000 + b"1]}"):
            assert error_of(client.post("/v1/embeddings", content=body, headers=HEADERS)) == (413, "body_too_large")


def test_templates_that_grow_are_not_filled():
    asked = {"image": sent(GOOD), "labels": ["a" * 4000], "templates": ["{}" * 2000] * 50}
    with asking(app_of()) as client:
        client.post("/v1/classify", json={**asked, "templates": ["{}"]})
        body = json.dumps(asked).encode()
        tracemalloc.start()
        try:
            answer = client.post("/v1/classify", content=body, headers=HEADERS)
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
        finally:
            tracemalloc.stop()
        assert error_of(answer) == (400, "text_too_long")
        assert answer.json()["error"]["message"].startswith("template 0 makes a text of 8,000,000 characters")


def test_signs_that_are_escaped_again_and_again_are_not_read():
    with asking(app_of()) as client:
        asked = {"model": NAME, "input": "&" + "amp;" * 990}
        assert error_of(client.post("/v1/embeddings", json=asked)) == (400, "text_too_long")
        assert client.post("/v1/embeddings", json={"model": NAME, "input": "a &amp;amp; b;"}).status_code == 200


def test_of_many_texts_the_one_that_is_too_long_is_named():
    texts = ["a"] * 200
    texts[150] = "word " * 100
    with asking(app_of()) as client:
        answer = client.post("/v1/embeddings", json={"model": NAME, "input": texts})
    assert error_of(answer) == (400, "context_length_exceeded")
    assert answer.json()["error"]["message"].startswith("text 150 has ")


@pytest.mark.parametrize(("given", "why"), [([1, 2], "give texts"), ([[1, 2], [3]], "give texts"), ([], "an empty list")])
def test_what_openais_clients_send_beside_texts(client, given, why):
    answer = client.post("/v1/embeddings", json={"model": NAME, "input": given})
    assert error_of(answer) == (400, "invalid_value")
    message = answer.json()["error"]["message"]
    assert message.startswith("input: ")
    assert why in message


def test_bombs_take_no_memory(client):
    bombs = [BAD_PICTURES[name] for name in ("30,000 by 30,000", "a bomb in its text", "a bomb in its profile")]
    tracemalloc.start()
    try:
        for bomb in bombs:
            client.post("/v1/embeddings", json={"model": NAME, "input": [{"image": bomb}]})
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


BAD_JSON = {
    "empty": b"",
    "cut": b'{"model": "tiny", "input": "a',
    "NaN": b'{"model": "tiny", "input": NaN}',
    "infinity": b'{"caption": "a", "images": ["a"], "diversity": -Infinity}',
    "deep list": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "not UTF-8": b'{"model": "\xff\xfe"}',
    "digits": b'{"dimensions": ' + b"9" * 100_000 + b"}",
    "nothing": b"null",
    "a number": b"17",
    "a list": b"[]",
    "another field": b'{"model": "tiny", "input": "a", "path": "/etc/passwd"}',
    "tokens": b'{"model": "tiny", "input": [1, 2, 3]}',
    "no items": b'{"model": "tiny", "input": []}',
    "both": b'{"model": "tiny", "input": [{"image": "a", "text": "b"}]}',
    "a lone surrogate": b'{"model": "tiny", "input": "\\ud800 a"}',
    "a lone surrogate as a name": b'{"model": "tiny", "input": "a", "\\ud800": 1}',
    "huge exponent": b'{"caption": "a", "images": ["a"], "diversity": 1e999}',
}


@pytest.mark.parametrize("name", BAD_JSON)
@pytest.mark.parametrize("route", ["embeddings", "classify", "rerank", "search"])
def test_what_is_no_request(client, name, route):
    answer = client.post(f"/v1/{route}", content=BAD_JSON[name], headers=HEADERS)
    assert answer.status_code == 400, answer.text
    assert error_of(answer)[1] in ("bad_json", "invalid_value", "bad_text")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "Application/JSON"}, 200),
    ],
)
def test_other_kinds_of_bodies(client, headers, status):
    body = json.dumps({"model": NAME, "input": "a"}).encode()
    assert client.post("/v1/embeddings", content=body, headers=headers).status_code == status


def test_a_body_where_none_is_taken(client):
    for path in ("/healthz", "/readyz", "/v1/models", "/metrics", "/"):
        assert error_of(client.post(path, content=b"<xml>")) == (405, "method_not_allowed")
    assert error_of(client.post("/v1/nothing", content=b"<xml>")) == (404, "no_such_route")
    assert error_of(client.put("/v1/embeddings", json={})) == (405, "method_not_allowed")
    assert client.request("GET", "/healthz", content=b"x" * 100).status_code == 200


def test_too_much_of_anything(client):
    def post(route: str, **body: object) -> tuple[int, str]:
        return error_of(client.post(route, json=body))

    good = sent(GOOD)
    assert post("/v1/embeddings", model=NAME, input=["a"] * 5) == (400, "too_many_items")
    assert post("/v1/embeddings", model=NAME, input="a" * 201) == (400, "text_too_long")
    assert post("/v1/embeddings", model=NAME, input="word " * 40) == (400, "context_length_exceeded")
    assert post("/v1/embeddings", model=NAME, input="a" * 1_100_000) == (413, "body_too_large")
    assert post("/v1/classify", images=[good] * 5, labels=["a"]) == (400, "too_many_items")
    assert post("/v1/classify", image=good, labels=list("abcdef")) == (400, "too_many_labels")
    assert post("/v1/classify", image=good, labels=list("abcde"), templates=["{} a", "{} b", "{} c"]) == (
        400,
        "too_many_labels",
    )
    assert post("/v1/classify", image=good, labels=["a" * 150], templates=["{} {}"]) == (400, "text_too_long")
    assert post("/v1/classify", image=good, labels=["a", "a"]) == (400, "invalid_value")
    assert post("/v1/classify", image=good, labels=["a"], templates=["no braces"]) == (400, "invalid_value")
    assert post("/v1/classify", image=good, labels=[" "]) == (400, "invalid_value")
    assert post("/v1/classify", labels=["a"]) == (400, "invalid_value")
    assert post("/v1/classify", image=good, images=[good], labels=["a"]) == (400, "invalid_value")
    assert post("/v1/rerank", caption="a", images=[good] * 5) == (400, "too_many_items")
    assert post("/v1/rerank", caption=" ", images=[good]) == (400, "invalid_value")
    assert post("/v1/rerank", caption="word " * 40, images=[good]) == (400, "context_length_exceeded")
    assert post("/v1/rerank", caption="a", images=[good], top=0) == (400, "invalid_value")


def test_a_million_characters_are_refused_at_once():
    with asking(app_of(encoder=tiny_encoder())) as client:  # with the usual limits, so that the body is read
        asked = {"model": NAME, "input": "a" * 1_000_000}
        assert error_of(client.post("/v1/embeddings", json=asked)) == (400, "text_too_long")


def test_a_model_without_words(monkeypatch):
    encoder = tiny_encoder()
    encoder.tokenizer = None
    with asking(app_of(encoder=encoder)) as client:
        assert error_of(client.post("/v1/embeddings", json={"model": NAME, "input": "a"})) == (400, "no_texts")
        asked = {"image": sent(GOOD), "labels": ["a"]}
        assert error_of(client.post("/v1/classify", json=asked)) == (400, "no_texts")
        assert client.post("/v1/embeddings", json={"model": NAME, "input": [{"image": sent(GOOD)}]}).status_code == 200


def test_words_that_are_ids_or_odd(client):
    for text in ("", "\0", "<|endoftext|> <|startoftext|>", "​", "🙂" * 3, "a\n\n\tb"):
        assert client.post("/v1/embeddings", json={"model": NAME, "input": text}).status_code == 200, repr(text)
