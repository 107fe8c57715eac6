"""Dumps: which pages are articles; torn and hostile ones."""

import gzip

import pytest

from fullclip.data.building.queries.wikipedia import MAX_CHARACTERS, Dump
from fullclip.data.drops import Drops
from wikis import dump_text, page, write_dump


def read(path, drops=None):
    dump = Dump(str(path), drops or Drops(strict=True))
    return [(found.title, found.text) for found in dump], dump


def test_articles_and_names_of_namespaces(tmp_path):
    pages = [page("Dog", "A '''dog''' & <b>more</b>"), page("Müller: the film", "text")]
    found, dump = read(write_dump(tmp_path / "a.xml.bz2", pages))
    assert found == [("Dog", "A '''dog''' & <b>more</b>"), ("Müller: the film", "text")]
    assert dump.hidden == {"file", "image", "category", "datei", "kategorie"}
    assert (dump.num_pages, dump.stream.told().name) == (2, "a.xml.bz2")


def test_what_is_no_article_is_counted(tmp_path):
    pages = [
        page("Talk:Dog", "x", ns="1"),
        page("Hound", "#REDIRECT [[Dog]]"),
        page("Canine", "x", more='<redirect title="Dog" />'),
        page("", "x"),
        page("t" * 2000, "x"),
        page("Empty", " \n"),
        page("Style", "x").replace("wikitext", "css"),
        page("Long", "x" * (MAX_CHARACTERS + 1)),
        page("Just not", "x" * (MAX_CHARACTERS - 100)),
        page("Kategorie:Old", "x", ns=None),
        page("Old: a film", "x", ns=None),
    ]
    drops = Drops()
    found, dump = read(write_dump(tmp_path / "a.bz2", pages), drops)
    assert [title for title, _ in found] == ["Just not", "Old: a film"]
    assert drops.counts == {
        "page of another namespace": 2,
        "redirect": 2,
        "page without a title": 2,
        "page without text": 1,
        "page that is no wikitext": 1,
        "page of more than 2,097,152 characters": 1,
    }
    assert drops.examples["redirect"] == ["a.bz2: 'Hound'", "a.bz2: 'Canine'"]
    assert dump.num_pages == len(pages)


def test_of_several_revisions_the_last_counts(tmp_path):
    text = page("Dog", "old").replace("</page>", "<revision><text>new</text></revision></page>")
    (tmp_path / "a.xml").write_text(dump_text([text]), encoding="utf-8")
    assert read(tmp_path / "a.xml")[0] == [("Dog", "new")]


@pytest.mark.faults
def test_a_torn_dump_gives_its_whole_pages(tmp_path):
    texts = [f"page {number} " * 2000 for number in range(300)]
    path = tmp_path / "a.xml.bz2"
    write_dump(path, [page(f"P{number}", text) for number, text in enumerate(texts)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    drops = Drops()
    found, _ = read(path, drops)
    assert 100 < len(found) < 300
    assert found == [(f"P{number}", text) for number, text in enumerate(texts[: len(found)])]
    assert drops.examples == {"rest of a torn dump": ["a.xml.bz2: ends in the middle"]}


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.faults
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("</mediawiki>", "<page><a><b></page>"), "mismatched tag"),
        (lambda text: text.replace("</mediawiki>", "&nbsp;"), "undefined entity"),
        (lambda text: text.replace("</mediawiki>", "<x>" * 1000), "elements within each other"),
        (lambda text: text.replace("</mediawiki>", f"<x a='{'y' * 20_000_000}'/></mediawiki>"), "a tag of more than"),
        (lambda text: text.replace("</mediawiki>", "\x01</mediawiki>"), "not well-formed"),
        (lambda text: text.replace("</mediawiki>", ""), "no element found"),
    ],
)
def test_broken_xml_ends_a_dump_and_is_told(tmp_path, spoil, said):
    path = tmp_path / "a.xml.gz"
    path.write_bytes(gzip.compress(spoil(dump_text([page("Dog", "x")])).encode(), 1))
    drops = Drops()
    assert read(path, drops)[0] == [("Dog", "x")]
    ((told,),) = drops.examples.values()
    assert told.startswith("a.xml.gz: ")
    assert said in told


@pytest.mark.faults
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no element found"),
        (b"a,b\n1,2\n", "syntax error"),
        (b"<html><body/></html>", "begins with <html>"),
        ((LAUGHS + dump_text([])).encode(), "a DOCTYPE with definitions"),
        (b"BZh9 not really", "broken from here on"),
    ],
)
def test_another_file_is_one_line(tmp_path, content, said):
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a.xml: no Wikipedia dump \({said}.*\); give a pages-articles XML file"):
        read(tmp_path / "a.xml", Drops())
