import html
import string
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings, strategies as st

from fullclip.data.building.collecting.markup import End, Start, events, unescape_attribute
from fullclip.data.building.collecting.pages import read_page

IMAGES = frozenset({"img"})


class Reference(HTMLParser):
    """Images as the standard library finds them."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            first = {}
            for name, value in attrs:
                first.setdefault(name, value or "")
            self.found.append(first)


def reference(text):
    parser = Reference()
    parser.feed(text)
    parser.close()
    return parser.found


def images(text):
    return [{name: event.get(name) for name in event.attributes} for event in events(text, IMAGES) if isinstance(event, Start)]


WORDS = st.text(alphabet=string.ascii_letters + " äß日.,-_()#", max_size=12)
NAMES = st.sampled_from(["src", "alt", "title", "width", "data-src", "ALT", "class"])
VALUES = st.tuples(WORDS, st.sampled_from(['"', "'"])).map(lambda one: one[1] + html.escape(one[0]) + one[1])
ATTRIBUTES = st.lists(st.tuples(NAMES, st.sampled_from(["=", " = ", "=\n"]), VALUES).map("".join), max_size=4)
IMAGE = ATTRIBUTES.map(lambda given: "<img " + " ".join(given) + ">")
CLOSED = ATTRIBUTES.map(lambda given: "<IMG\n" + "\t".join(given) + " />")
OTHER = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<b class='x>y'>",
        "</div >",
        "<!-- <img src=a> -->",
        "<!doctype html>",
        "<script>'<img src=b>'</script>",
        "<style>a{}</style>",
        "<a href='?a=1&b=2'>",
        "<br/>",
        "< no tag",
        "a & b",
        "&lt;img src=c&gt;",
        "<td\tx=1 y>",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(IMAGE, CLOSED, OTHER, WORDS), max_size=12))
def test_the_images_of_a_page_are_those_that_the_standard_library_finds(parts):
    text = "\n".join(parts)
    assert images(text) == reference(text)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="<>!-/ \"'=ai\nmgsrcpt&;", max_size=60))
def test_any_characters_give_events_and_no_error(text):
    found = list(events(text, IMAGES))
    assert all(isinstance(event, Start | End | str) for event in found)
    assert sum(len(event) for event in found if isinstance(event, str)) <= len(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<img src=a.jpg alt=one/>", [{"src": "a.jpg", "alt": "one/"}]),
        ("<img/src=a/alt='b'>", [{"src": "a/alt='b'"}]),
        ("<img src='a' src='b'>", [{"src": "a"}]),
        ("<img alt src=a>", [{"alt": "", "src": "a"}]),
        ("<img =x src=a>", [{"=x": "", "src": "a"}]),
        ("<img src=a alt='never closed>", []),
        ("<img src=a", []),
        ("<imgs src=a><img-x src=a>", []),
        ("<div title='<img src=a>'><img src=b>", [{"src": "b"}]),
        ('<div title=x"><img src=b>', [{"src": "b"}]),
        ("<p a='>' b = \">\" c><img src=a>", [{"src": "a"}]),
        ('<p ="x>y"><img src=a>', [{"src": "a"}]),
        ('<p a=b"c><img src=a>', [{"src": "a"}]),
        ("<p a='b'c=\">\"><img src=a>", [{"src": "a"}]),
        ("<!--><img src=a>", [{"src": "a"}]),
        ("<!-- --!><img src=a>", [{"src": "a"}]),
        ("<!-- <img src=a>", []),
        ("<?xml <img src=a>", []),
        ("</ <img src=a><img src=b>", [{"src": "b"}]),
        ("<![CDATA[<img src=a>]]><img src=b>", [{"src": "b"}]),
        ("<SCRIPT>x</scripts><img src=a></script ><img src=b>", [{"src": "b"}]),
        ("<script/><img src=a></script><img src=b>", [{"src": "b"}]),
        ("<textarea><img src=a></textarea><title><img src=a></title><noscript><img src=b></noscript>", [{"src": "b"}]),
        ("<plaintext><img src=a>", []),
        ("a < b <img src=a>", [{"src": "a"}]),
    ],
)
def test_what_the_html_standard_says_of_a_tag(text, expected):
    assert images(text) == expected


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a &amp; b", "a & b"),
        ("&#65;&#x42;&#67", "ABC"),
        ("?a=1&copy=2&region=3", "?a=1&copy=2&region=3"),
        ("&copy 2020", "© 2020"),
        ("&copyright", "&copyright"),
        ("&notaname;", "&notaname;"),
        ("&#xD800;", "\ufffd"),
    ],
)
def test_references_in_attributes(written, meant):
    assert unescape_attribute(written) == meant


HOSTILE = {
    "nested elements": "<div><b><figure>" * 300_000,
    "images": "<img src=a.jpg alt='hello world'>" * 150_000,
    "attributes": "<img " + " ".join(f"a{number}=1" for number in range(400_000)) + ">",
    "opening brackets": "<" * 1_000_000,
    "tags without end": "<img src=a " * 450_000,
    "open quotes": "<p a='\"" * 700_000,
    "values in quotes": "<p a='b' c=\"d\" e=f'>" * 300_000,
    "quotes after quotes": "<p " + "a='b' " * 800_000,
    "names before quotes": "<p " + "a" * 3_000_000 + "='",
    "comments": "<!--" * 1_200_000,
    "scripts": "<script>" * 600_000,
    "spaces": "<img" + " " * 1_000_000,
    "equals": "<img " + "=" * 1_000_000,
    "slashes": "<img " + "/ " * 2_500_000,
    "a srcset": "<img srcset='" + "a 1w," * 900_000 + "'>",
    "figures with captions": "<figure><figcaption>a" * 100_000 + "<img src=a>" * 1000 + "</figure>" * 100_000,
    "references": "<img src='" + "&amp;" * 1_000_000 + "'>",
    "a style": "<img src=a style='" + "width:" * 800_000 + "'>",
}


@pytest.mark.faults
@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_made_to_take_long_takes_seconds(name):
    """A million characters of each kind; what grows with the square of the length would take hours."""
    text = HOSTILE[name][: 1 << 20]
    began = time.process_time()
    page = read_page(text, "http://a.org/", max_images=1000)
    assert time.process_time() - began < 10
    assert len(page.pictures) <= 1000


@pytest.mark.faults
def test_a_million_nested_elements_do_not_end_the_process():
    code = (
        "from fullclip.data.building.collecting.pages import read_page\n"
        "page = read_page('<div>' * 1_000_000 + '<img src=a.jpg alt=deep>', 'http://a.org/', max_images=9)\n"
        "print(page.pictures[0].texts)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "(('alt', 'deep'),)")
