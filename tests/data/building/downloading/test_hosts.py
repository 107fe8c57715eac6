import asyncio
import time
from itertools import pairwise

import pytest

from fullclip.data.building.downloading.failures import FetchError
from fullclip.data.building.downloading.hosts import GIVE_UP_AFTER, Hosts


def visits(hosts, names, *, slots, seconds=0.02):
    """(name, when it began, when it ended) of requests, in the order of their beginnings."""
    found = []

    async def one(host_name, free):
        async with hosts.of(host_name).turn(free):
            began = time.monotonic()
            await asyncio.sleep(seconds)
            found.append((host_name, began, time.monotonic()))

    async def everything():
        free = asyncio.Semaphore(slots)
        await asyncio.gather(*(one(name, free) for name in names))

    asyncio.run(everything())
    return sorted(found, key=lambda visit: visit[1])


def most_at_once(found):
    return max(sum(1 for _, begin, end in found if begin <= now < end) for _, now, _ in found)


def test_so_many_at_a_time_of_a_host_and_of_all():
    names = ["a"] * 6 + ["b"] * 6 + ["c"] * 6
    found = visits(Hosts(at_once=2, delay=0.0, ready_at={}), names, slots=4)
    for name in "abc":
        assert most_at_once([visit for visit in found if visit[0] == name]) == 2
    assert most_at_once(found) == 4


def test_a_slow_host_holds_up_nobody():
    hosts = Hosts(at_once=1, delay=0.0, ready_at={"slow": time.monotonic() + 0.3})
    found = visits(hosts, ["slow"] * 10 + ["quick"] * 3, slots=1, seconds=0.001)
    assert [name for name, _, _ in found][:3] == ["quick"] * 3


@pytest.mark.parametrize("slots", [1, 8])
def test_a_delay_is_between_all_two_requests_and_from_one_partition_to_the_next(slots):
    ready_at = {}
    found = []
    for _ in range(2):
        hosts = Hosts(at_once=3, delay=0.03, ready_at=ready_at)
        found += visits(hosts, ["a"] * 3 + ["b"], slots=slots, seconds=0.001)
        hosts.leave()
    begins = [begin for name, begin, _ in found if name == "a"]
    assert all(after - before >= 0.03 for before, after in pairwise(begins))
    time.sleep(0.05)
    Hosts(at_once=1, delay=0.0, ready_at=ready_at).leave()
    assert ready_at == {}


def test_a_host_rests():
    hosts = Hosts(at_once=2, delay=0.0, ready_at={})
    began = time.monotonic()
    hosts.of("a").rest(0.1)
    assert all(begin - began >= 0.1 for _, begin, _ in visits(hosts, ["a"] * 4, slots=4))


def test_who_fails_again_and_again_is_given_up():
    hosts = Hosts(at_once=2, delay=0.0, ready_at={})
    for _ in range(3):  # an answer in between, and it begins anew
        for _ in range(GIVE_UP_AFTER - 1):
            hosts.of("a").tell("failed")
        hosts.of("a").tell("answered")
    assert len(visits(hosts, ["a"], slots=1)) == 1
    for _ in range(GIVE_UP_AFTER):
        hosts.of("a").tell("failed")
    with pytest.raises(FetchError, match="host given up"):
        visits(hosts, ["a"], slots=1)
    hosts.of("b").give_up("it is Sunday")
    with pytest.raises(FetchError, match="it is Sunday"):
        visits(hosts, ["b"], slots=1)
    assert len(visits(hosts, ["c"], slots=1)) == 1
