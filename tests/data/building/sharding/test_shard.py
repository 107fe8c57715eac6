import random
from dataclasses import replace

import pytest

from copies import contents, jpeg, killed, row, scene, write_stage
from fullclip.core.types import Pair
from fullclip.data.building.draws import number_of
from fullclip.data.building.engine import Pool
from fullclip.data.building.sharding.order import Limit
from fullclip.data.building.sharding.shard import works_of, write_all
from fullclip.data.drops import DroppedError, Drops
from fullclip.data.shards import read_shards, write_shards
from fullclip.data.verify import verify_shards
from pairs import make_pairs, make_shards, read_all

IMAGES = [jpeg(scene(seed, size=(24, 16))) for seed in range(30)]


def good_rows(number=30):
    return [
        row(
            f"k{i:02d}",
            IMAGES[i],
            f"text {i}",
            page=f"https://a.test/{i}",
            queries=["a dog", f"q{i % 3}"],
            width=24,
            licence="CC0",
        )
        for i in range(number)
    ]


def pair_of(one):
    meta = {name: value for name, value in one.items() if name not in ("key", "image", "text")}
    return Pair(key=one["key"], image=one["image"], texts=(one["text"],), meta=meta)


def run(source, out, *, pairs=7, num_bytes=None, seed=0, workers=1, made_with="fullclip 0", **options):
    engine = Pool(workers)
    limit = Limit(pairs=None if num_bytes else pairs, num_bytes=num_bytes)
    try:
        return write_all(
            works_of(str(source)), out=str(out), engine=engine, limit=limit, seed=seed, made_with=made_with, **options
        )
    finally:
        engine.close()


def shards_in(folder):
    return {name: data for name, data in contents(folder).items() if name.endswith((".tar", ".npy")) or name == "index.json"}


def in_order(rows, seed):
    return [pair_of(one) for one in sorted(rows, key=lambda one: number_of(f"{seed}\0{one['key']}"))]


@pytest.mark.parametrize("seed", [0, 5])
def test_shards_are_those_that_writing_the_sorted_pairs_gives(tmp_path, seed):
    rows = good_rows()
    run(write_stage(tmp_path / "in", rows, num_parts=3), tmp_path / "out", seed=seed)
    write_shards(in_order(rows, seed), tmp_path / "naive", pairs_per_shard=7)
    assert shards_in(tmp_path / "out") == shards_in(tmp_path / "naive")


def test_without_shuffling_the_order_is_that_of_the_parts(tmp_path):
    rows = good_rows()
    run(write_stage(tmp_path / "in", rows, num_parts=3), tmp_path / "out", seed=None)
    dealt = [one for number in range(3) for one in rows[number::3]]
    write_shards(map(pair_of, dealt), tmp_path / "naive", pairs_per_shard=7)
    assert shards_in(tmp_path / "out") == shards_in(tmp_path / "naive")


def test_seeds_give_other_orders_of_the_same_pairs(tmp_path):
    folder = write_stage(tmp_path / "in", good_rows())
    orders = []
    for seed in (0, 1):
        run(folder, tmp_path / str(seed), seed=seed, pairs=100)
        orders.append([pair.key for pair in read_all([tmp_path / str(seed) / "000000.tar"])[0]])
    assert sorted(orders[0]) == sorted(orders[1]) == [f"k{i:02d}" for i in range(30)]
    assert orders[0] != orders[1] != sorted(orders[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_neither_parting_nor_order_nor_workers_change_a_byte(tmp_path, workers):
    rows = good_rows()
    run(write_stage(tmp_path / "in", rows), tmp_path / "whole")
    random.Random(0).shuffle(rows)
    run(write_stage(tmp_path / "other", rows, num_parts=4), tmp_path / "parted", workers=workers)
    assert shards_in(tmp_path / "whole") == shards_in(tmp_path / "parted")


def test_what_is_written_verifies_and_has_all_columns(tmp_path):
    found = run(write_stage(tmp_path / "in", good_rows()), tmp_path / "out")
    drops = Drops()
    checked = verify_shards([str(tmp_path / "out")], drops=drops, decode=True)
    assert (checked.num_pairs, checked.problems, drops.counts) == (found.num_pairs, (), {})
    pair = next(pair for pair in read_all([tmp_path / "out/000000.tar"])[0])
    assert pair == pair_of(good_rows()[int(pair.key[1:])])
    assert not (tmp_path / "out/records").exists()


def test_a_shard_is_as_large_as_was_asked(tmp_path):
    rows = good_rows()
    size = 40_000
    run(write_stage(tmp_path / "in", rows), tmp_path / "out", num_bytes=size)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "out").glob("*.tar"))]
    assert len(sizes) > 1
    assert max(sizes) <= size
    assert min(sizes[:-1]) > size - 20_480 - 4096


def test_what_cannot_be_used_is_counted(tmp_path):
    bad = [
        row("", IMAGES[0]),
        row("nothing", None),
        row("svg", b"<svg/>"),
        row("mute", IMAGES[0], "  "),
        row("k00", IMAGES[1], "another with the same key"),
        row("textless", IMAGES[0], None),
    ]
    found = run(write_stage(tmp_path / "in", good_rows(3) + bad, num_parts=2), tmp_path / "out")
    assert {one.reason: one.count for one in found.dropped} == {
        "empty key": 1,
        "no picture": 1,
        "not an image": 1,
        "no text": 2,
        "repeated key": 1,
    }
    assert found.num_pairs == 3


def test_of_one_key_the_same_stays_however_the_rows_come(tmp_path):
    rows = good_rows(3) + [row("k00", IMAGES[i], f"again {i}") for i in range(3)]
    run(write_stage(tmp_path / "a", rows), tmp_path / "1", pairs=2)
    run(write_stage(tmp_path / "b", rows[::-1], num_parts=3), tmp_path / "2", pairs=2)
    assert shards_in(tmp_path / "1") == shards_in(tmp_path / "2")


def test_strict_stops_at_the_first(tmp_path):
    with pytest.raises(DroppedError, match="no text: mute"):
        run(write_stage(tmp_path / "in", [row("mute", IMAGES[0], "")]), tmp_path / "out", strict=True)


def test_captions_that_were_kept_beside_the_text_come_after_it(tmp_path):
    run(write_stage(tmp_path / "in", [row("a", IMAGES[0], "one", captions=["two", "one"])]), tmp_path / "out")
    assert read_all([tmp_path / "out/000000.tar"])[0][0].texts == ("one", "two")


def test_shards_of_people_s_own_are_shuffled_as_well(tmp_path):
    pairs = make_pairs(20)
    make_shards(tmp_path / "in", pairs, pairs_per_shard=6)
    run(tmp_path / "in", tmp_path / "out", seed=3)
    write_shards(
        sorted((replace(pair) for pair in pairs), key=lambda pair: number_of(f"3\0{pair.key}")),
        tmp_path / "naive",
        pairs_per_shard=7,
    )
    assert shards_in(tmp_path / "out") == shards_in(tmp_path / "naive")


@pytest.mark.faults
def test_killed_at_any_file_it_goes_on_to_the_same_bytes(tmp_path):
    folder = write_stage(tmp_path / "in", good_rows(), num_parts=3)
    run(folder, tmp_path / "straight")
    kills = 0
    while killed(2 + 2 * kills, run, folder, tmp_path / "killed"):
        kills += 1
        assert kills < 40
    assert kills >= 4
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")


@pytest.mark.faults
def test_finished_shards_are_not_written_again(tmp_path):
    folder = write_stage(tmp_path / "in", good_rows(), num_parts=2)
    run(folder, tmp_path / "straight")
    before = len(contents(tmp_path / "straight"))
    assert killed(before + 12, run, folder, tmp_path / "killed")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("*.tar")}
    assert times
    found = run(folder, tmp_path / "killed")
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("*.tar")}
    assert found.resumed >= len(times) - 1
    assert sum(done[name] == time for name, time in times.items()) == found.resumed


def test_again_it_tells_what_is_there(tmp_path):
    folder = write_stage(tmp_path / "in", good_rows())
    first = run(folder, tmp_path / "out")
    before = contents(tmp_path / "out")
    again = run(folder, tmp_path / "out")
    assert again == replace(first, resumed=len(first.shards))
    assert contents(tmp_path / "out") == before


def test_what_cannot_be_is_refused(tmp_path):
    folder = write_stage(tmp_path / "in", good_rows(4))
    run(folder, tmp_path / "out")
    with pytest.raises(ValueError, match="was begun with seed 0, and now it is 1"):
        run(folder, tmp_path / "out", seed=1)
    with pytest.raises(ValueError, match="was begun with another input"):
        run(write_stage(tmp_path / "other", good_rows(5)), tmp_path / "out")
    with pytest.raises(ValueError, match="holds other files, such as"):
        run(folder, tmp_path / "in")
    with pytest.raises(ValueError, match="has no column image"):
        run(write_stage(tmp_path / "texts", [{"key": "a", "url": "u", "text": "t"}]), tmp_path / "new")
    with pytest.raises(ValueError, match=r"there is no pair to write: 1 rows, and all are left out \(1 no text\)"):
        run(write_stage(tmp_path / "mute", [row("mute", IMAGES[0], "")]), tmp_path / "newer")


def test_names_of_files_are_keys_without_dots_and_slashes(tmp_path):
    run(write_stage(tmp_path / "in", [row("folder/a.jpg", IMAGES[0]), row("b.png", IMAGES[1])]), tmp_path / "out")
    assert sorted(pair.key for pair in read_shards([str(tmp_path / "out")], Drops())) == ["b_png", "folder-a_jpg"]
