"""Pictures from URLs: of allowed hosts, and by no way of others or of private addresses."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fullclip.serve.app import build_app
from fullclip.serve.errors import ApiError
from fullclip.serve.settings import Settings
from fullclip.serve.urls import UrlImages, is_allowed, rules_of
from misbehaving import Server, body, raw, redirect, status
from served import NAME, app_of, asking, error_of, few, picture, sent, vectors_of
from tiny import tiny_encoder

PICTURE = picture(0)
LARGE = picture(1, size=(600, 500))  # over half a megabyte
MAX_BYTES = 1_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pages = {
        "/a.png": body(PICTURE),
        "/many.png": body(LARGE),
        "/large": body(b"x" * (MAX_BYTES + 1)),
        "/endless": raw(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, endless=True),
        "/html": body(b"<html>"),
        "/packed": body(PICTURE, Content_Encoding="gzip"),
        "/missing": status(404),
        "/circle": redirect("/circle"),
        "/here": redirect("/a.png"),
        "/nowhere": raw(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
        "/file": redirect("file:///etc/passwd"),
    }
    with Server(pages) as found:
        pages["/elsewhere"] = redirect(f"http://127.0.0.2:{found.port}/a.png")
        yield found


def fetched(server: Server, path: str, *, hosts: tuple[str, ...] = ("localhost",), host: str = "localhost") -> bytes:
    async def fetch() -> bytes:
        urls = UrlImages(hosts, rules=rules_of(max_bytes=MAX_BYTES, allow_private=True))
        async with urls.running():
            return await urls(server.url(path, host=host))

    return asyncio.run(fetch())


def refused(ask: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(ApiError) as found:
        ask()
    assert found.value.status == 400
    return found.value.code, found.value.message


def test_a_picture_of_an_allowed_host_is_fetched(server):
    assert fetched(server, "/a.png") == PICTURE
    assert fetched(server, "/here") == PICTURE
    assert len(LARGE) > 600_000
    assert fetched(server, "/many.png") == LARGE


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/large", "url_failed", "too large"),
        ("/endless", "url_failed", "too large"),
        ("/packed", "url_failed", "content encoding"),
        ("/missing", "url_failed", "404"),
        ("/circle", "url_failed", "too many redirects"),
        ("/nowhere", "url_failed", "bad answer"),
        ("/file", "url_not_allowed", "bad URL"),
        ("/elsewhere", "url_not_allowed", "host not allowed"),
    ],
)
def test_what_a_host_may_do_is_bounded(server, path, code, reason):
    assert refused(lambda: fetched(server, path)) == (code, f"image URL: {reason}")


def test_another_host_is_not_asked(server):
    before = sum(server.asked.values())
    for host in ("127.0.0.1", "127.0.0.2", "ip6-localhost"):
        assert refused(lambda host=host: fetched(server, "/a.png", host=host))[0] == "url_not_allowed"
    assert sum(server.asked.values()) == before


def test_without_a_list_nothing_is_fetched(server):
    with asking(app_of()) as client:
        answer = client.post(
            "/v1/embeddings", json={"model": NAME, "input": [{"image": server.url("/a.png", host="localhost")}]}
        )
        assert error_of(answer) == (400, "url_not_allowed")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/a.png",
        "http://127.0.0.1/a.png",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://user:password@localhost/",
        "http://localhost:22/",
        "http://localhost\\@elsewhere.example/",
        "http://localhost%00.elsewhere.example/",
        "http:///a.png",
        "http://",
    ],
)
def test_private_addresses_are_not_asked_even_if_allowed(url):
    """The hosts themselves are on the list, as is everything that these might be read as."""
    hosts = ("localhost", "127.0.0.1", "::1", "::ffff:7f00:1", "64:ff9b::7f00:1", "169.254.169.254", "10.0.0.1")
    with asking(app_of(images_from=(*hosts, "127.1", "2130706433", "0x7f000001"))) as client:
        answer = client.post("/v1/embeddings", json={"model": NAME, "input": [{"image": url}]})
    assert answer.status_code == 400
    assert "127.0.0.1" not in answer.text


def test_a_name_that_changes_its_address_is_looked_at_where_it_is_connected_to(server):
    before, looked_up = sum(server.asked.values()), list[str]()

    async def look_up(host: str) -> list[tuple[int, str]]:
        looked_up.append(host)
        return [(2, "127.0.0.1"), (10, "::1")]

    async def fetch() -> None:
        urls = UrlImages(("images.example",), rules=rules_of(max_bytes=MAX_BYTES), lookup=look_up)
        async with urls.running():
            await urls("http://images.example:8000/a.png")

    assert refused(lambda: asyncio.run(fetch())) == ("url_not_allowed", "image URL: refused address")
    assert looked_up == ["images.example"]
    assert sum(server.asked.values()) == before


def test_a_fetched_picture_is_looked_at_like_any_other(server):
    settings = Settings(model=NAME, limits=few(pixels=1000))
    urls = UrlImages(("localhost",), rules=rules_of(max_bytes=MAX_BYTES, allow_private=True))
    encoder = tiny_encoder()

    def post(client: Any, path: str) -> Any:
        return client.post("/v1/embeddings", json={"model": NAME, "input": [{"image": server.url(path, host="localhost")}]})

    with asking(build_app(encoder, None, settings, urls=urls)) as client:
        assert error_of(post(client, "/html")) == (400, "bad_image")
        assert error_of(post(client, "/a.png")) == (400, "bad_image")  # 40 x 36 pixels
    urls = UrlImages(("localhost",), rules=rules_of(max_bytes=MAX_BYTES, allow_private=True))
    with asking(build_app(encoder, None, Settings(model=NAME), urls=urls)) as client:
        own = client.post("/v1/embeddings", json={"model": NAME, "input": [{"image": sent(PICTURE)}]})
        assert (vectors_of(post(client, "/a.png")) == vectors_of(own)).all()


def test_which_hosts_are_allowed():
    hosts = ("images.example.org", "*.cdn.example")
    for host in ("images.example.org", "IMAGES.example.org.", "a.cdn.example", "a.b.cdn.example"):
        assert is_allowed(host, hosts)
    for host in ("example.org", "evilimages.example.org", "cdn.example", "xcdn.example", "images.example.org.evil.example"):
        assert not is_allowed(host, hosts)


def test_what_is_fetched_for_a_request_is_bounded(server):
    """Pictures of half a megabyte each, in a request of a hundred bytes."""
    urls = UrlImages(("localhost",), rules=rules_of(max_bytes=MAX_BYTES, allow_private=True))
    settings = Settings(model=NAME, limits=few(body_bytes=len(LARGE), held_bytes=4 * len(LARGE)))
    with asking(build_app(tiny_encoder(), None, settings, urls=urls)) as client:

        def ask(number: int) -> tuple[int, str]:
            items = [{"image": server.url("/many.png", host="localhost")}] * number
            answer = client.post("/v1/embeddings", json={"model": NAME, "input": items})
            return (200, "") if answer.status_code == 200 else error_of(answer)

        assert ask(1) == (200, "")
        assert ask(4) == (413, "body_too_large")
        assert ask(1) == (200, "")
