from dataclasses import replace

import fsspec
import pytest

from fullclip.data.drops import DroppedError, Drops
from fullclip.data.verify import Verification, verify_shards
from pairs import make_pairs, make_shards, write_tar


@pytest.fixture
def folder(tmp_path):
    """7 pairs in three shards of 3, 3 and 1."""
    make_shards(tmp_path, make_pairs(7), pairs_per_shard=3)
    return tmp_path


def verify(*patterns, decode=True):
    drops = Drops()
    return verify_shards([str(pattern) for pattern in patterns], drops=drops, decode=decode), drops


@pytest.mark.parametrize("decode", [True, False])
def test_whole_shards_have_no_problem(folder, decode):
    found, drops = verify(folder, decode=decode)
    num_bytes = sum(path.stat().st_size for path in folder.glob("*.tar"))
    assert found == Verification(num_shards=3, num_pairs=7, num_bytes=num_bytes, problems=(), notes=())
    assert not drops.counts


def test_a_shard_named_twice_is_read_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert verify(".", f"{folder}/", "*.tar", "000001.tar") == verify(folder)


def test_a_single_shard_is_held_against_the_index_beside_it(folder):
    path = folder / "000001.tar"
    assert verify(path)[0].num_pairs == 3
    path.write_bytes(path.read_bytes()[:-512])
    assert verify(path)[0].problems == verify(folder)[0].problems != ()


def test_a_flipped_bit_is_found_by_the_hash(folder):
    path = folder / "000001.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    found, _ = verify(folder, decode=False)
    assert found.num_pairs == 7
    (problem,) = found.problems
    assert problem.startswith(f"{path}: its SHA-256 begins ")


@pytest.mark.faults
def test_a_torn_tail_is_found_by_size_by_count_and_by_the_reader(folder):
    path = folder / "000000.tar"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:3000])
    found, drops = verify(folder)
    assert found.problems == (
        f"{path}: 3,000 bytes, the index.json says {size:,}",
        f"{path}: 1 readable pairs, the index.json says 3",
    )
    assert found.num_pairs == 5
    assert drops.counts["torn shard"] == 1


@pytest.mark.faults
def test_a_damaged_header_in_the_middle_is_found(folder):
    path = folder / "000000.tar"
    data = bytearray(path.read_bytes())
    data[data.index(b"00001.png")] ^= 1
    path.write_bytes(data)
    found, drops = verify(folder)
    assert [problem.partition(": ")[2].split(" ")[0] for problem in found.problems] == ["its", "1"]
    assert drops.counts["torn shard"] == 1


def test_a_missing_shard_is_a_problem(folder):
    (folder / "000001.tar").unlink()
    found, _ = verify(folder)
    assert found.problems == (f"{folder}/000001.tar: the index.json lists it, but it is not there",)
    assert (found.num_shards, found.num_pairs) == (2, 4)
    for path in folder.glob("*.tar"):
        path.unlink()
    assert len(verify(folder)[0].problems) == 3


def test_a_shard_that_the_index_does_not_list_is_a_problem(folder):
    write_tar(folder / "extra.tar", [])
    (problem,) = verify(folder)[0].problems
    assert problem.startswith(f"{folder}/extra.tar: not in the index.json")


def test_a_damaged_index_is_one_problem(folder):
    (folder / "index.json").write_text("{")
    found, _ = verify(folder, folder / "*.tar")
    assert (found.num_shards, found.num_pairs) == (3, 7)
    (problem,) = found.problems
    assert problem.startswith(f"{folder}/index.json: damaged")


def test_a_missing_index_is_only_noted(folder):
    (folder / "index.json").unlink()
    found, _ = verify(folder)
    assert (found.num_pairs, found.problems) == (7, ())
    assert found.notes == (f"{folder}: no index.json, so sizes and hashes were not compared",)


def test_something_unreadable_is_a_problem_and_the_others_are_read(folder):
    (folder / "000001.tar").unlink()
    (folder / "000001.tar").mkdir()
    found, _ = verify(folder)
    assert found.problems == (f"{folder}/000001.tar: cannot be read (Is a directory)",)
    assert found.num_pairs == 4


def test_images_that_do_not_decode_are_dropped_by_name(tmp_path):
    pairs = [replace(pair, image=pair.image[:60]) if i in (1, 4) else pair for i, pair in enumerate(make_pairs(5))]
    make_shards(tmp_path, pairs, pairs_per_shard=2)
    found, drops = verify(tmp_path)
    assert (found.num_pairs, found.problems) == (5, ())
    assert drops.counts == {"unreadable image": 2}
    names = [name.split(": ")[0] for name in drops.examples["unreadable image"]]
    assert names == [f"{tmp_path}/000000.tar:00001", f"{tmp_path}/000002.tar:00004"]
    assert not verify(tmp_path, decode=False)[1].counts
    with pytest.raises(DroppedError, match="00001"):
        verify_shards([str(tmp_path)], drops=Drops(strict=True))


def test_a_pattern_that_names_nothing_is_an_error(tmp_path):
    for pattern in (tmp_path, tmp_path / "x.tar", tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=r"no \.tar files match"):
            verify(pattern)


def test_remote_shards(folder):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/verified", recursive=True)
    try:
        assert verify("memory://verified") == verify(folder)
        memory.pipe("/verified/000000.tar", b"short")
        memory.rm("/verified/000001.tar")
        found, _ = verify("memory://verified")
        assert [problem.split(": ")[0].rpartition("/")[2] for problem in found.problems] == ["000000.tar"] * 2 + ["000001.tar"]
    finally:
        memory.rm("/verified", recursive=True)
