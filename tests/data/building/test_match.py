"""Matching against a reference that looks for every query in every text, by the written rule."""

import json
import re
import unicodedata
from contextlib import closing

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from building import WORDS, files_of, rows_of, web_rows, write_queries, write_rows
from fullclip.data.building.engine import Pool
from fullclip.data.building.match import Matcher, match
from fullclip.data.building.rows import partitions
from fullclip.data.drops import Drops

UNSPACED = ("THAI", "LAO", "MYANMAR", "KHMER", "HIRAGANA", "KATAKANA", "CJK")


def in_word(character: str) -> bool:
    is_word = character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"
    return is_word and not unicodedata.name(character, "").startswith(UNSPACED)


def folded(text: str) -> str:
    text = unicodedata.normalize("NFC", text).replace("’", "'").replace("‐", "-").replace("‑", "-")
    return " ".join(text.casefold().split())


def naive(text: str, query: str) -> bool:
    """Whether the query is in the text, by looking at every place."""
    text, query = folded(text), folded(query)
    for at in range(len(text) - len(query) + 1) if query else ():
        begins, ends = at, at + len(query)
        if text[begins:ends] != query:
            continue
        cut_before = begins > 0 and in_word(text[begins - 1]) and in_word(text[begins])
        cut_behind = ends < len(text) and in_word(text[ends - 1]) and in_word(text[ends])
        if not cut_before and not cut_behind:
            return True
    return False


@pytest.mark.parametrize(
    ("query", "texts", "not_in"),
    [
        ("dog", ["dog", "Dog, asleep", "hot-dog", "(DOG)", "a dog.", "dog's"], ["dogma", "hotdog", "dog_1", "dog2", "dög"]),
        ("hot dog", ["a hot  dog", "hot\tdog!", "HOT\nDOG"], ["hot, dog", "hotdog", "hot dogs"]),
        ("c++", ["learn c++", "c++11", "C++."], ["c+", "abc++"]),
        (".net", ["asp.net", ".NET 4"], [".nets", "net"]),
        ("straße", ["Strasse", "STRASSE", "die Straße"], ["strassen"]),
        ("café", ["cafe\u0301 noir"], ["cafe", "cafés"]),
        ("cat's-eye", ["a cat’s‑eye", "Cat's‐Eye"], ["cats-eye"]),
        ("猫", ["黒猫がいる", "猫"], ["犬"]),
        ("แมว", ["รูปแมวดำ"], ["หมา"]),
        ("हिन", ["हिन"], ["हिन्दी"]),
    ],
)
def test_the_rule_on_examples(query, texts, not_in):
    matcher = Matcher([query])
    assert [text for text in texts if not matcher.find(text)] == []
    assert [text for text in not_in if matcher.find(text)] == []
    assert all(naive(text, query) for text in texts)
    assert not any(naive(text, query) for text in not_in)


# few letters, so that queries overlap, begin alike and lie within one another
_LETTERS = st.sampled_from([*"abAB  .+-_1", "é", "\u0301", "ß", "猫", "の", "ไ", "\u094d", "\n", "\u00a0", "\u0130"])
_TEXTS = st.text(_LETTERS, max_size=14)


@given(st.lists(_TEXTS, min_size=1, max_size=12), st.lists(_TEXTS, max_size=6))
def test_as_the_reference(queries, texts):
    if not any(folded(query) for query in queries):
        with pytest.raises(ValueError, match="there is no query"):
            Matcher(queries)
        return
    matcher = Matcher(queries)
    for text in texts:
        assert matcher.find(text) == [number for number, query in enumerate(queries) if naive(text, query)]


@given(st.lists(st.text(max_size=8), min_size=1, max_size=8), st.text(max_size=40))
def test_any_text_at_all(queries, text):
    queries = [*queries, text[1:5], text[:2], "x"]
    normal = [query for query in queries if "\0" not in query and "\x01" not in query]
    if "\0" in text or "\x01" in text:
        text = text.replace("\0", " ").replace("\x01", " ")
    assert Matcher(normal).find(text) == [number for number, query in enumerate(normal) if naive(text, query)]


def test_capital_letters_where_they_matter():
    matcher = Matcher(["Apple", "apple"], case_sensitive=True)
    assert (matcher.find("an Apple"), matcher.find("an apple"), matcher.find("APPLE")) == ([0], [1], [])
    assert Matcher(["Apple", "apple"]).find("an APPLE") == [0, 1]


def run(rows, queries, tmp_path, *, out="out", workers=1, size=50, **options):
    table = str(write_rows(tmp_path / "rows.jsonl", rows))
    listed = write_queries(tmp_path / "queries.txt", queries)
    with closing(Pool(workers)) as pool:
        works = partitions([table], rows=size)
        return match(works, queries=listed, out=str(tmp_path / out), engine=pool, drops=Drops(), **options)


def test_recall_and_precision_on_rows(tmp_path):
    rows = web_rows(300)
    queries = [*WORDS[3::4], "word0 word1", "word2 word0 word1", "nothing like it"]
    report = run(rows, queries, tmp_path)
    expected = {row["url"]: [query for query in queries if naive(row["text"], query)] for row in rows}
    found = {row["url"]: row["queries"] for row in rows_of(tmp_path / "out")}
    assert found == {url: matches for url, matches in expected.items() if matches}
    assert report.num_out == len(found)
    assert report.counts["matches"] == sum(map(len, found.values()))
    totals = {row["query"]: row["count"] for row in pq.read_table(tmp_path / "out/queries.parquet").to_pylist()}
    names = [query for matches in found.values() for query in matches]
    assert totals == {query: names.count(query) for query in set(names)}
    assert report.counts["queries"] == len(queries)
    assert report.counts["queries_without_a_text"] == len(queries) - len(totals)
    assert {one.reason: one.count for one in report.dropped} == {"no query in the text": 300 - len(found)}


def test_the_same_whatever_the_partitions_and_the_processes(tmp_path):
    run(web_rows(300), WORDS[::5], tmp_path, out="one")
    run(web_rows(300), WORDS[::5], tmp_path, out="two", workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    run(web_rows(300), WORDS[::5], tmp_path, out="three", size=7)
    assert rows_of(tmp_path / "one") == rows_of(tmp_path / "three")


def test_captions_are_looked_at_one_by_one(tmp_path):
    rows = [{"captions": ["a hot", "dog"]}, {"captions": ["a hot dog"]}, {"captions": None}, {"captions": ["cat", "hot dog"]}]
    report = run(rows, ["hot dog", "cat"], tmp_path)
    assert [row["queries"] for row in rows_of(tmp_path / "out")] == [["hot dog"], ["hot dog", "cat"]]
    assert {one.reason: one.count for one in report.dropped} == {"no query in the text": 1, "no text": 1}


def test_matched_again_with_other_queries(tmp_path):
    run(web_rows(50), ["word0"], tmp_path, out="first")
    with closing(Pool(1)) as pool:
        listed = write_queries(tmp_path / "others.txt", ["word1"])
        works = partitions([str(tmp_path / "first")])
        match(works, queries=listed, out=str(tmp_path / "second"), engine=pool, drops=Drops())
    assert all(row["queries"] == ["word1"] for row in rows_of(tmp_path / "second"))


def test_a_list_that_is_no_list(tmp_path):
    with pytest.raises(ValueError, match=r"queries.txt: there is no query in this list"):
        run(web_rows(3), [], tmp_path)
    run(web_rows(3), ["word0"], tmp_path)
    with pytest.raises(ValueError, match=r"was begun with (queries|num_queries)"):
        run(web_rows(3), ["word0", "word1"], tmp_path)


def test_what_is_told_of_the_head(tmp_path, monkeypatch):
    monkeypatch.setattr("fullclip.data.building.match._REPORTED", 20)
    report = run(web_rows(300), WORDS, tmp_path)
    totals = np.array(pq.read_table(tmp_path / "out/queries.parquet")["count"])
    assert report.counts["queries_in_more_than_20_texts"] == (totals > 20).sum()
    assert report.counts["share_of_matches_of_those"] == pytest.approx(totals[totals > 20].sum() / totals.sum(), abs=1e-4)
    assert json.loads((tmp_path / "out/report.json").read_text())["counts"] == report.counts


def test_a_word_is_a_run_of_word_characters():
    """Words are those of Python's own regular expressions, wherever scripts have spaces and marks are composed."""
    text = "It's a hot-dog: 3 c++11 x_y, naïve Größe!"
    words = re.findall(r"\w+", text.casefold())
    assert all(Matcher([word]).find(text) for word in words)
    parts = [word[1:] for word in words if len(word) > 2] + [word[:-1] for word in words if len(word) > 2]
    assert not any(Matcher([part]).find(text) for part in parts)
