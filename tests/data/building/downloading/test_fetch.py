"""Against servers of the loopback that do all that servers do."""

import datetime as dt
import gzip
import socket
import ssl
import struct
import time
import zlib
from itertools import pairwise

import pytest

from fullclip.data.building.downloading import addresses, fetch, hosts
from fullclip.data.building.downloading.addresses import Resolver
from fullclip.data.building.downloading.failures import FetchError, UnknownHostError
from fullclip.data.building.downloading.fetch import Rules
from fullclip.data.building.downloading.journal import Journal
from fullclip.data.building.downloading.partition import Memory, Pace, crawl, target_of
from misbehaving import Server, body, first, picture, raw, redirect, status

JPEG = picture(1)
LARGE = 50_000
OK = b"HTTP/1.1 200 OK\r\n"


def found(urls, folder, *, memory=None, pace=None, **options):
    """{URL: (reason, "" for a picture; detail)}."""
    rules = Rules(**{"user_agent": "fullclip/1.0", "allow_private": True, "timeout": 5.0, "min_side": 8, **options})
    outcomes, targets = {}, {}
    for url in urls:
        try:
            targets[url] = target_of(url, rules)
        except FetchError as error:
            outcomes[url] = (error.reason, error.detail)
    journal = Journal(folder / "journal", claim="")
    memory = memory or Memory(resolver=Resolver(allow_private=rules.allow_private))
    entries = crawl(list(targets.values()), rules=rules, pace=pace or Pace(per_host=32), journal=journal, memory=memory)
    journal.close()
    outcomes |= {url: (entries[one].facts["reason"], entries[one].facts["detail"]) for url, one in targets.items()}
    return {url: outcomes[url] for url in urls}


def reasons(urls, folder, **options):
    return [reason for reason, _ in found(urls, folder, **options).values()]


def large_png():
    """20 KB that say that they are 3.6 gigapixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(20_000_000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def sized(content, length):
    return raw(OK + f"Content-Length: {length}\r\n\r\n".encode() + content)


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
# what a path sends, and what comes of it
PAGES = {
    "/fine.jpg": (body(JPEG), ""),
    "/says-html.jpg": (body(JPEG, Content_Type="text/html"), ""),
    "/old-server.jpg": (raw(b"HTTP/1.0 200 OK\r\n\r\n" + JPEG), ""),
    "/gzip.jpg": (body(gzip.compress(JPEG), Content_Encoding="gzip"), ""),
    "/wishes-of-others.jpg": (body(JPEG, X_Robots_Tag="googlebot: noindex"), ""),
    "/redirect": (redirect("/fine.jpg"), ""),
    "/redirect-308": (redirect("fine.jpg", 308), ""),
    "/chain1": (redirect("/fine.jpg?1"), ""),
    "/chain5": (redirect("/chain4"), ""),
    "/chain6": (redirect("/chain5"), "too many redirects"),
    **{f"/chain{n}": (redirect(f"/chain{n - 1}"), "") for n in (2, 3, 4)},
    "/fine.jpg?1": (body(JPEG), ""),
    "/circle": (redirect("/circle2"), "too many redirects"),
    "/circle2": (redirect("/circle"), "too many redirects"),
    "/nowhere": (status(302), "bad answer"),
    "/to-a-file": (redirect("file:///etc/passwd"), "bad URL"),
    "/to-nonsense": (redirect("http://[::1/"), "bad URL"),
    "/to-password": (redirect("http://user:password@127.0.0.1/"), "bad URL"),
    "/204": (raw(b"HTTP/1.1 204 No\r\n\r\n"), "204"),
    "/304": (raw(b"HTTP/1.1 304 No\r\n\r\n"), "304"),
    "/403": (status(403), "403"),
    "/404": (status(404), "404"),
    "/410": (status(410), "410"),
    "/500": (status(500), "500"),
    "/503": (status(503), "503"),
    "/trickle.jpg": (raw(OK + b"Content-Length: 1000\r\n\r\n", b"\xff", every=0.05, endless=True), "time-out"),
    "/trickling-headers": (raw(OK, b"X: y\r\n", every=0.05, endless=True), "time-out"),
    "/silent": (raw(b"", every=1.0, endless=True), "time-out"),
    "/hangs-up": (raw(), "no connection"),
    "/cut-off.jpg": (sized(JPEG[:500], 1000), "cut off"),
    "/cut-chunk.jpg": (raw(CHUNKED + b"fff\r\n" + JPEG[:100]), "cut off"),
    "/too-short-a-length.jpg": (sized(JPEG, 300), "bad answer|broken image"),
    "/says-too-large": (sized(JPEG, LARGE + 1), "too large"),
    "/says-petabytes": (sized(JPEG, 10**15), "too large"),
    "/negative": (sized(JPEG, -5), "bad answer"),
    "/endless": (raw(CHUNKED, b"1000\r\n" + b"\xff" * 0x1000 + b"\r\n", endless=True), "too large"),
    "/endless-line": (raw(CHUNKED, b"1", endless=True), "bad answer|time-out"),
    "/endless-header": (raw(OK + b"X: ", b"y" * 1000, endless=True), "bad answer"),
    "/endless-headers": (raw(OK, b"X: y\r\n" * 1000, endless=True), "bad answer"),
    "/gzip-bomb": (body(gzip.compress(bytes(40_000_000)), Content_Encoding="gzip"), "too large"),
    "/brotli": (body(JPEG, Content_Encoding="br"), "content encoding"),
    "/nonsense": (raw(b"hello\r\n\r\n"), "bad answer"),
    "/ssh": (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "bad answer"),
    "/page.jpg": (body(b"<html>", Content_Type="image/jpeg"), "not an image"),
    "/drawing.svg": (body(b'<svg xmlns="http://www.w3.org/2000/svg"/>', Content_Type="image/svg+xml"), "not an image"),
    "/empty.jpg": (body(b"", Content_Type="image/jpeg"), "not an image"),
    "/torn.jpg": (body(JPEG[:-100]), "broken image"),
    "/bomb.png": (body(large_png()), "too many pixels"),
    "/pixel.gif": (body(picture(size=(1, 1), kind="GIF")), "too small"),
    "/banner.jpg": (body(picture(size=(400, 50))), "too elongated"),
    "/secret/a.jpg": (body(JPEG), "robots.txt"),
    "/to-a-secret": (redirect("/secret/a.jpg"), "robots.txt"),
    "/noai.jpg": (body(JPEG, X_Robots_Tag="noai, noimageai"), "opted out"),
    "/reserved.jpg": (body(JPEG, TDM_Reservation="1"), "opted out"),
}
ROBOTS = {"/robots.txt": body(b"User-agent: *\nDisallow: /secret/")}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """({path: reason}, the server, how long it took)."""
    with pytest.MonkeyPatch.context() as patched, Server({path: page for path, (page, _) in PAGES.items()} | ROBOTS) as server:
        patched.setattr(hosts, "GIVE_UP_AFTER", 1000)
        began = time.monotonic()
        told = found(
            [server.url(path) for path in PAGES],
            tmp_path_factory.mktemp("hostile"),
            timeout=1.0,
            retries=0,
            max_bytes=LARGE,
            pace=Pace(per_host=100, concurrency=100),
        )
        seconds = time.monotonic() - began
    return dict(zip(PAGES, told.values(), strict=True)), server, seconds


@pytest.mark.faults
@pytest.mark.parametrize("path", PAGES)
def test_what_becomes_of_a_page(outcomes, path):
    assert outcomes[0][path][0] in PAGES[path][1].split("|"), outcomes[0][path]


@pytest.mark.faults
def test_hostile_servers_cost_no_more_than_a_time_out(outcomes):
    assert outcomes[2] < 4


def test_what_is_asked_for(outcomes):
    asked = outcomes[1].headers["/fine.jpg"]
    assert asked["user-agent"] == "fullclip/1.0"
    assert asked["accept-encoding"] == "identity"
    assert "cookie" not in asked
    assert outcomes[1].asked["/robots.txt"] == 1
    assert outcomes[1].asked["/secret/a.jpg"] == 0


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.01)


@pytest.mark.usefixtures("quick")
def test_what_may_pass_is_tried_again(tmp_path):
    fine, cut = body(JPEG), sized(JPEG[:500], 1000)
    pages = {f"/{code}": first(2, status(code), fine) for code in (408, 425, 429, 500, 502, 503, 504, 599)}
    pages |= {"/cut": first(2, cut, fine), "/closed": first(2, raw(), fine), "/three": first(3, status(500), fine)}
    pages |= {"/404": first(1, status(404), fine), "/to": redirect("/moved")}
    moved = {"/moved": first(2, status(500), fine)}
    with Server(pages | moved) as server:
        told = found([server.url(path) for path in pages], tmp_path)
    assert {url.rpartition("/")[2]: reason for url, (reason, _) in told.items() if reason} == {"three": "500", "404": "404"}
    times = {"/404": 1, "/to": 1, "/moved": 3, "/robots.txt": 1}
    # a server that hangs up after a first answer may be asked once more by aiohttp itself
    assert {path: count for path, count in server.asked.items() if path != "/closed"} == {
        path: times.get(path, 3) for path in (*pages, *moved, "/robots.txt") if path != "/closed"
    }


def test_a_host_says_when_to_come_back(tmp_path):
    with Server({"/a": first(1, status(429, Retry_After="1"), body(JPEG)), "/b": body(JPEG)}) as server:
        assert reasons([server.url("/a"), server.url("/b")], tmp_path, robots=False, pace=Pace(per_host=1)) == ["", ""]
        assert server.asked == {"/a": 2, "/b": 1}
        assert server.times[1] - server.times[0] >= 0.99


def test_a_host_that_wants_to_be_left_alone_for_long_is(tmp_path):
    pages = {f"/{number}": status(503, Retry_After="Fri, 31 Dec 2100 23:59:59 GMT") for number in range(9)}
    with Server(pages) as server:
        told = reasons([server.url(path) for path in pages], tmp_path, robots=False, pace=Pace(per_host=1))
    assert told == ["503"] + ["host given up"] * 8
    assert server.asked.total() == 1


@pytest.mark.usefixtures("quick")
def test_a_dead_host_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    urls = [f"http://127.0.0.1:{port}/{number}" for number in range(30)]
    told = reasons(urls, tmp_path / "a", robots=False, pace=Pace(per_host=1))
    assert told == ["no connection"] * hosts.GIVE_UP_AFTER + ["host given up"] * (30 - hosts.GIVE_UP_AFTER)
    assert set(found(urls, tmp_path / "b").values()) == {("no connection", "robots.txt: ConnectionRefusedError")}


@pytest.mark.usefixtures("quick")
def test_robots_are_asked_for_with_tries_and_may_be_ignored(tmp_path):
    with Server({"/a": body(JPEG), "/robots.txt": first(2, status(503), body(b"User-agent: *\nDisallow: /"))}) as server:
        assert reasons([server.url("/a")], tmp_path / "a") == ["robots.txt"]
        assert server.asked == {"/robots.txt": 3}
        assert reasons([server.url("/a")], tmp_path / "b", robots=False) == [""]
    with Server({"/a": body(JPEG, X_Robots_Tag="noai"), "/robots.txt": status(500)}) as server:
        assert found([server.url("/a")], tmp_path / "c") == {server.url("/a"): ("robots.txt", "robots.txt: 500")}
        assert reasons([server.url("/a")], tmp_path / "d", robots=False, opt_out=False) == [""]


def test_a_host_s_limits_hold(tmp_path):
    pages = {f"/{number}": body(JPEG, seconds=0.02) for number in range(12)}
    pages["/robots.txt"] = body(b"User-agent: *\nCrawl-delay: 0.02")
    with Server(pages) as server:
        assert set(reasons([server.url(path) for path in pages], tmp_path / "a", robots=False, pace=Pace(per_host=2))) == {
            "",
            "not an image",
        }
        assert server.most == 2
        server.times.clear()
        reasons([server.url(f"/{number}") for number in range(12)], tmp_path / "b", pace=Pace(per_host=4))
        gaps = [after - before for before, after in pairwise(server.times[1:])]
        assert sum(gaps) / len(gaps) >= 0.02


PUBLIC_PORTS = range(8200, 8999)


@pytest.fixture
def public(monkeypatch):
    """127.0.0.1 stands for the public internet, and all else is private."""
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")


@pytest.mark.faults
@pytest.mark.usefixtures("public")
def test_no_redirect_leads_inside(tmp_path):
    with (
        Server({"*": body(JPEG)}, host="127.0.0.2", ports=PUBLIC_PORTS) as inside,
        Server({"/a": body(JPEG)}, ports=PUBLIC_PORTS) as outside,
    ):
        port = inside.port
        targets = {
            f"http://127.0.0.2:{port}/": "refused address",
            f"//127.0.0.2:{port}/": "refused address",
            f"http://2130706434:{port}/": "refused address",
            f"http://0x7f000002:{port}/": "refused address",
            f"http://127.2:{port}/": "refused address",
            f"http://[::ffff:127.0.0.2]:{port}/": "refused address",
            "http://127.0.0.1:22/": "refused port",
            "gopher://127.0.0.1/": "bad URL",
        }
        outside.pages |= {f"/{number}": redirect(target) for number, target in enumerate(targets)}
        outside.pages["/hop"] = redirect("/0")
        urls = [outside.url(path) for path in ("/a", *map("/{}".format, range(len(targets))), "/hop")]
        told = reasons([*urls, inside.url("/")], tmp_path, allow_private=False)
    assert told == ["", *targets.values(), "refused address", "refused address"]
    assert inside.asked.total() == 0


@pytest.mark.faults
@pytest.mark.usefixtures("public")
def test_a_name_that_changes_its_address_leads_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(addresses, "SECONDS_KNOWN", 0.0)
    answers = {
        "moving.test": ["127.0.0.1"] + ["127.0.0.2"] * 9,
        "both.test": ["127.0.0.1"] * 9,
        "inside.test": ["127.0.0.2"] * 9,
    }

    async def lookup(host):
        if not answers.get(host):
            raise UnknownHostError(host, passing=False)
        return [(socket.AF_INET, answers[host].pop(0))]

    with (
        Server({"*": body(JPEG)}, host="127.0.0.2", ports=PUBLIC_PORTS) as inside,
        Server({"/a": body(JPEG, Connection="close")}, ports=range(inside.port, inside.port + 1)) as outside,
    ):
        outside.pages["/to"] = redirect(f"http://moving.test:{outside.port}/a")
        memory = Memory(resolver=Resolver(allow_private=False, lookup=lookup))
        names = ["moving.test", "both.test", "inside.test", "nobody.test"]
        urls = [outside.url(f"/{path}", host=name) for name in names for path in ("a", "b")]
        urls.append(outside.url("/to", host="both.test"))
        told = found(urls, tmp_path, allow_private=False, memory=memory, robots=False, pace=Pace(per_host=1))
    assert [reason for reason, _ in told.values()] == [
        *("", "refused address", "", "404", "refused address", "refused address", "unknown host", "unknown host"),
        "refused address",
    ]
    assert inside.asked.total() == 0


def test_proxies_and_passwords_of_the_environment_are_not_used(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Server({"*": status(404)}) as proxy, Server({"/a": body(JPEG)}) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        assert reasons([server.url("/a")], tmp_path) == [""]
        assert proxy.asked.total() == 0
        assert "authorization" not in server.headers["/a"]


def certificate(folder):
    """A server's TLS with a certificate that nobody vouches for."""
    x509, ec = pytest.importorskip("cryptography.x509"), pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    from cryptography.hazmat.primitives import hashes, serialization as ways

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    written = key.private_bytes(ways.Encoding.PEM, ways.PrivateFormat.PKCS8, ways.NoEncryption())
    (folder / "server.pem").write_bytes(written + made.public_bytes(ways.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def test_a_certificate_that_nobody_vouches_for(tmp_path):
    with Server({"*": body(JPEG)}, tls=certificate(tmp_path)) as server:
        urls = [server.url(f"/{number}").replace("http://", "https://") for number in range(3)]
        assert set(found(urls, tmp_path, robots=False).values()) == {("TLS", "ClientConnectorCertificateError")}
        assert server.asked.total() == 0


def test_a_machine_without_files_left_blames_no_host(tmp_path):
    async def lookup(host):
        raise OSError(24, "Too many open files")

    memory = Memory(resolver=Resolver(allow_private=False, lookup=lookup))
    with pytest.raises(OSError, match="Too many open files: give a smaller --concurrency"):
        found([f"http://example.org/{number}" for number in range(9)], tmp_path, memory=memory, allow_private=False)


def test_what_may_be_given():
    for options in ({"user_agent": ""}, {"user_agent": "a\r\nHost: b"}, {"timeout": 0.0}, {"retries": -1}, {"max_aspect": 0.5}):
        with pytest.raises(ValueError, match="--"):
            Rules(**{"user_agent": "a", **options})
    for options in ({"concurrency": 0}, {"per_host": 0}, {"host_delay": -1.0}, {"host_delay": float("nan")}):
        with pytest.raises(ValueError, match="--"):
            Pace(**options)
