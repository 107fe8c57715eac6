"""Work of several sides -> how fast each does it, all in turn, so that a load which comes and goes falls on all of them."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fullclip.core.processor import keep_freed_memory


@dataclass(frozen=True, kw_only=True)
class Side:
    """Some work: what is called, how many things a call is done with, and what is done before it is timed."""

    call: Callable[[], object]
    count: int = 1
    prepare: Callable[[], None] = keep_freed_memory


def rates(sides: Sequence[Side], *, rounds: int, seconds: float = 0.0) -> list[tuple[float, ...]]:
    """Things a second of each side, for each round. A round calls a side again until so many seconds have passed. What a first
    call does more than others is for the caller to have done before.
    """
    found: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, values in zip(sides, found, strict=True):
            values.append(_rate(side, seconds))
    return [tuple(values) for values in found]


def _rate(side: Side, seconds: float) -> float:
    side.prepare()
    calls, start, passed = 0, time.perf_counter(), 0.0
    while not calls or passed < seconds:
        side.call()
        calls, passed = calls + 1, time.perf_counter() - start
    return calls * side.count / passed


def each_took(rates: tuple[float, ...]) -> tuple[float, ...]:
    """Rates as the seconds that one thing takes."""
    return tuple(1 / rate for rate in rates)


def process(*command: str) -> str:
    """What a process of its own answers on stdout; ValueError with its last line on stderr where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise ValueError(f"{command[-1][:60]!r}: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}")
    return done.stdout
