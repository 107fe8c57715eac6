"""Pictures from allowed hosts: a URL in, its bytes out, and no way to anybody else, nor into private networks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fullclip.data.building.downloading.addresses import Lookup, Resolver, look_up, read_url
from fullclip.data.building.downloading.failures import FetchError
from fullclip.data.building.downloading.fetch import Answer, Fetcher, Rules, open_session
from fullclip.data.building.downloading.hosts import Hosts
from fullclip.data.building.downloading.robots import Kept, Robots, RobotsFile
from fullclip.serve.errors import ApiError

AT_ONCE, PER_HOST = 16, 8
MOST_BYTES = 16 << 20
SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class _Allowed:
    """A session that asks allowed hosts only, so that each step of a redirect is looked at."""

    session: Any
    hosts: Sequence[str]

    def get(self, url: Any, **options: Any) -> Any:
        if not is_allowed(url.raw_host, self.hosts):
            raise FetchError("host not allowed", url.raw_host)
        return self.session.get(url, **options)


class UrlImages:
    """Fetches pictures from `hosts`; rules: sizes, times, and whether private addresses may be asked, which only tests may."""

    def __init__(self, hosts: Sequence[str], *, rules: Rules, lookup: Lookup = look_up) -> None:
        self._hosts, self._rules = tuple(host.lower().rstrip(".") for host in hosts), rules
        self._slots, self._lookup = asyncio.Semaphore(AT_ONCE), lookup
        self._session: Any = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the body runs, there is a session."""
        if not self._hosts:
            yield
            return
        resolver = Resolver(allow_private=self._rules.allow_private, lookup=self._lookup)
        async with open_session(self._rules, resolver) as session:
            self._session = session
            yield

    async def __call__(self, text: str) -> bytes:
        """The body at a URL; ApiError where it may not be asked, or gives none."""
        if not self._hosts:
            raise ApiError(400, "this server fetches no image URLs: send the picture as base64", code="url_not_allowed")
        try:
            url = read_url(text, allow_private=self._rules.allow_private)
            session = _Allowed(session=self._session, hosts=self._hosts)
            hosts = Hosts(at_once=PER_HOST, delay=0.0, ready_at={})  # a host that failed is asked again by the next request
            fetcher = Fetcher(self._rules, session, hosts=hosts, slots=self._slots)
            return await fetcher.fetch(url, _body, robots=_no_robots(self._rules))
        except FetchError as error:
            code = "url_not_allowed" if error.reason in _REFUSED else "url_failed"
            raise ApiError(400, f"image URL: {error.reason}", code=code) from None  # what a name resolves to is not told


_REFUSED = ("host not allowed", "refused address", "refused port", "bad URL")


def _no_robots(rules: Rules) -> Robots:
    """A picture that somebody asks for by name is no crawl: no robots.txt is read."""

    async def empty(url: Any) -> bytes:
        return b""

    def forget(origin: str, file: RobotsFile) -> None:
        return

    return Robots(rules.user_agent, Kept(), get=empty, keep=forget)


async def _body(answer: Answer, host: str) -> bytes:
    if answer.encoding.strip().lower() not in ("", "identity"):
        raise FetchError("content encoding")
    return answer.body


def is_allowed(host: str, hosts: Sequence[str]) -> bool:
    """Whether a host is one of `hosts`, of which "*.example.org" is all below example.org."""
    host = host.lower().rstrip(".")
    return any(host.endswith(one[1:]) if one.startswith("*.") else host == one for one in hosts)


def rules_of(*, max_bytes: int, allow_private: bool = False) -> Rules:
    """How a server fetches: once, ten seconds, sixteen megabytes or as much as a body may hold."""
    return Rules(
        user_agent="fullclip-serve/1.0",
        timeout=SECONDS,
        retries=0,
        max_bytes=min(max_bytes, MOST_BYTES),
        robots=False,
        opt_out=False,
        allow_private=allow_private,
    )
