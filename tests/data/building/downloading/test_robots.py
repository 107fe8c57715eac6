import asyncio
import time

import pytest
from yarl import URL

from fullclip.data.building.downloading import robots
from fullclip.data.building.downloading.failures import FetchError
from fullclip.data.building.downloading.robots import Kept, Robots, RobotsFile, check_opt_out, relevant

AGENT = "fullclip/1.0 (+https://a.page)"
FILE = b"""
User-agent: other
User-agent: third
Disallow: /

User-agent: *
Disallow: /private/
Allow: /private/open
Disallow: /*.gif$
Crawl-delay: 0.5
"""


def ask(urls, answers, *, kept=None, agent=AGENT):
    """What robots.txt gives for each URL ("" or the reason), and the URLs that were fetched for it."""
    fetched, told = [], []

    async def get(url):
        fetched.append(str(url))
        await asyncio.sleep(0)
        answer = answers[str(url)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def one(asked, url):
        try:
            return await asked.delay(URL(url))
        except FetchError as error:
            return f"{error.reason}|{error.detail}"

    async def everything():
        asked = Robots(agent, kept or Kept(), get=get, keep=lambda origin, file: told.append((origin, file)))
        return await asyncio.gather(*(one(asked, url) for url in urls))

    found = asyncio.run(everything())
    return found, fetched, told


def test_rules_of_all_hold_and_a_host_is_asked_once():
    urls = [f"http://a.org{path}" for path in ("/a.jpg", "/private/b.jpg", "/private/open.jpg", "/c.gif", "/c.gif?x")]
    found, fetched, told = ask(urls, {"http://a.org/robots.txt": FILE})
    assert found == [0.5, "robots.txt|", 0.5, "robots.txt|", 0.5]
    assert fetched == ["http://a.org/robots.txt"]
    assert [origin for origin, _ in told] == ["http://a.org"]


def test_rules_for_us_come_first_and_long_delays_are_cut():
    text = b"User-agent: *\nDisallow: /\nUser-agent: FullClip\nDisallow: /x\nCrawl-delay: 9999"
    found, _, _ = ask(["http://a.org/y", "http://a.org/x"], {"http://a.org/robots.txt": text})
    assert found == [robots.MAX_DELAY, "robots.txt|"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FetchError("404"), 0.0),
        (FetchError("403"), 0.0),
        (FetchError("too many redirects"), 0.0),
        (FetchError("429"), "robots.txt|robots.txt: 429"),
        (FetchError("503"), "robots.txt|robots.txt: 503"),
        (FetchError("time-out"), "time-out|robots.txt: time-out"),
        (FetchError("refused address", "10.0.0.1"), "refused address|robots.txt: 10.0.0.1"),
    ],
)
def test_without_a_file(error, expected):
    found, fetched, _ = ask(["http://a.org/y", "http://a.org/z"], {"http://a.org/robots.txt": error})
    assert found == [expected] * 2
    assert len(fetched) == 1


def test_each_scheme_and_port_has_its_own():
    names = ["http://a.org", "https://a.org", "http://a.org:8080"]
    _, fetched, _ = ask([f"{name}/a" for name in names], {f"{name}/robots.txt": b"" for name in names})
    assert fetched == [f"{name}/robots.txt" for name in names]


def test_what_is_kept_is_not_asked_for_until_it_is_old():
    kept = Kept()
    kept.put("http://a.org", RobotsFile(text="User-agent: *\nDisallow: /", fetched_at=time.time()))
    assert ask(["http://a.org/y"], {}, kept=kept)[0] == ["robots.txt|"]
    kept.put("http://a.org", RobotsFile(text="User-agent: *\nDisallow: /", fetched_at=time.time() - robots.SECONDS_KEPT - 1))
    assert ask(["http://a.org/y"], {"http://a.org/robots.txt": b""}, kept=kept)[0] == [0.0]


def test_not_more_is_kept_than_may_be(monkeypatch):
    monkeypatch.setattr(robots, "_MAX_KEPT", 10_000)
    kept = Kept()
    for number in range(30):
        kept.put(f"http://{number}.org", RobotsFile(text="#" * 1000, fetched_at=time.time()))
        kept.put(f"http://{number}.org", RobotsFile(text="#" * 500, fetched_at=time.time()))
    found = [number for number in range(30) if kept.get(f"http://{number}.org")]
    assert found == list(range(21, 30))  # the tenth had to go for the longer text


def test_only_the_beginning_of_a_large_file_is_read():
    text = b"User-agent: *\nDisallow: /a\n" + b"#" * robots.MAX_BYTES + b"\nDisallow: /b\n"
    found, _, _ = ask(["http://a.org/a", "http://a.org/b"], {"http://a.org/robots.txt": text})
    assert found == ["robots.txt|", 0.0]


def test_thousands_of_agents_with_thousands_of_rules_are_no_burden():
    agents = "".join(f"User-agent: agent{number}\n" for number in range(10_000))
    rules = "".join(f"Disallow: /{number}\n" for number in range(10_000))
    text = f"{agents}User-agent: fullclip\n{rules}"
    assert len(text) < robots.MAX_BYTES
    began = time.monotonic()
    found, _, _ = ask(["http://a.org/77", "http://a.org/x"], {"http://a.org/robots.txt": text.encode()})
    assert found == ["robots.txt|", 0.0]
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("head", ["User-agent: zzz", "user-agent:zzz # fullclip", "USERAGENT zzz", "User agent: z*z"])
def test_what_is_said_to_others_is_not_said_to_us(head):
    text = f"{head}\nDisallow: /\n\nUser-agent: *\nDisallow: /x"
    assert "~another~" in relevant(text, AGENT)
    found, _, _ = ask(["http://a.org/y", "http://a.org/x"], {"http://a.org/robots.txt": text.encode()})
    assert found == [0.0, "robots.txt|"]


@pytest.mark.parametrize(
    ("tags", "is_forbidden"),
    [
        (["noai"], True),
        (["noimageai, nofollow"], True),
        (["nofollow", "NoIndex"], True),
        (["none"], True),
        (["fullclip: noai"], True),
        (["googlebot: noindex"], False),
        (["googlebot: noindex, noai"], False),
        (["googlebot: noindex, fullclip: noai"], True),
        (["googlebot: noindex", "noai"], True),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], True),
        (["max-snippet: 3, max-image-preview: none"], False),
        (["all"], False),
        (["", ",,:", ":::noai"], False),
        ([], False),
    ],
)
def test_opt_out_headers(tags, is_forbidden):
    if is_forbidden:
        with pytest.raises(FetchError, match="opted out"):
            check_opt_out({}, tags, AGENT)
    else:
        check_opt_out({}, tags, AGENT)


def test_a_reservation_of_text_and_data_mining():
    check_opt_out({"TDM-Reservation": "0"}, [], AGENT)
    with pytest.raises(FetchError, match="TDM"):
        check_opt_out({"TDM-Reservation": "1"}, [], AGENT)
