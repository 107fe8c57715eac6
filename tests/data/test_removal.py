"""Shards without some samples: the bytes of the others, and an index that says what is there."""

import io
import tarfile
from pathlib import Path

import pytest

from fullclip.core.storage import sha256
from fullclip.data.drops import Drops
from fullclip.data.groups import read_table, scan
from fullclip.data.removal import write_without
from fullclip.data.shards import INDEX_NAME, find_shards, read_index, read_shard
from fullclip.data.verify import verify_shards
from pairs import make_pairs, make_shards, write_tar


def members(path: str) -> list[tuple[str, bytes, int, int]]:
    with tarfile.open(path) as tar:
        return [(member.name, tar.extractfile(member).read(), member.mtime, member.mode) for member in tar]


def test_what_is_kept_is_as_it_was(tmp_path):
    shards = make_shards(tmp_path / "in", make_pairs(7), pairs_per_shard=3)
    index = write_without(shards, {shards[0]: {1}, shards[1]: {0, 2}}, tmp_path / "out")
    pairs = [pair for shard in find_shards([str(tmp_path / "out")]) for pair in read_shard(shard, Drops(strict=True))]
    assert pairs == [pair for pair in make_pairs(7) if pair.key not in ("00001", "00003", "00005")]
    assert [shard.num_pairs for shard in index.shards] == [2, 1, 1]
    for before, after in zip(shards, find_shards([str(tmp_path / "out")]), strict=True):
        assert set(members(after)) <= set(members(before))


def test_index_and_tables_are_those_of_the_new_shards(tmp_path):
    shards = make_shards(tmp_path / "in", make_pairs(7), pairs_per_shard=3)
    write_without(shards, {shards[0]: {0}}, tmp_path / "out")
    found = verify_shards([str(tmp_path / "out")], drops=Drops(strict=True))
    assert (found.problems, found.notes, found.num_pairs) == ((), (), 6)
    for shard in read_index(str(tmp_path / "out")).shards:
        path = tmp_path / "out" / shard.name
        assert shard.sha256 == sha256(path)
        table = scan(io.BytesIO(path.read_bytes()))
        assert table.torn_at is None
        assert read_table(str(path)).offsets.tolist() == table.offsets.tolist()


def test_long_names_and_headers_of_others_stay(tmp_path):
    for number, kind in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        names = [f"{'long' * 40}/{'x' * 150}é{i}.{ending}" for i in range(4) for ending in ("jpg", "txt")]
        source = write_tar(tmp_path / f"{number}.tar", [(name, name.encode() * 9) for name in names], format=kind)
        write_without([source], {source: {0, 2}}, tmp_path / f"out{number}")
        assert members(str(tmp_path / f"out{number}/{number}.tar")) == [
            member for member in members(source) if "é1" in member[0] or "é3" in member[0]
        ]


def test_a_global_header_before_the_first_sample_stays(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "made by hand"}) as tar:
        for i in range(3):
            member = tarfile.TarInfo(f"{i}.txt")
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
    write_without([str(path)], {str(path): {0}}, tmp_path / "out")
    with tarfile.open(tmp_path / "out/a.tar") as tar:
        assert tar.getnames() == ["1.txt", "2.txt"]
        assert tar.pax_headers == {"comment": "made by hand"}


def test_a_shard_of_which_nothing_is_left_is_not_written(tmp_path):
    shards = make_shards(tmp_path / "in", make_pairs(4), pairs_per_shard=2)
    index = write_without(shards, {shards[0]: {0, 1}}, tmp_path / "out")
    assert [shard.name for shard in index.shards] == ["000001.tar"]
    assert not (tmp_path / "out/000000.tar").exists()
    with pytest.raises(ValueError, match="no pair would be left"):
        write_without(shards, {shard: {0, 1} for shard in shards}, tmp_path / "none")
    assert not (tmp_path / "none" / INDEX_NAME).exists()


@pytest.mark.faults
def test_a_torn_shard_is_an_error(tmp_path):
    (shard,) = make_shards(tmp_path / "in", make_pairs(4))
    Path(shard).write_bytes(Path(shard).read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"000000.tar is torn from byte [\d,]+; fetch it again, or leave it out"):
        write_without([shard], {}, tmp_path / "out")


def test_two_shards_of_one_name_are_an_error(tmp_path):
    shards = [*make_shards(tmp_path / "a", make_pairs(1)), *make_shards(tmp_path / "b", make_pairs(1))]
    with pytest.raises(ValueError, match=r"a/000000.tar and .*b/000000.tar have one name; .*--out of its own"):
        write_without(shards, {}, tmp_path / "out")
