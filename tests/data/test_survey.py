import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

import processes
from fullclip.core.distributed import World
from fullclip.core.storage import cache_folder, file_info
from fullclip.data import groups, survey as survey_module
from fullclip.data.drops import DroppedError, Drops
from fullclip.data.groups import Table, parse_group, read_groups, read_table, scan, sidecar
from fullclip.data.shards import read_samples, read_shard
from fullclip.data.survey import Shard, Source, survey
from pairs import make_pairs, make_shards, picture, write_tar

PNG = picture(0)


def look(*patterns, weights=(), drops=None):
    return survey([str(p) for p in patterns], weights, drops=Drops() if drops is None else drops, world=World.single())


def survey_work(world, patterns, strict):
    """What a process finds, or the error it ends with, and what it has dropped."""
    drops = Drops(strict=strict)
    try:
        found = survey(patterns, drops=drops, world=world)
    except ValueError as error:
        return str(error), {}
    return found, dict(drops.counts)


def test_counts_are_the_index_s_where_the_sizes_agree(tmp_path, monkeypatch):
    shards = make_shards(tmp_path, make_pairs(7), pairs_per_shard=3)
    monkeypatch.setattr(survey_module, "read_table", None)  # nothing is scanned
    expected = tuple(Shard(path=path, num_samples=number) for path, number in zip(shards, (3, 3, 1), strict=True))
    assert look(tmp_path) == (Source(shards=expected),)
    assert look(tmp_path)[0].num_samples == 7


def test_a_shard_that_is_not_the_index_s_is_looked_at(tmp_path):
    shards = make_shards(tmp_path, make_pairs(7), pairs_per_shard=3)
    write_tar(Path(shards[1]), [("a.png", PNG), ("a.txt", b"x"), ("b.txt", b"no image" * 2000)])
    assert [shard.num_samples for shard in look(tmp_path)[0].shards] == [3, 2, 1]
    (tmp_path / "index.json").write_text("{")
    assert [shard.num_samples for shard in look(*shards)[0].shards] == [3, 2, 1]


def test_with_weights_there_is_a_source_for_each_pattern(tmp_path):
    make_shards(tmp_path / "a", make_pairs(4), pairs_per_shard=3)
    make_shards(tmp_path / "b", make_pairs(2))
    first, second = look(tmp_path / "a", tmp_path / "b", weights=(0.25, 0.75))
    assert (first.num_samples, first.weight, second.num_samples, second.weight) == (4, 0.25, 2, 0.75)
    (both,) = look(tmp_path / "a", tmp_path / "b")
    assert both.shards == first.shards + second.shards
    with pytest.raises(ValueError, match=r"000000\.tar belongs to two of data\.shards"):
        look(tmp_path / "a", f"{tmp_path}/a/*.tar", weights=(1.0, 1.0))


def test_nothing_to_load_is_an_error(tmp_path):
    write_tar(tmp_path / "x.tar", [])
    with pytest.raises(ValueError, match=r"^no pair in .*x\.tar; see `fullclip data verify` for the reason$"):
        look(tmp_path / "x.tar")
    make_shards(tmp_path / "a", make_pairs(4))
    with pytest.raises(ValueError, match=r"^no pair in .*x\.tar"):
        look(tmp_path / "a", tmp_path / "x.tar", weights=(1.0, 1.0))


@pytest.mark.faults
def test_torn_shards_are_told_once(tmp_path):
    shards = make_shards(tmp_path, make_pairs(6), pairs_per_shard=3)
    with open(shards[1], "r+b") as file:
        file.truncate(3000)
    for _ in range(2):  # the second time from what was kept
        drops = Drops()
        assert [shard.num_samples for shard in look(tmp_path, drops=drops)[0].shards] == [3, 1]
        assert drops.counts == {"torn shard": 1}
        assert drops.examples["torn shard"][0].startswith(f"{shards[1]} from byte ")
    with pytest.raises(DroppedError, match="torn shard"):
        look(tmp_path, drops=Drops(strict=True))


@pytest.mark.dist
def test_processes_share_the_work_and_find_the_same(tmp_path):
    shards = make_shards(tmp_path, make_pairs(14), pairs_per_shard=3)
    for number in (1, 3):
        with open(shards[number], "r+b") as file:
            file.truncate(3000)
    answers = processes.run(survey_work, 3, shards, False)
    assert [found for found, _ in answers] == [look(*shards)] * 3
    assert [counts for _, counts in answers] == [{"torn shard": 1}, {"torn shard": 1}, {}]
    assert {message[:11] for message, _ in processes.run(survey_work, 2, shards, True)} == {"torn shard:"}


names = st.sampled_from(["a.png", "a.txt", "b.jpg", "b.JPG", "b.json", "x/a.png", "x/a.txt", ".png", "noextension", "ö.png"])


@given(
    files=st.lists(st.tuples(names | st.just("n" * 150 + ".png"), st.binary(max_size=1100)), max_size=12),
    format=st.integers(0, 2),
)
def test_the_groups_are_the_samples_that_reading_straight_gives(tmp_path_factory, files, format):  # noqa: A002
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    write_tar(path, files, format=tarfile.GNU_FORMAT if format else tarfile.PAX_FORMAT)
    with path.open("rb") as file:
        table = scan(file)
    assert table.torn_at is None
    found = [parse_group(data) for data in read_groups(str(path), table, range(table.num_groups), block_bytes=2000)]
    assert found == list(read_samples(str(path), Drops(strict=True)))


def test_the_table_beside_a_shard_is_what_its_headers_say(tmp_path):
    for shard in make_shards(tmp_path, make_pairs(7), pairs_per_shard=3):
        beside = groups._load(sidecar(shard), file_info(shard).num_bytes)
        with open(shard, "rb") as file:
            scanned = scan(file)
        assert beside.offsets.tolist() == scanned.offsets.tolist()
        assert (beside.num_bytes, beside.torn_at) == (scanned.num_bytes, scanned.torn_at)


def test_a_look_is_kept_until_the_shard_changes(tmp_path, monkeypatch):
    path = Path(write_tar(tmp_path / "x.tar", [("a.png", PNG), ("b.png", PNG)]))
    assert read_table(str(path)).num_groups == 2
    with monkeypatch.context() as patched:
        patched.setattr(groups, "scan", None)
        assert read_table(str(path)).num_groups == 2
    write_tar(path, [("a.png", PNG)])
    assert read_table(str(path)).num_groups == 1
    assert any((cache_folder() / "offsets").iterdir())


@pytest.mark.faults
@pytest.mark.parametrize(
    "spoil",
    [
        lambda values: values[:2],
        lambda values: values + np.eye(1, len(values), dtype=np.int64)[0],  # of a file of another size
        lambda values: np.concatenate([values[:2], values[:1:-1]]),
        lambda values: np.append(values, values[0] + 512),
        lambda values: values - np.array([0, 0, 512] + [0] * (len(values) - 3)),
        lambda values: values[None],
        lambda values: values.astype(float),
        lambda values: values.astype("U8"),
    ],
)
def test_a_damaged_table_is_passed_over(tmp_path, spoil):
    (shard,) = make_shards(tmp_path, make_pairs(3))
    np.save(sidecar(shard), spoil(np.load(sidecar(shard))))
    assert groups._load(sidecar(shard), Path(shard).stat().st_size) is None
    assert read_table(shard).num_groups == 3
    Path(sidecar(shard)).write_bytes(b"\x93NUMPY junk")
    assert groups._load(sidecar(shard), None) is None


@pytest.mark.faults
def test_bytes_that_are_no_group_are_none():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("a.png", "a.txt", "b.png"):
            member = tarfile.TarInfo(name)
            member.size = 700
            tar.addfile(member, io.BytesIO(b"x" * 700))
    whole = file.getvalue()
    assert parse_group(whole[: 2 * 1536]) == ("a", {"png": b"x" * 700, "txt": b"x" * 700})
    bad = [b"", b"\0" * 512, b"junk" * 400, whole[:1024], whole[:3000], whole[512:3072], whole[: 3 * 1536], whole[1536 + 100 :]]
    assert [parse_group(data) for data in bad] == [None] * len(bad)
    for place in (0, 124, 148, 156, 257):
        damaged = bytearray(whole[: 2 * 1536])
        damaged[place] ^= 0x15
        assert parse_group(bytes(damaged)) is None


def test_a_table_that_promises_too_much_gives_none(tmp_path):
    (shard,) = make_shards(tmp_path, make_pairs(3))
    table = read_table(shard)
    assert [data is None for data in read_groups(shard, table, range(1, 6))] == [False, False, True, True, True]
    longer = Table(num_bytes=table.num_bytes, offsets=np.append(table.offsets, table.offsets[-1] + 99999))
    assert parse_group(next(iter(read_groups(shard, longer, range(3, 4)))) or b"") is None
    assert [pair.key for pair in read_shard(shard, Drops())] == ["00000", "00001", "00002"]
