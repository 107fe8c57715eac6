"""Wiki markup to text: what is seen and what is not; markup made to take for ever."""

import re
import time

import mwparserfromhell
import pytest
from hypothesis import given, strategies as st

from fullclip.data.building.queries.markup import plain_text

HIDDEN = {"file", "image", "category", "datei"}


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@pytest.mark.parametrize(
    ("markup", "seen"),
    [
        ("A '''bold''' ''slanted'' word", "A bold slanted word"),
        ("the [[dog]]s and [[cat (animal)|cats]]", "the dogs and cats"),
        ("[[File:a.jpg|thumb|a [[dog]] in {{it}}]]before", "before"),
        ("[[Datei:a.jpg|thumb|x]][[Category:Dogs]][[fr:Chien]][[zh-min-nan:x]]a", "a"),
        ("[[:Category:Dogs|dogs]] [[Star Wars: a film]] [[de:Hund|Hund]]", "dogs Star Wars a film Hund"),
        ("a{{infobox|x={{y|[[z]]}}|w}} b", "a b"),
        ("a<ref name=x>see [[b]]</ref> c<ref name=x /> d", "a c d"),
        ("<math>x^2</math>a<!-- b --> c<!-- d", "a c"),
        ("a<br/>b <span style='x'>c</span> &eacute;&#x41;&amp;", "a b c éA"),
        ("see [http://a.b/c?d the site], http://e.f/g or [https://h.i]", "see the site or"),
        ("== Head ==\n* one\n** two\n: three\n----\nend", "Head one two three end"),
        ('{| class="wikitable"\n|+ name\n|-\n! scope="row" | a !! b\n|-\n| style="x"| c || d\n|}', "name a b c d"),
        ("__NOTOC__ a", "a"),
        ("a {{b c", "a b c"),
        ("a [[b c", "a b c"),
        ("a }} b ]] c |} <ref>d", "a b c d"),
        ("{{a [[b}} c]] d", "c d"),
        ("<ref>a {{b</ref>c }} d", "c d"),
        ("5 < 6 [sic] {x}", "5 6 sic x"),
        ("", ""),
    ],
)
def test_what_is_seen(markup, seen):
    assert words(plain_text(markup, HIDDEN)) == words(seen)


PIECES = st.recursive(
    st.sampled_from(["dog", "red cat", " ", "\n\n", "&amp;", "[[target|red label]]", "[[dog]]s", "[http://a.b label]"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        inner.map(lambda text: f"'''{text}'''" if "\n" not in text else text),
        inner.map(lambda text: "{{name|" + text + "}}"),
        inner.map(lambda text: "<!-- " + text.replace("<!--", "").replace("-->", "") + " -->"),
        inner.map(lambda text: "<span>" + text + "</span>"),
    ),
    max_leaves=12,
)


@given(PIECES)
def test_whole_markup_reads_as_the_parser_alone_reads_it(markup):
    markup = f"start {markup} end"
    assert words(plain_text(markup, HIDDEN)) == words(str(mwparserfromhell.parse(markup).strip_code()))


@pytest.mark.faults
@pytest.mark.parametrize(
    "unit",
    [
        "{{a|", "{{", "{{{", "[[", "[[a|", "[http://a ", "<b>", "<ref>", "'''", "{|\n", "\n|-\n| a=", "!!", "----\n", "\n*#:;",
        "<!--", "&#", "<b<", "__A", "[[File:", "{{[[<ref>{|\n", "}}]]</ref>\n|}", "[[a|b]]", "\n== ", "a='", "|a=b",
    ],
)  # fmt: skip
def test_hostile_markup_takes_no_longer_than_other(unit):
    """The parser alone takes 9 s for 5,000 times "{{a|", and hours for these."""
    began = time.monotonic()
    plain_text(unit * (150_000 // len(unit)), HIDDEN)
    assert time.monotonic() - began < 10


UNITS = [
    "{{", "}}", "[[", "]]", "<ref>", "</ref>",
    "\n{|", "\n|}", "[http://a ", "]", "|", "||", "\n", "a", "'", "<!--", "-->", "<b", "&"
]  # fmt: skip


@pytest.mark.faults
@given(st.lists(st.sampled_from(UNITS), max_size=40))
def test_no_markup_fails(units):
    assert isinstance(plain_text("".join(units), HIDDEN), str)
