"""Compressed files: whatever the compression, the same bytes; torn files give what can be read, and say so."""

import bz2
import gzip
import hashlib
import lzma
import random

import pytest

from fullclip.data.building.queries.streams import Input, Stream

DATA = random.Random(0).randbytes(3_000_000) + b"0" * 3_000_000
HALVES = (DATA[:2_500_000], DATA[2_500_000:])
WAYS = {
    "plain": DATA,
    "bz2": bz2.compress(DATA, 1),
    "bz2 in streams": b"".join(bz2.compress(half, 1) for half in HALVES),
    "gzip": gzip.compress(DATA, 1),
    "gzip in members": b"".join(gzip.compress(half, 1) for half in HALVES),
    "gzip with padding": gzip.compress(DATA, 1) + b"\0" * 512,
    "xz": lzma.compress(DATA, preset=0),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_compression_gives_the_same_bytes(tmp_path, way):
    path = tmp_path / "file.whatever"
    path.write_bytes(WAYS[way])
    stream = Stream(str(path))
    assert b"".join(stream) == DATA
    assert stream.torn is None
    digest = hashlib.sha256(WAYS[way]).hexdigest()
    assert stream.told() == Input(name="file.whatever", num_bytes=len(WAYS[way]), sha256=digest)


@pytest.mark.faults
@pytest.mark.parametrize("way", ["bz2", "bz2 in streams", "gzip", "gzip in members", "xz"])
@pytest.mark.parametrize("fault", ["cut", "spoilt", "garbage behind"])
def test_a_torn_file_gives_what_can_be_read_and_says_so(tmp_path, way, fault):
    data = WAYS[way]
    broken = {
        "cut": data[: len(data) * 2 // 3],
        "spoilt": data[: len(data) // 2] + b"\xff" * 64 + data[len(data) // 2 + 64 :],
        "garbage behind": data + b"garbage",
    }[fault]
    (tmp_path / "file").write_bytes(broken)
    stream = Stream(str(tmp_path / "file"))
    found = b"".join(stream)
    assert stream.torn is not None
    assert len(found) > 500_000
    if fault != "spoilt":
        assert DATA.startswith(found)
    if fault == "garbage behind":
        assert found == DATA
    assert stream.told().sha256 == hashlib.sha256(broken).hexdigest()


@pytest.mark.faults
@pytest.mark.parametrize("compress", [bz2.compress, gzip.compress, lzma.compress])
def test_what_blows_up_comes_in_blocks(tmp_path, compress):
    (tmp_path / "bomb").write_bytes(compress(bytes(50_000_000)))
    assert max(map(len, Stream(str(tmp_path / "bomb")))) <= 1 << 20


def test_lines_are_those_of_the_file_and_bounded(tmp_path):
    lines = [b"", b"a" * 9, b"b" * 3_000_000, b"c" * 10, b"", b"d"]
    (tmp_path / "file").write_bytes(b"\n".join(lines))
    assert list(Stream(str(tmp_path / "file")).lines(10)) == [line[:11] for line in lines]


def test_an_empty_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    stream = Stream(str(tmp_path / "file"))
    assert (list(stream), stream.torn, stream.told().num_bytes) == ([], None, 0)
