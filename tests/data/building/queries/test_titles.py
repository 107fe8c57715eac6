"""Page-view files of every kind and age."""

import gzip

import pytest

from fullclip.data.building.queries.streams import Stream
from fullclip.data.building.queries.titles import count_titles
from fullclip.data.drops import Drops


def count(path, content, *, drops=None, language="en", at_once=100):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    drops = Drops(strict=True) if drops is None else drops
    return [dict(found) for found in count_titles(Stream(str(path)), language, drops, at_once=at_once)]


def test_hourly_and_complete_files(tmp_path):
    hourly = "de Hund 9 0\nen Dog 3 0\nen.m Dog 4 0\nen.b Dog 8 0\nen New_York_City 2 0\nen Caf%C3%A9 1 0\nen 100%_Wolf 5 0\n"
    assert count(tmp_path / "pageviews-20200101-000000", hourly) == [{"dog": 7, "new york city": 2, "café": 1, "100% wolf": 5}]
    complete = (
        "en.wikipedia Dog 4269567 desktop 123 A100B23\n"
        "en.wikipedia Dog null mobile-web 7 A7\nde.wikipedia Hund 3 desktop 1 A1\n"
    )
    assert count(tmp_path / "a.gz", gzip.compress(complete.encode())) == [{"dog": 130}]
    assert count(tmp_path / "old", "en.z Dog 12 A12\n") == [{"dog": 12}]
    assert count(tmp_path / "german", hourly, language="de") == [{"hund": 9}]


def test_counters_come_before_they_grow(tmp_path):
    lines = "".join(f"en Title_{number} 1 0\n" for number in range(10))
    found = count(tmp_path / "a", lines, at_once=4)
    assert [len(one) for one in found] == [4, 4, 2]


@pytest.mark.faults
def test_hostile_lines_are_counted(tmp_path):
    lines = [
        b"en Dog 1 0", b"", b"en Dog", b"en Dog x 0", b"en Dog -3 0", b"en Dog 9999999999999 0", b"en " + b"x" * 100_000,
        b"en a b c d e f", b"en \xff\xfe 1 0", b"en Special:Search 1 0", b"en Talk:Dog 1 0", b"en User_talk:Me 1 0",
        b"en - 1 0", b"en a%00b 1 0", b"en Star_Wars:_Episode_I 1 0", b"en " + b"y" * 2000 + b" 1 0", b"en Dog \xc2\xb2 0",
    ]  # fmt: skip
    drops = Drops()
    assert count(tmp_path / "a", b"\n".join(lines), drops=drops) == [{"dog": 1, "star wars: episode i": 1}]
    assert drops.counts == {
        "malformed line of page views": 7,
        "title that is no UTF-8": 1,
        "title of another namespace": 3,
        "title without a word": 1,
        "title with a control character": 1,
        "title that is too long": 1,
    }
    assert drops.examples["title that is no UTF-8"] == ["a:9"]


@pytest.mark.faults
def test_a_torn_file_counts_as_far_as_it_goes(tmp_path):
    whole = gzip.compress("".join(f"en Title_{number} 1 0\n" for number in range(100_000)).encode())
    drops = Drops()
    found = count(tmp_path / "a.gz", whole[: len(whole) // 2], drops=drops, at_once=1 << 20)
    assert 10_000 < len(found[0]) < 100_000
    assert drops.counts["rest of a torn file of page views"] == 1


@pytest.mark.faults
def test_another_file_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="no page views in it"):
        count(tmp_path / "a", b"\x00\x01\x02", drops=Drops())
