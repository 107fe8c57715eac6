"""One URL over HTTP: redirects, retries, robots.txt and limits; an answer out, or a failure of a kind.

Time and memory are bounded whatever a server does: each try by a time-out, each body by a size.
"""

import asyncio
import errno
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from fullclip.core.extras import require
from fullclip.data.building.downloading import robots
from fullclip.data.building.downloading.addresses import Resolver, Url, read_url
from fullclip.data.building.downloading.failures import FetchError, RefusedAddressError, UnknownHostError
from fullclip.data.building.downloading.hosts import GIVEN_UP, Host, Hosts
from fullclip.data.building.downloading.robots import Robots

T = TypeVar("T")

MAX_REDIRECTS = 5
MAX_PAUSE = 60.0  # a host that wants to be left alone for longer is
FIRST_PAUSE = 0.5
_CONNECT_SECONDS = 10.0
_REDIRECTS = (301, 302, 303, 307, 308)
_OF_THIS_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a download's result depends on, besides the web.

    timeout: seconds for a whole try. retries: further tries of a URL. opt_out, robots: they are respected. roots: folders
    below which local files may be read.
    """

    user_agent: str
    timeout: float = 20.0
    retries: int = 2
    max_bytes: int = 20 << 20
    min_side: int = 64
    max_aspect: float = 3.0
    robots: bool = True
    opt_out: bool = True
    allow_private: bool = False
    roots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[!-~][ -~]*", self.user_agent):
            raise ValueError(f"--user-agent {self.user_agent!r}: give letters of ASCII, such as 'name/1.0 (+https://a.page)'")
        if self.timeout <= 0 or self.retries < 0 or self.max_bytes < 1 or self.min_side < 0 or self.max_aspect < 1:
            raise ValueError(
                "--timeout and --max-bytes are above 0, --retries and --min-side from 0, --max-aspect from 1; got "
                f"{self.timeout:g}, {self.max_bytes}, {self.retries}, {self.min_side}, {self.max_aspect:g}"
            )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A body as it came, and how it says that it is compressed."""

    body: bytes
    encoding: str


class Fetcher:
    """Asks for URLs in a session of aiohttp. slots: how many requests of the process there may be; each is held until the
    answer has been used, which bounds what is in memory.
    """

    def __init__(self, rules: Rules, session: Any, *, hosts: Hosts, slots: asyncio.Semaphore) -> None:
        self._rules, self._session, self._hosts, self._slots = rules, session, hosts, slots
        self._http = require("aiohttp", extra="data")

    async def fetch(self, url: Url, use: Callable[[Answer, str], Awaitable[T]], *, robots: Robots | None) -> T:
        """What `use` makes of the answer at the URL, or where it is redirected to, and of the host that gave it. FetchError
        where there is none. robots: is asked first.
        """
        passed, failures = [url], list[FetchError]()
        while True:
            host = self._hosts.of(url.raw_host)
            try:
                if robots is not None:
                    host.slow_down(await robots.delay(url))
                async with host.turn(self._slots):
                    answer = await self._ask(url, is_robots=robots is None)
                    host.tell("answered")
                    if isinstance(answer, Answer):
                        return await use(answer, url.raw_host)
            except FetchError as error:
                error.host = url.raw_host
                if error.reason == GIVEN_UP and failures:  # while this one waited for its next try
                    raise failures[-1] from None
                failures.append(error)
                host.tell(error.health)
                await self._pause(error, host, len(failures))
                continue
            if answer in passed or len(passed) > MAX_REDIRECTS:
                raise FetchError("too many redirects", "in a circle" if answer in passed else "")
            url = answer
            passed.append(url)

    async def _pause(self, error: FetchError, host: Host, tries: int) -> None:
        """Wait for the next try; the error where there is none."""
        if error.after is not None and error.after > MAX_PAUSE:
            host.give_up("it wants to be left alone for long")
            raise error
        if not error.again or tries > self._rules.retries:
            raise error
        pause = FIRST_PAUSE * 2 ** (tries - 1) * random.uniform(0.5, 1.5)  # or all that failed would come back together
        if error.after is not None:
            host.rest(error.after)
        else:
            await asyncio.sleep(pause)

    async def _ask(self, url: Url, *, is_robots: bool) -> Answer | Url:
        """An answer, or where to go on."""
        most = robots.MAX_BYTES if is_robots else self._rules.max_bytes
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                self._check_status(response.status, response.headers)
                if response.status in _REDIRECTS:
                    return self._target(url, response.headers)
                if not is_robots and self._rules.opt_out:
                    tags = response.headers.getall("X-Robots-Tag", ())
                    robots.check_opt_out(response.headers, tags, self._rules.user_agent)
                if not is_robots and (response.content_length or 0) > most:
                    raise FetchError("too large", f"{response.content_length:,} bytes", health="answered")
                body = await _read(response.content, most)
                if not is_robots and len(body) > most:
                    raise FetchError("too large", health="answered")
                return Answer(body=body, encoding=response.headers.get("Content-Encoding", ""))
        except (asyncio.TimeoutError, OSError, ValueError, self._http.ClientError) as error:
            raise self._failure(error) from None

    def _check_status(self, status: int, headers: Any) -> None:
        """FetchError for an answer that is neither what was asked for nor a redirect."""
        if status in (200, 203) or status in _REDIRECTS:
            return
        is_passing = status in (408, 425, 429) or 500 <= status < 600
        after = _seconds(headers.get("Retry-After", "")) if is_passing else None
        raise FetchError(str(status), again=is_passing, after=after, health="failed" if status in (429, 503) else "answered")

    def _target(self, url: Url, headers: Any) -> Url:
        """Where a redirect leads, which is looked at like any other URL."""
        try:
            target = str(url.join(require("yarl", extra="data").URL(headers.get("Location", ""))))
        except ValueError as error:
            raise FetchError("bad URL", f"redirect: {error}"[:200], health="answered") from None
        if "Location" not in headers:
            raise FetchError("bad answer", "a redirect to nowhere", health="answered")
        try:
            return read_url(target, allow_private=self._rules.allow_private)
        except FetchError as error:
            raise FetchError(error.reason, f"redirect: {error.detail}", health="answered") from None

    def _failure(self, error: Exception) -> Exception:
        """What an error of aiohttp's, or of the system's, tells about the URL."""
        http = self._http
        cause = getattr(error, "os_error", error)
        if isinstance(cause, OSError) and cause.errno in _OF_THIS_MACHINE:
            return OSError(cause.errno, f"{cause.strerror}: give a smaller --concurrency; the same command goes on")
        if isinstance(cause, RefusedAddressError):
            return FetchError("refused address", str(cause))
        if isinstance(cause, UnknownHostError):
            return FetchError("unknown host", again=cause.passing, health="failed")
        if isinstance(error, asyncio.TimeoutError):
            return FetchError("time-out", again=True, health="failed")
        if isinstance(error, (http.ClientSSLError, http.ServerFingerprintMismatch)):
            return FetchError("TLS", type(error).__name__, health="failed")
        if isinstance(error, http.ClientPayloadError):
            return FetchError("cut off", again=True, health="failed")
        if isinstance(error, http.InvalidURL):
            return FetchError("bad URL", type(error).__name__)
        if isinstance(error, (http.ClientResponseError, ValueError)):
            return FetchError("bad answer", type(error).__name__, health="failed")
        return FetchError("no connection", type(cause).__name__, again=True, health="failed")


async def _read(stream: Any, most: int) -> bytes:
    """A body, or its beginning where it has more than `most` bytes."""
    pieces, size = [], 0
    async for piece in stream.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            break
    return b"".join(pieces)


def _seconds(retry_after: str) -> float | None:
    """What Retry-After says: seconds, or a date."""
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def open_session(rules: Rules, resolver: Resolver) -> Any:
    """A session of aiohttp that knows no proxies, no passwords and no cookies, and connects where the resolver says."""
    http = require("aiohttp", extra="data")
    return http.ClientSession(
        connector=http.TCPConnector(resolver=resolver, use_dns_cache=False, limit=0, keepalive_timeout=2.0),
        timeout=http.ClientTimeout(total=rules.timeout, sock_connect=min(rules.timeout, _CONNECT_SECONDS)),
        headers={"User-Agent": rules.user_agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"},
        cookie_jar=http.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )
