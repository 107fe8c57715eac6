"""Which addresses may be asked: a text in, a URL that may be asked out; a host's name in, its public addresses out.

Addresses are checked where they are connected to, so that a name that changes its address between a look and a connection
is no way in. Knows nothing of HTTP.
"""

import asyncio
import re
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from fullclip.core.extras import require
from fullclip.data.building.downloading.failures import FetchError, RefusedAddressError, UnknownHostError

Url = Any  # a yarl.URL: aiohttp's own, so that what is checked is what is asked
Found = tuple[int, str]  # family, address
Lookup = Callable[[str], Awaitable[Sequence[Found]]]

MAX_URL = 8192
SECONDS_KNOWN, SECONDS_UNKNOWN = 300.0, 30.0
_MAX_NAMES = 20_000
_HOST = re.compile(r"[A-Za-z0-9._-]+")
# Public by their numbers, and not to be asked: Azure's metadata, relays to IPv6, former and future documentation.
_NOT_ASKED = [IPv4Network(one) for one in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4")]
_GLOBAL_IPV6 = IPv6Network("2000::/3")
_NOT_ASKED_IPV6 = [IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet. An IPv6 address with one of IPv4 in it is judged by that."""
    if "%" in address:  # a zone: never of a public address
        return False
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _NAT64:
            found = IPv4Address(int(found) & 0xFFFFFFFF)
        else:
            return found in _GLOBAL_IPV6 and found.is_global and not any(found in network for network in _NOT_ASKED_IPV6)
    return found.is_global and not found.is_multicast and not any(found in network for network in _NOT_ASKED)


def may_be_asked(address: str, *, allow_private: bool) -> bool:
    """Whether an address may be asked: a public one or, with `allow_private`, one of the own network. Never one of the link
    alone, where clouds tell their secrets, nor one that is nobody's.
    """
    if not allow_private:
        return is_public(address)
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return not (found.is_link_local or found.is_multicast or found.is_unspecified or found in _NOT_ASKED[0])


def read_url(text: str, *, allow_private: bool) -> Url:
    """The URL that a text is, without its fragment; FetchError where it may not be asked.

    Asked are http:// and https:// on ports 80, 443 and 8000 to 8999 (any with `allow_private`), without user and password.
    An address stands in the form that everybody writes; others ("0x7f.1", "2130706433") are read differently here and there.
    """
    if len(text) > MAX_URL:
        raise FetchError("bad URL", f"over {MAX_URL:,} characters")
    try:
        url = require("yarl", extra="data").URL(text.strip()).with_fragment(None)
        scheme, host, port, user = url.scheme, url.raw_host, url.port, url.user or url.password
    except ValueError as error:  # also of a host that is no name
        raise FetchError("bad URL", str(error)[:200]) from None
    if scheme not in ("http", "https"):
        raise FetchError("bad URL", "not http:// or https://")
    if not host or user:
        raise FetchError("bad URL", "user and password" if user else "no host")
    if ":" not in host and not _HOST.fullmatch(host):
        raise FetchError("bad URL", "no name of a host")
    check_literal(host, allow_private=allow_private)
    if not allow_private and port not in (80, 443) and not 8000 <= port <= 8999:
        raise FetchError("refused port", str(port))
    return url


def check_literal(host: str, *, allow_private: bool) -> None:
    """FetchError where the host is an address that may not be asked, or an IPv4 address in an odd form."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        if ":" in host:
            raise FetchError("bad URL", "no name of a host") from None
        try:
            socket.inet_aton(host.rstrip("."))  # what the system would take for an address
        except OSError:
            return
        raise FetchError("refused address", f"{host}: an odd form") from None
    if not may_be_asked(host, allow_private=allow_private):
        raise FetchError("refused address", host)


async def look_up(host: str) -> Sequence[Found]:
    """The addresses of a host by the system's resolver."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise UnknownHostError(host, passing=error.errno == socket.EAI_AGAIN) from None
    except (OSError, UnicodeError):
        raise UnknownHostError(host, passing=False) from None
    return list(dict.fromkeys((int(family), str(address[0])) for family, _, _, _, address in found))


class Resolver:
    """Names to addresses for aiohttp, which connects to what comes from here and to nothing else. Known ones are kept for five
    minutes, also from one partition to the next.
    """

    def __init__(self, *, allow_private: bool, lookup: Lookup = look_up) -> None:
        self._allow_private, self._lookup = allow_private, lookup
        self._known: OrderedDict[str, tuple[float, Sequence[Found] | OSError]] = OrderedDict()

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        """As aiohttp wants them. RefusedAddressError where no address may be asked, UnknownHostError where there is none."""
        until, found = self._known.get(host, (0.0, ()))
        if until <= time.monotonic():
            found = await self._ask(host)
            seconds = SECONDS_UNKNOWN if isinstance(found, OSError) else SECONDS_KNOWN
            self._known[host] = (time.monotonic() + seconds, found)
            while len(self._known) > _MAX_NAMES:
                self._known.popitem(last=False)
        if isinstance(found, RefusedAddressError):
            raise RefusedAddressError(str(found))
        if isinstance(found, UnknownHostError):
            raise UnknownHostError(host, passing=found.passing)
        assert not isinstance(found, OSError)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            {"hostname": host, "host": address, "port": port, "family": kind, "proto": 0, "flags": flags}
            for kind, address in found
            if family in (socket.AF_UNSPEC, kind)
        ]

    async def _ask(self, host: str) -> Sequence[Found] | OSError:
        try:
            found = await self._lookup(host)
        except UnknownHostError as error:
            return error
        usable = [one for one in found if may_be_asked(one[1], allow_private=self._allow_private)]
        return usable or RefusedAddressError(f"{host} is {found[0][1]}" if found else host)

    async def close(self) -> None:
        """Nothing is open."""
