"""Hosts as they are treated: so many requests at a time, so long between two, given up when they fail again and again.

Knows nothing of HTTP.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fullclip.data.building.downloading.failures import FetchError, Health

GIVEN_UP = "host given up"
GIVE_UP_AFTER = 10  # tries in a row, of whichever URLs


class Host:
    """One host's turns, in the order in which they were asked for."""

    def __init__(self, *, at_once: int, delay: float, ready_at: float) -> None:
        self._turns, self._delay = asyncio.Semaphore(at_once), delay
        self.ready_at = ready_at
        self._failed_in_a_row, self._given_up = 0, ""

    @asynccontextmanager
    async def turn(self, slots: asyncio.Semaphore) -> AsyncIterator[None]:
        """A time to ask the host, with one of the process's slots, which nobody holds who waits for a host. FetchError where
        the host is given up.
        """
        async with self._turns:
            while True:
                self._check()
                while (pause := self.ready_at - time.monotonic()) > 0:
                    await asyncio.sleep(pause)
                    self._check()
                await slots.acquire()
                if self.ready_at <= time.monotonic():
                    break
                slots.release()  # another one had its turn meanwhile
            self.ready_at = time.monotonic() + self._delay
            try:
                yield
            finally:
                slots.release()

    def slow_down(self, delay: float) -> None:
        """At least so many seconds between two requests."""
        self._delay = max(self._delay, delay)

    def rest(self, seconds: float) -> None:
        """No request before that."""
        self.ready_at = max(self.ready_at, time.monotonic() + seconds)

    def tell(self, health: Health) -> None:
        """What became of a try."""
        if health == "answered":
            self._failed_in_a_row = 0
        elif health == "failed":
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= GIVE_UP_AFTER:
                self.give_up(f"{GIVE_UP_AFTER} tries in a row failed")

    def give_up(self, why: str) -> None:
        """From now on nobody has a turn."""
        self._given_up = self._given_up or why

    def _check(self) -> None:
        if self._given_up:
            raise FetchError(GIVEN_UP, self._given_up)


class Hosts:
    """The hosts of a partition. ready_at: from when on a host may be asked, kept by the process."""

    def __init__(self, *, at_once: int, delay: float, ready_at: dict[str, float]) -> None:
        self._at_once, self._delay, self._ready_at = at_once, delay, ready_at
        self._hosts: dict[str, Host] = {}

    def of(self, name: str) -> Host:
        if name not in self._hosts:
            self._hosts[name] = Host(at_once=self._at_once, delay=self._delay, ready_at=self._ready_at.get(name, 0.0))
        return self._hosts[name]

    def leave(self) -> None:
        """Keep for the next partition who may not be asked yet."""
        now = time.monotonic()
        self._ready_at.update({name: host.ready_at for name, host in self._hosts.items()})
        for name in [name for name, ready_at in self._ready_at.items() if ready_at <= now]:
            del self._ready_at[name]
