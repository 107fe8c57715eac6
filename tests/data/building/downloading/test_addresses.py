import asyncio
import ipaddress
import socket

import pytest
from hypothesis import given, strategies as st

from fullclip.data.building.downloading import addresses
from fullclip.data.building.downloading.addresses import Resolver, is_public, read_url
from fullclip.data.building.downloading.failures import FetchError, RefusedAddressError, UnknownHostError

PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
PRIVATE = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    "0.0.0.0",  # noqa: S104
    *("100.100.100.200", "168.63.129.16", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "192.0.0.192"),
    *("198.18.0.1", "192.0.2.1", "203.0.113.9", "192.88.99.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1"),
    *("fd00:ec2::254", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::1"),
    *("64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "100::1", "::7f00:1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_asked(address):
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_others_may_not(address):
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_within_ipv6(address):
    expected = is_public(str(address))
    assert is_public(f"::ffff:{address}") == expected
    assert is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address)))) == expected
    if address.is_private or address.is_multicast or address.is_loopback:
        assert not expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://127.0.0.1/a.jpg", "refused address"),
        ("http://2130706433/", "refused address"),
        ("http://0x7f.1/", "refused address"),
        ("http://0177.0.0.1/", "refused address"),
        ("http://127.1/", "refused address"),
        ("http://127.0.0.1./", "refused address"),
        ("http://[::1]/", "refused address"),
        ("http://[::ffff:127.0.0.1]:80/", "refused address"),
        ("http://[fe80::1%25eth0]/", "refused address"),
        ("http://①②⑦.⓪.⓪.①/", "refused address"),
        ("http://134744072/", "refused address"),  # 8.8.8.8 in an odd form
        ("http://169.254.169.254/latest/meta-data/", "refused address"),
        ("http://example.org:22/", "refused port"),
        ("http://example.org:6379/", "refused port"),
        ("http://user:password@example.org/", "bad URL"),
        ("http://user@example.org/", "bad URL"),
        ("ftp://example.org/a.jpg", "bad URL"),
        ("file:///etc/passwd", "bad URL"),
        ("s3://bucket/a.jpg", "bad URL"),
        ("data:image/png;base64,AAAA", "bad URL"),
        ("gopher://example.org/", "bad URL"),
        ("http://", "bad URL"),
        ("http:///a.jpg", "bad URL"),
        ("http://exa mple.org/", "bad URL"),
        ("http://example.org:99999/", "bad URL"),
        ("http://[::1/", "bad URL"),
        ("http://example.org/" + "a" * 9000, "bad URL"),
        ("http://example.org\r\nHost: other/", "bad URL"),
        ("http://\ud800.org/", "bad URL"),
    ],
)
def test_what_may_not_be_asked(text, reason):
    with pytest.raises(FetchError) as caught:
        read_url(text, allow_private=False)
    assert caught.value.reason == reason


@pytest.mark.parametrize("port", [80, 443, 8000, 8080, 8443, 8999])
def test_usual_ports(port):
    assert read_url(f"http://example.org:{port}/", allow_private=False).port == port


def test_urls_that_mean_the_same_are_one():
    texts = ["http://Example.org/a b.jpg#top", " http://example.org/a%20b.jpg\n", "http://example.org:80/a%20b.jpg"]
    assert {str(read_url(text, allow_private=False)) for text in texts} == {"http://example.org/a%20b.jpg"}


def test_one_s_own_network():
    assert read_url("http://127.0.0.1:5000/", allow_private=True).port == 5000
    with pytest.raises(FetchError):
        read_url("http://2130706433/", allow_private=True)


@given(st.text())
def test_any_text_is_a_url_or_a_failure(text):
    for given_text in (text, f"http://{text}", f"http://example.org/{text}"):
        try:
            url = read_url(given_text, allow_private=False)
        except FetchError as error:
            told = error.reason
        else:
            told = url.scheme
            assert str(read_url(str(url), allow_private=False)) == str(url)
        assert told in ("bad URL", "refused address", "refused port", "http", "https")


def resolve(resolver, host, **options):
    return [one["host"] for one in asyncio.run(resolver.resolve(host, 80, **options))]


def lookup(table, asked):
    async def find(host):
        asked.append(host)
        if host not in table:
            raise UnknownHostError(host, passing=False)
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in table[host]]

    return find


def test_names_of_private_addresses_are_refused_and_remembered():
    asked = []
    table = {"mixed": ["10.0.0.1", "8.8.8.8", "2606:4700::1111"], "inside": ["192.168.0.1", "::1"]}
    resolver = Resolver(allow_private=False, lookup=lookup(table, asked))
    assert resolve(resolver, "mixed", family=socket.AF_UNSPEC) == ["8.8.8.8", "2606:4700::1111"]
    assert resolve(resolver, "mixed") == ["8.8.8.8"]
    for host, error in [("inside", RefusedAddressError), ("inside", RefusedAddressError), ("none", UnknownHostError)] * 2:
        with pytest.raises(error):
            resolve(resolver, host)
    assert asked == ["mixed", "inside", "none"]
    everything = Resolver(allow_private=True, lookup=lookup(table, asked))
    assert resolve(everything, "inside", family=socket.AF_UNSPEC) == ["192.168.0.1", "::1"]


def test_names_are_asked_again_after_a_while(monkeypatch):
    asked = []
    resolver = Resolver(allow_private=False, lookup=lookup({"host": ["8.8.8.8"]}, asked))
    now = [0.0]
    monkeypatch.setattr(addresses.time, "monotonic", lambda: now[0])
    for now[0] in (1.0, 299.0, 302.0):
        assert resolve(resolver, "host") == ["8.8.8.8"]
    assert asked == ["host", "host"]


def test_the_system_knows_the_loopback():
    assert {address for _, address in asyncio.run(addresses.look_up("localhost"))} <= {"127.0.0.1", "::1"}
    with pytest.raises(RefusedAddressError):
        resolve(Resolver(allow_private=False), "localhost", family=socket.AF_UNSPEC)
    with pytest.raises(UnknownHostError):
        resolve(Resolver(allow_private=False), "a" * 70 + ".org")
