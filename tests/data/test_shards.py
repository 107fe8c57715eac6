import io
import json
import random
import tarfile
from dataclasses import replace

import fsspec
import pytest
from hypothesis import given, strategies as st

from fullclip.core.storage import sha256
from fullclip.core.types import Pair
from fullclip.data.drops import DroppedError, Drops
from fullclip.data.shards import find_shards, image_extension, read_index, read_shard, write_shards
from pairs import make_pairs, make_shards, picture, read_all, write_tar

PNG = picture(0)


def texts():
    """Captions as the reader gives them: stripped, not empty, of any letters that Unicode has."""
    return st.text(min_size=1).filter(lambda text: text == text.strip())


@given(
    captions=st.lists(st.lists(texts(), min_size=1, max_size=3), min_size=1, max_size=7),
    meta=st.dictionaries(st.integers().map(str) | st.text().map("x".__add__), st.text() | st.integers() | st.none()),
    pairs_per_shard=st.integers(1, 4),
)
def test_pairs_come_back_as_they_were(tmp_path_factory, captions, meta, pairs_per_shard):
    folder = tmp_path_factory.mktemp("shards")
    pairs = [Pair(key=f"{i}", image=picture(i), texts=tuple(found), meta=meta) for i, found in enumerate(captions)]
    index = write_shards(pairs, folder, pairs_per_shard=pairs_per_shard)
    found, drops = read_all([folder / shard.name for shard in index.shards])
    assert found == pairs
    assert not drops.counts
    assert [shard.num_pairs for shard in index.shards[:-1]] == [pairs_per_shard] * (len(index.shards) - 1)


@pytest.mark.parametrize("text", ["two\nlines", "tab\there", 'quote " and \\', "line\u2028separator", "猫🐈‍⬛", "a\0b"])
def test_awkward_captions_come_back(tmp_path, text):
    pairs = [Pair(key="a", image=PNG, texts=(text, "another"))]
    assert read_all(make_shards(tmp_path, pairs)) == (pairs, Drops())


def test_the_same_pairs_give_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write_shards(iter(make_pairs(7)), tmp_path / folder, pairs_per_shard=3)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_the_index_tells_the_truth(tmp_path):
    pairs = make_pairs(7)
    index = write_shards(pairs, tmp_path, pairs_per_shard=3)
    assert [shard.name for shard in index.shards] == ["000000.tar", "000001.tar", "000002.tar"]
    assert [shard.num_pairs for shard in index.shards] == [3, 3, 1]
    assert index.num_pairs == 7
    for shard in index.shards:
        assert shard.num_bytes == (tmp_path / shard.name).stat().st_size
        assert shard.sha256 == sha256(tmp_path / shard.name)
    assert read_index(str(tmp_path)) == index


def test_the_layout_is_webdataset_s(tmp_path):
    """Any tar reader finds <key>.<kind of image> and <key>.json side by side, in order."""
    kinds = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]
    pairs = [Pair(key=f"{i}", image=picture(i, kind=kind), texts=(f"text {i}",), meta={"n": i}) for i, kind in enumerate(kinds)]
    (shard,) = make_shards(tmp_path, pairs)
    with tarfile.open(shard) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    endings = ["png", "jpg", "webp", "gif", "bmp", "tif"]
    assert list(files) == [name for i, ending in enumerate(endings) for name in (f"{i}.{ending}", f"{i}.json")]
    for i, ending in enumerate(endings):
        assert files[f"{i}.{ending}"] == pairs[i].image
        assert json.loads(files[f"{i}.json"]) == {"captions": [f"text {i}"], "n": i}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (Pair(key="a.b", image=PNG, texts=("x",)), "key 'a.b' must have neither dot nor slash"),
        (Pair(key="a/b", image=PNG, texts=("x",)), "key 'a/b' must have neither dot nor slash"),
        (Pair(key="", image=PNG, texts=("x",)), "key '' must have neither dot nor slash"),
        (Pair(key="00000", image=PNG, texts=("x",)), "key '00000' appears twice in a shard"),
        (Pair(key="a", image=b"<svg>", texts=("x",)), "a: not a JPEG, PNG"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_no_index(tmp_path, pair, message):
    with pytest.raises(ValueError) as error:
        write_shards([*make_pairs(1), pair], tmp_path)
    assert str(error.value).startswith(message)
    assert not list(tmp_path.iterdir())


def test_shards_are_never_mixed_with_older_ones(tmp_path):
    write_shards(make_pairs(1), tmp_path)
    with pytest.raises(ValueError, match="already holds shards"):
        write_shards(make_pairs(1), tmp_path)
    with pytest.raises(ValueError, match="pairs_per_shard is 0"):
        write_shards(make_pairs(1), tmp_path / "new", pairs_per_shard=0)


def test_metadata_cannot_push_the_captions_aside(tmp_path):
    (pair,) = make_pairs(1)
    (found,), _ = read_all(make_shards(tmp_path, [replace(pair, meta={"captions": ["not mine"], "n": 1})]))
    assert found == replace(pair, meta={"n": 1})


def test_metadata_with_a_lone_surrogate_comes_back(tmp_path):
    pairs = [replace(make_pairs(1)[0], meta={"title": "half \ud83d of a pair"})]
    assert read_all(make_shards(tmp_path, pairs))[0] == pairs


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_first_bytes_tell_the_kind(kind):
    names = {"JPEG": "jpg", "TIFF": "tif"}
    assert image_extension(picture(0, kind=kind), name="x") == names.get(kind, kind.lower())


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(tmp_path, format):  # noqa: A002
    key = "ö" * 200
    shard = write_tar(tmp_path / "x.tar", [(f"{key}.png", PNG), (f"{key}.json", b'{"caption": "long"}')], format=format)
    assert read_all([shard]) == ([Pair(key=key, image=PNG, texts=("long",))], Drops())


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"txt": b"from text\n"}, ("from text",)),
        ({"txt": b"\xef\xbb\xbfwith a byte order mark"}, ("with a byte order mark",)),
        ({"json": b'{"caption": "one"}'}, ("one",)),
        ({"json": b'{"caption": "one"}', "txt": b"one"}, ("one",)),
        ({"json": b'{"caption": "one"}', "txt": b"two"}, ("one", "two")),
        ({"json": b'{"captions": [" one ", "", 7, null, "two"]}'}, ("one", "two")),
        ({"json": b'{"captions": null, "caption": "one"}'}, ("one",)),
        ({"json": b'{"width": 3}', "txt": b"from text"}, ("from text",)),
        ({"JSON": b'{"caption": "one"}'}, ("one",)),
        ({"cls": b"7", "txt": b"one"}, ("one",)),
    ],
)
def test_captions_of_other_people_s_shards(tmp_path, files, expected):
    shard = write_tar(tmp_path / "x.tar", [("a.jpg", PNG), *((f"a.{name}", data) for name, data in files.items())])
    ((pair,), drops) = read_all([shard])
    assert pair.texts == expected
    assert not drops.counts


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"json": b'{"caption": "x"}'}, "sample without image"),
        ({"png": PNG}, "sample without text"),
        ({"png": PNG, "json": b'{"caption": ""}'}, "sample without text"),
        ({"png": PNG, "txt": b" \n"}, "sample without text"),
        ({"png": PNG, "json": b'{"caption": "x"'}, "broken text"),
        ({"png": PNG, "json": b'["x"]'}, "broken text"),
        ({"png": PNG, "json": b'{"caption": "\xff"}'}, "broken text"),
        ({"png": PNG, "json": b'{"caption": "\\ud800"}'}, "broken text"),
        ({"png": PNG, "json": b"[" * 100_000}, "broken text"),
        ({"png": PNG, "json": b'{"n": ' + b"1" * 5000 + b"}"}, "broken text"),
        ({"png": PNG, "txt": b"\xff"}, "broken text"),
    ],
)
def test_a_sample_that_is_no_pair_is_dropped_by_name_and_the_others_stay(tmp_path, files, reason):
    before, after = [(name, data) for name, data in good("a")], [(name, data) for name, data in good("c")]
    shard = write_tar(tmp_path / "x.tar", [*before, *((f"b.{name}", data) for name, data in files.items()), *after])
    found, drops = read_all([shard])
    assert [pair.key for pair in found] == ["a", "c"]
    assert drops.report() == {reason: {"count": 1, "examples": [f"{shard}:b"]}}
    with pytest.raises(DroppedError, match=f"{reason}: .*x.tar:b"):
        list(read_shard(shard, Drops(strict=True)))


def good(key, text="fine"):
    return [(f"{key}.png", PNG), (f"{key}.txt", text.encode())]


def test_the_same_name_in_two_folders_or_twice_is_two_pairs(tmp_path):
    files = [*good("x/a", "1"), *good("y/a", "2"), *good("b", "3"), *good("b", "4"), *good("./c", "5")]
    found, drops = read_all([write_tar(tmp_path / "x.tar", files)])
    assert [(pair.key, *pair.texts) for pair in found] == [("a", "1"), ("a", "2"), ("b", "3"), ("b", "4"), ("c", "5")]
    assert not drops.counts


def test_folders_and_links_in_a_tar_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, kind in (("images", tarfile.DIRTYPE), ("link.png", tarfile.SYMTYPE), ("device", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            tar.addfile(member)
        for name, data in good("images/a"):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    found, drops = read_all([tmp_path / "x.tar"])
    assert [pair.key for pair in found] == ["a"]
    assert not drops.counts


@pytest.fixture
def small(tmp_path):
    """A shard of four pairs: its pairs, its bytes, and a function that reads it with other bytes."""
    pairs = make_pairs(4)
    (shard,) = make_shards(tmp_path, pairs)
    path = tmp_path / "000000.tar"

    def read_with(data):
        path.write_bytes(data)
        return read_all([shard])

    return pairs, path.read_bytes(), read_with


def end_of_files(data):
    """Where the last file's padding ends and the end mark begins."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        last = tar.getmembers()[-1]
    return last.offset_data + -(-last.size // 512) * 512


@pytest.mark.faults
def test_a_cut_anywhere_keeps_what_came_before_and_is_reported(small):
    pairs, whole, read_with = small
    end, chance = end_of_files(whole), random.Random(0)
    for cut in sorted({*range(0, len(whole), 512), *(chance.randrange(end) for _ in range(100)), end - 1, end + 1, end + 511}):
        found, drops = read_with(whole[:cut])
        assert found == pairs[: len(found)]
        if cut >= end + 512:
            assert (found, drops) == (pairs, Drops())
        else:
            assert drops.counts["torn shard"] == 1, cut
            assert len(found) < len(pairs) or cut >= end - 512  # the last of the padding may be gone


@pytest.mark.faults
def test_a_damaged_header_keeps_what_came_before_and_is_reported(small):
    pairs, whole, read_with = small
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        headers = [member.offset for member in tar]
    for number, header in enumerate(headers):
        for place in (0, 124, 148, 156, 257):
            data = bytearray(whole)
            data[header + place] ^= 0x15
            found, drops = read_with(bytes(data))
            assert found == pairs[: number // 2]
            assert drops.counts["torn shard"] == 1


@pytest.mark.faults
@pytest.mark.parametrize("first", [b"\0" * 512, b"\0" * 4096, b"junk" * 128, b"\x1f\x8b\x08" + b"\0" * 509])
def test_a_spoiled_beginning_is_reported(small, first):
    _, whole, read_with = small
    found, drops = read_with(first + whole[len(first) :])
    assert found == []
    assert drops.counts["torn shard"] == 1


@pytest.mark.faults
@pytest.mark.parametrize("junk", [b"x", b"junk" * 1000, b"\0" * 700 + b"x"])
def test_junk_after_the_end_is_reported_and_costs_no_pair(small, junk):
    pairs, whole, read_with = small
    found, drops = read_with(whole + junk)
    assert found == pairs
    assert drops.counts == {"torn shard": 1}


@pytest.mark.faults
def test_zeros_in_the_middle_are_reported(small):
    pairs, whole, read_with = small
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        third = tar.getmembers()[4].offset
    found, drops = read_with(whole[:third] + b"\0" * 1024 + whole[third + 1024 :])
    assert found == pairs[:2]
    assert drops.counts["torn shard"] == 1


@pytest.mark.faults
def test_an_empty_file_and_one_that_is_no_tar_are_reported(small):
    _, _, read_with = small
    for data in (b"", b"hello", PNG * 100):
        assert read_with(data)[1].counts == {"torn shard": 1}


@pytest.mark.faults
def test_strict_stops_at_a_torn_shard(small, tmp_path):
    _, whole, _ = small
    (tmp_path / "000000.tar").write_bytes(whole[:3000])
    found = []
    with pytest.raises(DroppedError, match=r"torn shard: .*000000\.tar from byte"):
        found.extend(read_shard(str(tmp_path / "000000.tar"), Drops(strict=True)))


def forge(member, *, size=None):
    """The block of a header whose checksum is right and whose size is a lie."""
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    if size is not None:
        block[124:136] = size.to_bytes(12, "big", signed=True) if size < 0 else b"\x80" + size.to_bytes(11, "big")
        block[148:156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:]))
    return bytes(block)


@pytest.mark.faults
@pytest.mark.parametrize("size", [-1, -512, -2048, 1 << 40, (1 << 80) - 1])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, b"Z", tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_forged_size_neither_takes_the_memory_nor_goes_round_in_circles(small, kind, size):
    pairs, whole, read_with = small
    member = tarfile.TarInfo("forged.png")
    member.type = kind
    end = end_of_files(whole)
    found, drops = read_with(whole[:end] + forge(member, size=size) + whole[end:])
    assert found == pairs
    assert set(drops.counts) <= {"torn shard"}


@pytest.mark.faults
def test_thousands_of_nested_names_are_a_torn_shard(small):
    pairs, whole, read_with = small
    member = tarfile.TarInfo("long")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 4
    nested = (forge(member) + b"abc\0".ljust(512, b"\0")) * 2000
    found, drops = read_with(whole[: end_of_files(whole)] + nested + b"\0" * 1024)
    assert found == pairs
    assert drops.counts == {"torn shard": 1}


@pytest.mark.faults
def test_no_forged_header_stops_the_reader(small):
    """Headers with random bytes but right checksums: whatever they say, reading ends without an error."""
    _, whole, read_with = small
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        headers = [member.offset for member in tar]
    chance = random.Random(0)
    for _ in range(200):
        data, header = bytearray(whole), chance.choice(headers)
        for _ in range(chance.choice([1, 3, 12])):
            place = chance.choice([chance.randrange(512), chance.randrange(124, 136), 156])
            data[header + place] = chance.choice(b"\x00\x80\xffxLSgK05")
        block = data[header : header + 512]
        data[header + 148 : header + 156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:]))
        read_with(bytes(data))


def test_find_shards_follows_the_index_and_names_what_is_missing(tmp_path):
    shards = make_shards(tmp_path, make_pairs(5), pairs_per_shard=2)
    assert shards == [str(tmp_path / f"00000{i}.tar") for i in range(3)]
    (tmp_path / "extra.tar").touch()
    assert find_shards([str(tmp_path)]) == shards == find_shards([f"{tmp_path}/", str(tmp_path)])
    assert find_shards([shards[1], f"{tmp_path}/0*.tar"]) == [shards[1], shards[0], shards[2]]
    (tmp_path / "000001.tar").unlink()
    with pytest.raises(ValueError, match=r"lists 000001\.tar, which is not there"):
        find_shards([str(tmp_path)])


def test_find_shards_without_an_index(tmp_path):
    for name in ("b.tar", "a.tar", "notes.txt"):
        (tmp_path / name).touch()
    assert find_shards([str(tmp_path)]) == [str(tmp_path / "a.tar"), str(tmp_path / "b.tar")]
    assert find_shards([str(tmp_path / "notes.txt")]) == [str(tmp_path / "notes.txt")]
    with pytest.raises(ValueError, match=r"no \.tar files match"):
        find_shards([str(tmp_path / "c.tar")])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"shards": 1}', '{"shards": [{"name": "a"}]}', '{"sards": []}', "[" * 100_000]
)
def test_a_damaged_index_is_named(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(ValueError) as error:
        read_index(str(tmp_path))
    assert str(error.value).startswith(f"{tmp_path}/index.json: damaged (")


def test_remote_shards(tmp_path):
    pairs = make_pairs(5)
    make_shards(tmp_path, pairs, pairs_per_shard=2)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path), "/remote", recursive=True)
    try:
        for folder in ("memory://remote", "memory://remote/"):
            assert read_all(find_shards([folder])) == (pairs, Drops())
        memory.pipe("/remote/000002.tar", memory.cat("/remote/000002.tar")[:1000])
        found, drops = read_all(find_shards(["memory://remote/*.tar"]))
        assert found == pairs[:4]
        assert drops.counts["torn shard"] == 1
    finally:
        memory.rm("/remote", recursive=True)


def test_a_folder_with_shards_in_it_is_not_written_into(tmp_path):
    """Also one without an index: somebody's source would be replaced."""
    write_tar(tmp_path / "000000.tar", [("a.png", PNG), ("a.txt", b"a dog")])
    before = (tmp_path / "000000.tar").read_bytes()
    with pytest.raises(ValueError, match="already holds shards"):
        write_shards(make_pairs(2), tmp_path)
    assert (tmp_path / "000000.tar").read_bytes() == before


def test_no_pairs_write_nothing(tmp_path):
    with pytest.raises(ValueError, match="no pair to write"):
        write_shards([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_image_is_dropped_while_reading(tmp_path):
    write_tar(tmp_path / "x.tar", [("a.jpg", b"garbage"), ("a.txt", b"one"), ("b.png", PNG), ("b.txt", b"two")])
    drops = Drops()
    assert [pair.key for pair in read_shard(str(tmp_path / "x.tar"), drops)] == ["b"]
    assert drops.counts == {"not an image": 1}
