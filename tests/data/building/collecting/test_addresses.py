import pytest
from hypothesis import given, settings, strategies as st

from fullclip.data.building.collecting.addresses import AddressError, absolute, of_table
from fullclip.data.building.collecting.images import reason_of_size
from fullclip.data.building.collecting.settings import ImageRules

BASE = "https://a.org/dir/page.html?x#y"
RULES = ImageRules()


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("b.jpg", "https://a.org/dir/b.jpg"),
        ("/b.jpg#part", "https://a.org/b.jpg"),
        ("../../../b.jpg", "https://a.org/b.jpg"),
        ("//c.org/b.jpg", "https://c.org/b.jpg"),
        ("HTTP://C.org:80/b.jpg", "http://c.org/b.jpg"),
        ("http://c.org:8080/b.jpg", "http://c.org:8080/b.jpg"),
        ("http://c.org.", "http://c.org/"),
        (" a b.jpg\n", "https://a.org/dir/a%20b.jpg"),
        ("a%20b.jpg?x=ä b&y=%C3%A4", "https://a.org/dir/a%20b.jpg?x=%C3%A4%20b&y=%C3%A4"),
        ("http://bücher.de/ä.jpg", "http://xn--bcher-kva.de/%C3%A4.jpg"),
        ("b.jp\n\tg", "https://a.org/dir/b.jpg"),
        ("http://[::1]:81/a.png", "http://[::1]:81/a.png"),
        ("?id=3", "https://a.org/dir/page.html?id=3"),
        ("\ud800.jpg", "https://a.org/dir/%EF%BF%BD.jpg"),
    ],
)
def test_addresses_become_absolute(written, address):
    assert absolute(BASE, written, RULES) == address


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "no address"),
        ("  ", "no address"),
        ("data:image/png;base64,xx", "data:"),
        ("javascript:alert(1)", "another scheme"),
        ("file:///etc/passwd", "another scheme"),
        ("ftp://a.org/b.jpg", "another scheme"),
        ("http://[broken/a.jpg", "broken"),
        ("http:///a.jpg?", "broken"),
        ("http://a.org:99999999/a.jpg", "broken"),
        ("http://user:word@a.org/a.jpg", "broken"),
        ("http://a b.org/a.jpg", "broken"),
        ("http://" + "ä" * 80 + ".de/", "broken"),
        ("a" * 2001, "over 2,000"),
        ("ä" * 500, "over 2,000"),
        ("logo.SVG?v=2", ".svg"),
        ("favicon.ico", ".ico"),
    ],
)
def test_addresses_that_are_left_out(written, reason):
    with pytest.raises(AddressError, match=reason.replace(".", r"\.")):
        absolute(BASE, written, RULES)


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=40))
def test_an_address_is_its_own_address_and_one_line_of_ascii(written):
    try:
        found = absolute(BASE, written, RULES)
    except AddressError:
        return
    assert absolute("", found, RULES) == found
    assert found.isascii()
    assert not any(character.isspace() for character in found)
    assert "#" not in found


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("a.jpg", "/data/a.jpg"),
        ("/other/a b.jpg", "/other/a b.jpg"),
        ("s3://bucket/a.jpg", "s3://bucket/a.jpg"),
        ("https://a.org/a b.jpg", "https://a.org/a%20b.jpg"),
    ],
)
def test_addresses_in_tables(written, address):
    assert of_table(written, "/data", RULES) == address


@pytest.mark.parametrize("written", ["", "javascript:x", "a\0b", "a.svg", "data:image/png;base64,xx", "http://[x/"])
def test_addresses_in_tables_that_are_left_out(written):
    with pytest.raises(AddressError):
        of_table(written, "/data", RULES)


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (None, None, None),
        (64, 64, None),
        (192, 64, None),
        (193, 64, "longer"),
        (64, 193, "longer"),
        (1, 1, "under 64"),
        (None, 63, "under 64"),
        (5000, None, None),
        (0, 0, "under 64"),
    ],
)
def test_rules_for_declared_sizes(width, height, reason):
    found = reason_of_size(width, height, RULES)
    assert (found is None) if reason is None else (reason in found)
