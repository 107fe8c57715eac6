"""A partition's URLs, all at once: texts in, an entry of the journal for each out, whether fetched now or before.

Decoding goes on in threads, beside the asking.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from fullclip.data.building.downloading.addresses import Resolver, read_url
from fullclip.data.building.downloading.failures import FetchError
from fullclip.data.building.downloading.fetch import Answer, Fetcher, Rules, open_session
from fullclip.data.building.downloading.hosts import GIVEN_UP, Hosts
from fullclip.data.building.downloading.journal import Entry, Journal
from fullclip.data.building.downloading.local import read_local
from fullclip.data.building.downloading.pictures import decompressed, look
from fullclip.data.building.downloading.robots import Kept, Robots, RobotsFile

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_NAMES_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a process asks; the result does not depend on it.

    concurrency: requests at a time. per_host, host_delay: of them to one host, and the seconds between two. threads: that
    decode.
    """

    concurrency: int = 64
    per_host: int = 2
    host_delay: float = 0.0
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.concurrency, self.per_host, self.threads) < 1 or not 0 <= self.host_delay < 3600:
            raise ValueError(
                "--concurrency and --per-host are from 1, --host-delay from 0 to 3,600 seconds; got "
                f"{self.concurrency}, {self.per_host}, {self.host_delay:g}"
            )


@dataclass(kw_only=True)
class Memory:
    """What a process knows from one partition to the next: names, robots.txt, who may not be asked yet."""

    resolver: Resolver
    kept: Kept = field(default_factory=Kept)
    ready_at: dict[str, float] = field(default_factory=dict)


def target_of(text: Any, rules: Rules) -> str:
    """What is fetched for a row's `url`, the same for texts that mean the same; FetchError where there is nothing."""
    if not isinstance(text, str) or not text.strip():
        raise FetchError("no URL")
    if _SCHEME.match(text.strip()):
        return str(read_url(text, allow_private=rules.allow_private))
    if not text.startswith("/"):
        raise FetchError("local path", "not a whole path")
    return text


def crawl(targets: Sequence[str], *, rules: Rules, pace: Pace, journal: Journal, memory: Memory) -> dict[str, Entry]:
    """The entry of each target; `facts` has a reason where it gave no picture."""
    return asyncio.run(_Crawl(rules, pace, journal, memory).run(targets))


class _Crawl:
    def __init__(self, rules: Rules, pace: Pace, journal: Journal, memory: Memory) -> None:
        self._rules, self._pace, self._journal, self._memory = rules, pace, journal, memory
        self._hosts = Hosts(at_once=pace.per_host, delay=pace.host_delay, ready_at=memory.ready_at)

    async def run(self, targets: Sequence[str]) -> dict[str, Entry]:
        found = dict[str, Entry]()
        for entry in self._journal.entries:
            self._remember(entry, found)
        left = [target for target in dict.fromkeys(targets) if target not in found]
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_NAMES_AT_ONCE))  # which asks for names
        slots = asyncio.Semaphore(self._pace.concurrency)
        with ThreadPoolExecutor(self._pace.threads) as self._threads:
            async with open_session(self._rules, self._memory.resolver) as session:
                self._fetcher = Fetcher(self._rules, session, hosts=self._hosts, slots=slots)
                agent, kept = self._rules.user_agent, self._memory.kept
                robots = Robots(agent, kept, get=self._get_robots, keep=self._keep_robots) if self._rules.robots else None
                found.update(zip(left, await _together([self._one(target, robots) for target in left]), strict=True))
        self._hosts.leave()
        return found

    def _remember(self, entry: Entry, found: dict[str, Entry]) -> None:
        """What a run before, which was killed, has written."""
        facts = entry.facts
        if "robots" in facts:
            self._memory.kept.put(facts["robots"], RobotsFile(**facts["file"]))
        elif "url" in facts:
            found[facts["url"]] = entry
            if facts["host"]:
                self._hosts.of(facts["host"]).tell(facts["health"])
                if facts["reason"] == GIVEN_UP:
                    self._hosts.of(facts["host"]).give_up(facts["detail"])

    async def _one(self, target: str, robots: Robots | None) -> Entry:
        loop = asyncio.get_running_loop()

        async def use(answer: Answer, host: str) -> Entry:
            return await loop.run_in_executor(self._threads, self._keep, target, answer, host)

        try:
            if target.startswith("/"):
                return await loop.run_in_executor(self._threads, self._keep_local, target)
            url = read_url(target, allow_private=self._rules.allow_private)
            return await self._fetcher.fetch(url, use, robots=robots)
        except FetchError as error:
            facts = {"reason": error.reason, "detail": error.detail, "host": error.host, "health": error.health}
            return self._journal.append({"url": target, **facts})

    def _keep(self, target: str, answer: Answer, host: str) -> Entry:
        """In a thread: look at a body, and write it down."""
        rules = self._rules
        body = decompressed(answer.body, answer.encoding, max_bytes=rules.max_bytes)
        picture = look(body, min_side=rules.min_side, max_aspect=rules.max_aspect)
        facts = {"sha256": hashlib.sha256(body).hexdigest(), **asdict(picture), "host": host, "health": "answered"}
        return self._journal.append({"url": target, "reason": "", "detail": "", **facts}, body)

    def _keep_local(self, path: str) -> Entry:
        body = read_local(path, roots=self._rules.roots, max_bytes=self._rules.max_bytes)
        return self._keep(path, Answer(body=body, encoding=""), "")

    async def _get_robots(self, url: Any) -> bytes:
        async def use(answer: Answer, host: str) -> bytes:
            return decompressed(answer.body, answer.encoding, max_bytes=self._rules.max_bytes)

        return await self._fetcher.fetch(url, use, robots=None)

    def _keep_robots(self, origin: str, file: RobotsFile) -> None:
        self._journal.append({"robots": origin, "file": asdict(file)})


async def _together(coroutines: Sequence[Any]) -> list[Any]:
    """What all give, in their order; at the first error that is not a URL's the others are stopped."""
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
