"""robots.txt (RFC 9309) and opt-out headers: what hosts wish. Files are read once a host, and kept for a day.

4xx: there is no robots.txt, all is allowed. 5xx and 429: nothing is allowed. No answer: its URLs fail as it did.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fullclip.core.extras import require
from fullclip.data.building.downloading.addresses import Url
from fullclip.data.building.downloading.failures import FetchError

MAX_BYTES = 500 << 10
MAX_DELAY = 10.0
SECONDS_KEPT = 24 * 3600.0
OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})

_MAX_KEPT = 16 << 20  # characters of robots.txt in a process
_AGENT_LINE = re.compile(r"\s*user[-\s]*agent[\s:]*([^#\r\n]*)", re.IGNORECASE)
_NOT_ALLOWED = re.compile(r"5..|429")
_NO_FILE = re.compile(r"[1-4]..|too many redirects")


@dataclass(frozen=True, kw_only=True)
class RobotsFile:
    """What a host's robots.txt was; `reason` and `detail` where there was none to be had. fetched_at: seconds since 1970."""

    text: str = ""
    reason: str = ""
    detail: str = ""
    fetched_at: float = 0.0


class Kept:
    """The files that a process knows, by origin; the oldest go first."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, RobotsFile] = OrderedDict()
        self._size = 0

    def get(self, origin: str) -> RobotsFile | None:
        found = self._files.get(origin)
        return found if found is not None and time.time() - found.fetched_at < SECONDS_KEPT else None

    def put(self, origin: str, file: RobotsFile) -> None:
        before = self._files.pop(origin, None)
        self._files[origin] = file
        self._size += len(file.text) + 500 - (len(before.text) + 500 if before else 0)
        while self._size > _MAX_KEPT and len(self._files) > 1:
            _, gone = self._files.popitem(last=False)
            self._size -= len(gone.text) + 500


class Robots:
    """What robots.txt says to `user_agent` in one partition.

    get: the bytes at a URL. keep: is told of each file that was fetched.
    """

    def __init__(
        self,
        user_agent: str,
        kept: Kept,
        *,
        get: Callable[[Url], Awaitable[bytes]],
        keep: Callable[[str, RobotsFile], None],
    ) -> None:
        self._user_agent, self._kept, self._get, self._keep = user_agent, kept, get, keep
        self._parsed: dict[str, asyncio.Task[Any]] = {}

    async def delay(self, url: Url) -> float:
        """The seconds that the host wants between two requests; FetchError where it does not want this one at all."""
        origin = str(url.origin())
        if origin not in self._parsed:
            self._parsed[origin] = asyncio.create_task(self._load(origin, url))
        found = await self._parsed[origin]
        if isinstance(found, RobotsFile):
            raise FetchError(found.reason, found.detail)
        if not found.can_fetch(str(url), self._user_agent):
            raise FetchError("robots.txt")
        return min(float(found.crawl_delay(self._user_agent) or 0.0), MAX_DELAY)

    async def _load(self, origin: str, url: Url) -> Any:
        """Rules (a protego.Protego), or the file that failed."""
        file = self._kept.get(origin)
        if file is None:
            file = await self._fetch(url)
            self._kept.put(origin, file)
            self._keep(origin, file)
        if file.reason:
            return file
        parse = require("protego", extra="data").Protego.parse
        return await asyncio.to_thread(parse, relevant(file.text, self._user_agent))

    async def _fetch(self, url: Url) -> RobotsFile:
        now = time.time()
        try:
            body = await self._get(url.with_path("/robots.txt").with_query(None))
        except FetchError as error:
            if _NO_FILE.fullmatch(error.reason) and error.reason != "429":
                return RobotsFile(fetched_at=now)
            reason = "robots.txt" if _NOT_ALLOWED.fullmatch(error.reason) else error.reason
            return RobotsFile(reason=reason, detail=f"robots.txt: {error.detail or error.reason}", fetched_at=now)
        if len(body) > MAX_BYTES:
            body = body[:MAX_BYTES].rpartition(b"\n")[0]
        return RobotsFile(text=body.decode("utf-8-sig", "replace"), fetched_at=now)


def relevant(text: str, user_agent: str) -> str:
    """A robots.txt in which all agents that are not `user_agent` are one: thousands of agents with thousands of rules would
    take memory by their product.
    """
    lines = list[str]()
    for line in text.splitlines():
        found = _AGENT_LINE.match(line)
        if found and found[1].strip() and not _is_ours(found[1], user_agent):
            line = "User-agent: ~another~"
            if lines and lines[-1] == line:
                continue
        lines.append(line)
    return "\n".join(lines)


def _is_ours(named: str, user_agent: str) -> bool:
    name = named.replace("*", "").strip().lower()
    return name in user_agent.lower()  # "*" alone is everybody


def check_opt_out(headers: Mapping[str, str], tags: Iterable[str], user_agent: str) -> None:
    """FetchError where an answer's headers forbid what we do: `X-Robots-Tag` (`tags`: all of them) for all or for us, or
    `TDM-Reservation: 1`.
    """
    token = user_agent.partition("/")[0].strip().lower()
    if headers.get("TDM-Reservation", "").strip() == "1":
        raise FetchError("opted out", "TDM-Reservation", health="answered")
    for tag in tags:
        agent = "*"
        for part in tag.lower().split(","):
            name, colon, value = part.partition(":")
            if colon and name.strip() not in ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"):
                agent, part = name.strip(), value
            if agent in ("*", token) and part.strip() in OPT_OUTS:
                raise FetchError("opted out", f"X-Robots-Tag: {part.strip()}", health="answered")
