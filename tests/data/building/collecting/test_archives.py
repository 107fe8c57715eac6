import gzip
import io
import random
import zlib

import brotli
import pytest
from warcio.archiveiterator import ArchiveIterator

from crawled import image, page, warc
from fullclip.data.building.collecting.archives import read_archive
from fullclip.data.building.collecting.messages import is_html, read_message, to_text, unchunked
from fullclip.data.building.collecting.settings import Limits
from fullclip.data.drops import Drops

PAGES = [(f"http://a.org/{number}", page(image(number), text=f"number {number} " * 100)) for number in range(6)]
RESPONSES = frozenset({"response"})


def read(path, data, **limits):
    path.write_bytes(data)
    drops = Drops()
    return list(read_archive(str(path), drops, Limits(**limits), kinds=RESPONSES)), drops


def bodies(records):
    return {record.address: read_message(record.block, max_bytes=1 << 20).body for record in records}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.warc.gz"


@pytest.mark.parametrize("packed", [True, False])
def test_records_are_those_that_warcio_reads(path, packed):
    data = warc(PAGES, gzip=packed)
    records, drops = read(path, data)
    found = {one.rec_headers["WARC-Target-URI"]: one.content_stream().read() for one in ArchiveIterator(io.BytesIO(data))}
    assert bodies(records) == found
    assert [record.number for record in records] == list(range(6))
    assert not drops.counts


def test_an_archive_that_was_packed_as_one(path):
    records, drops = read(path, gzip.compress(warc(PAGES, gzip=False)))
    assert len({record.number for record in records}) == 6
    assert not drops.counts


def torn(data, offsets):
    return data[: (offsets[2] + offsets[3]) // 2] + data[offsets[3] :]


def overwritten(data, offsets):
    return data[: offsets[2] + 100] + b"\x55" * 60 + data[offsets[2] + 160 :]


def with_garbage(data, offsets):
    return data[: offsets[2]] + b"garbage\0" * 50 + data[offsets[3] :]


def with_false_marks(data, offsets):
    return data[: offsets[2]] + b"\x1f\x8b\x08WARC/1.0\n" * 5 + data[offsets[3] :]


@pytest.mark.faults
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("damage", [torn, overwritten, with_garbage, with_false_marks])
def test_after_damage_it_is_read_on_at_the_next_record(path, packed, damage):
    offsets = []
    data = warc(PAGES, gzip=packed, offsets=offsets)
    if damage is overwritten and not packed:
        data = data[: offsets[2] + 4] + b"\x55" * 30 + data[offsets[2] + 34 :]
    else:
        data = damage(data, offsets)
    records, drops = read(path, data)
    found = [record.address for record in records]
    assert found == [address for address, _ in PAGES if address != "http://a.org/2" or address in found]
    assert drops.counts == {"archive: damaged, read on at the next record": 1}


@pytest.mark.faults
@pytest.mark.parametrize("packed", [True, False])
def test_an_archive_cut_at_any_byte_loses_its_last_record_alone(path, packed):
    offsets = []
    data = warc(PAGES[:3], gzip=packed, offsets=offsets)
    for end in random.Random(0).sample(range(offsets[2] + 20, len(data) - 10), 20):
        records, drops = read(path, data[:end])
        found = [record.address for record in records]
        assert found[:2] == ["http://a.org/0", "http://a.org/1"]
        assert "" not in found
        assert drops.counts == {"archive: damaged, the rest is lost": 1}


@pytest.mark.faults
@pytest.mark.parametrize("length", ["7", "99999", "99999999", "9" * 15, "9" * 30, "-5", "abc", ""])
@pytest.mark.parametrize("packed", [True, False])
def test_a_record_that_lies_about_its_length_hides_no_other(path, packed, length):
    parts = [warc([one], gzip=False) for one in PAGES]
    where = parts[2].index(b"Content-Length: ") + len(b"Content-Length: ")
    parts[2] = parts[2][:where] + length.encode() + parts[2][parts[2].index(b"\r\n", where) :]
    records, _ = read(path, b"".join(gzip.compress(part) if packed else part for part in parts))
    assert {address for address, _ in PAGES if address != "http://a.org/2"} <= {record.address for record in records}


@pytest.mark.faults
def test_garbage_that_looks_like_many_records_ends(path):
    records, drops = read(path, b"\x1f\x8b\x08" * 100_000, max_damages=50)
    assert not records
    assert drops.counts == {"archive: damaged too often, the rest is lost": 1}


@pytest.mark.faults
@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<html>", b"\x1f\x8b", b"\x1f\x8b\x08"])
def test_what_is_no_archive_gives_nothing(path, data):
    records, drops = read(path, data)
    assert not records
    assert drops.counts


@pytest.mark.faults
def test_a_long_record_is_cut_and_the_next_is_read(path):
    records, drops = read(path, warc([("http://a.org/long", b"a" * 3_000_000), PAGES[1]]), max_page_bytes=10_000)
    assert [(record.address, record.is_cut) for record in records] == [("http://a.org/long", True), ("http://a.org/1", False)]
    assert len(records[0].block) == 10_000
    assert not drops.counts


def test_an_error_of_the_disk_is_not_taken_for_damage(path, monkeypatch):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 500:
                raise ConnectionResetError("the line is dead")
            return super().read(min(size, 400))

    monkeypatch.setattr("fullclip.data.building.collecting.archives.open_file", lambda _: Broken(warc(PAGES)))
    with pytest.raises(ConnectionResetError, match="the line is dead"):
        list(read_archive(str(path), Drops(), Limits(), kinds=RESPONSES))


def message(body, *headers):
    return b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"", body])


PLAIN = page(image()).encode()
RAW_DEFLATE = zlib.compressobj(wbits=-15)
ENCODED = {
    b"gzip": gzip.compress(PLAIN),
    b"deflate": zlib.compress(PLAIN),
    b"x-gzip": gzip.compress(PLAIN),
    b"br": brotli.compress(PLAIN),
    b"GZIP, br": brotli.compress(gzip.compress(PLAIN)),
    b"identity": PLAIN,
    b"unknown": PLAIN,
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_content_encodings(encoding):
    found = read_message(message(ENCODED[encoding], b"Content-Encoding: " + encoding), max_bytes=1 << 20)
    assert (found.body, found.is_cut) == (PLAIN, False)


def test_deflate_without_its_header():
    packed = RAW_DEFLATE.compress(PLAIN) + RAW_DEFLATE.flush()
    assert read_message(message(packed, b"Content-Encoding: deflate"), max_bytes=1 << 20).body == PLAIN


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_body_that_was_decoded_before_it_was_stored(encoding):
    assert read_message(message(PLAIN, b"content-encoding: " + encoding), max_bytes=1 << 20).body == PLAIN


@pytest.mark.faults
@pytest.mark.parametrize("pack", [gzip.compress, brotli.compress, lambda data: gzip.compress(gzip.compress(data))])
def test_a_body_that_grows_without_end_is_cut(pack):
    encoding = b"br" if pack is brotli.compress else b"gzip" if pack is gzip.compress else b"gzip, gzip"
    found = read_message(message(pack(b"a" * 100_000_000), b"Content-Encoding: " + encoding), max_bytes=100_000)
    assert (len(found.body), found.is_cut) == (100_000, True)


@pytest.mark.faults
def test_a_torn_body_gives_its_beginning():
    text = bytes(random.Random(0).choices(b"abcdefgh ", k=200_000))
    for pack, encoding in ((gzip.compress, b"gzip"), (brotli.compress, b"br")):
        packed = pack(text)
        found = read_message(message(packed[: len(packed) // 2], b"Content-Encoding: " + encoding), max_bytes=1 << 20).body
        assert len(found) > 10_000
        assert text.startswith(found)


def test_chunks():
    assert unchunked(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n") == b"abcde"
    assert unchunked(b"<html>not in chunks") == b"<html>not in chunks"
    assert unchunked(b"ffffffff\r\nabc") == b"abc"
    body = read_message(message(b"3\r\nabc\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), max_bytes=99).body
    assert body == b"abc"


@pytest.mark.parametrize("block", [b"", b"<html>", b"HTTP/1.1 200 OK", b"HTTP/1.1 abc\r\n\r\n", b"\xff\xfe\r\n\r\n"])
def test_what_is_no_message(block):
    assert read_message(block, max_bytes=100) is None


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("text/html; charset=x", b"", True),
        ("Application/XHTML+XML", b"", True),
        ("image/png", b"<html>", False),
        ("", b"  <!DOCTYPE HTML><p>", True),
        ("", b"\x89PNG", False),
    ],
)
def test_what_is_html(kind, body, expected):
    assert is_html(kind, body) is expected


@pytest.mark.parametrize(
    ("encoding", "header", "mark"),
    [
        ("utf-8", "", b""),
        ("utf-8", "text/html; charset=iso-8859-1", b""),
        ("utf-8", "", b"\xef\xbb\xbf"),
        ("windows-1252", "text/html; charset=iso-8859-1", b""),
        ("iso-8859-2", "text/html; charset='ISO-8859-2'", b""),
        ("shift_jis", "", b""),
        ("utf-16-le", "text/html; charset=utf-8", b"\xff\xfe"),
    ],
)
def test_encodings(encoding, header, mark):
    words = {"shift_jis": "雪の中の犬", "iso-8859-2": "żółw śpi"}.get(encoding, "Größe und Maß, café")
    text = f"<html><head><meta charset={encoding}></head><p>{words * 20}"
    assert to_text(mark + text.encode(encoding), header) == text


@pytest.mark.faults
def test_bytes_of_no_encoding_are_still_a_text():
    assert "<img" in to_text(bytes(range(256)) + b"<img src=a>" + b"\xff" * 100, "text/html; charset=utf-8")
    assert to_text("<p>café".encode()[:-1]) == "<p>caf"
