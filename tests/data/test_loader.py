import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
import torch

from fullclip.core.distributed import World
from fullclip.core.types import Pair
from fullclip.data import lanes as lanes_module, loader as loader_module
from fullclip.data.drops import DroppedError, Drops
from fullclip.data.groups import read_table
from fullclip.data.loader import Loader, Plan
from fullclip.data.survey import survey
from fullclip.preprocess.image import CropConfig, PreprocessConfig, decode_image, train_transform
from fullclip.preprocess.tokenizer import Tokenizer
from pairs import grey, make_pairs, make_shards, picture, pixels

TOKENIZER = Tokenizer.clip(context_length=16)
PLAN = Plan(batch_size=12, seed=0, shuffle_size=20)


def sources_of(*patterns, weights=()):
    return survey([str(pattern) for pattern in patterns], weights, drops=Drops(), world=World.single())


def load(sources, *, plan=PLAN, drops=None, rank=0, size=1, **options):
    return Loader(
        sources,
        transform=pixels,
        tokenizer=TOKENIZER,
        plan=plan,
        drops=Drops() if drops is None else drops,
        world=World(rank=rank, size=size),
        **options,
    )


def first(loader, number):
    batches = iter(loader)
    found = list(islice(batches, number))
    batches.close()
    return found


def globally(sources, number, *, size=1, **options):
    """The first global batches, each the parts of `size` ranks one behind the other."""
    parts = [first(load(sources, rank=rank, size=size, **options), number) for rank in range(size)]
    return [merged(batches) for batches in zip(*parts, strict=True)]


def merged(batches):
    return replace(
        batches[0],
        images=torch.cat([batch.images for batch in batches]),
        tokens=torch.cat([batch.tokens for batch in batches]),
        keys=tuple(key for batch in batches for key in batch.keys),
        num_truncated=sum(batch.num_truncated for batch in batches),
        position={lane: counts for batch in batches for lane, counts in batch.position.items()},
    )


def keys(batches):
    return [key for batch in batches for key in batch.keys]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.keys, one.position, one.num_truncated) == (other.keys, other.position, other.num_truncated)
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.tokens, other.tokens)


def spoil(pairs, *places):
    return [replace(pair, image=pair.image[:60]) if i in places else pair for i, pair in enumerate(pairs)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """37 pairs with three captions each, in 1, 2 and 7 shards."""
    folder = tmp_path_factory.mktemp("whole")
    sizes = {1: 37, 2: 20, 7: 6}
    for number, pairs_per_shard in sizes.items():
        make_shards(folder / str(number), make_pairs(37, captions=3), pairs_per_shard=pairs_per_shard)
    return {number: sources_of(folder / str(number)) for number in sizes}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """The same with four pairs that give no sample, and in seven shards one cut short, in two one full of zeros in its middle.

    (sources by number of shards, the keys that can be read, by number of shards)
    """
    folder, found, good = tmp_path_factory.mktemp("damaged"), {}, {}
    for number, pairs_per_shard in {1: 37, 2: 20, 7: 6}.items():
        pairs = spoil(make_pairs(37, captions=3), 4, 5, 36)
        pairs[11] = replace(pairs[11], texts=())
        shards = make_shards(folder / str(number), pairs, pairs_per_shard=pairs_per_shard)
        good[number] = {pair.key for pair in pairs} - {"00004", "00005", "00036", "00011"}
        if number == 2:
            table = read_table(shards[1])
            data = bytearray(Path(shards[1]).read_bytes())
            data[table.offsets[3] : table.offsets[5]] = bytes(int(table.offsets[5] - table.offsets[3]))
            Path(shards[1]).write_bytes(data)  # the index still says what was there
            good[number] -= {"00023", "00024"}
        if number == 7:
            with open(shards[2], "r+b") as file:
                file.truncate(int(read_table(shards[2]).offsets[2]) + 700)
            good[number] -= {"00014", "00015", "00016", "00017"}
        found[number] = sources_of(folder / str(number))
    return found, good


def in_this_process(makers):
    """What `parts_of_workers` gives, without the processes, so that a whole grid takes seconds."""
    return (list(parts) for parts in zip(*(make() for make in makers), strict=True))


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_every_sample_is_seen_once_an_epoch(whole, damaged, monkeypatch, number, size, workers):
    """By any number of ranks and workers, also more of them than shards."""
    monkeypatch.setattr(loader_module, "parts_of_workers", in_this_process)
    everything = [f"{i:05d}" for i in range(37)]
    for sources, expected in ((whole[number], everything), (damaged[0][number], sorted(damaged[1][number]))):
        drops = Drops()
        ranks = [load(sources, rank=rank, size=size, workers=workers, drops=drops).one_epoch() for rank in range(size)]
        batches = [list(batches) for batches in ranks]
        assert sorted(key for found in batches for key in keys(found)) == expected
        assert drops.counts.total() == sources[0].num_samples - len(expected)
        for found in batches:
            assert all(len(batch.keys) == 12 // size for batch in found[:-1])


@cache
def straight_of(sources):
    """The first four batches, more than an epoch, as one process without workers has them, and what it left out."""
    drops = Drops()
    return globally(sources, 4, drops=drops), drops.counts


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_batches_are_the_same_for_any_number_of_ranks_and_workers(whole, damaged, monkeypatch, number, size, workers):
    monkeypatch.setattr(loader_module, "parts_of_workers", in_this_process)
    for sources in (whole[number], damaged[0][number]):
        drops = Drops()
        expected, counts = straight_of(sources)
        assert_same(globally(sources, 4, size=size, workers=workers, drops=drops), expected)
        assert drops.counts == counts


@pytest.mark.parametrize(("size", "workers", "number"), [(1, 1, 7), (2, 2, 2), (3, 5, 1)])
def test_processes_as_workers_change_nothing(whole, damaged, size, workers, number):
    for sources in (whole[number],) if size > 1 else (whole[number], damaged[0][number]):
        drops, theirs = Drops(), Drops()
        found = globally(sources, 7, size=size, workers=workers, drops=drops)
        assert_same(found, globally(sources, 7, drops=theirs))
        assert drops.counts == theirs.counts


def test_workers_see_every_sample_once_an_epoch(damaged):
    sources, good = damaged
    for number, workers in ((7, 2), (2, 5)):
        found = list(load(sources[number], workers=workers).one_epoch())
        assert sorted(keys(found)) == sorted(good[number])
        assert_same(found, list(load(sources[number]).one_epoch()))


@pytest.mark.parametrize("batch_size", [1, 4, 37])
@pytest.mark.parametrize("shuffle_size", [1, 5, 100])
def test_epochs_follow_each_other_without_repetition(whole, batch_size, shuffle_size):
    """Every lane takes its share of an epoch before any of the next, so the places taken are the epochs' own."""
    plan = Plan(batch_size=batch_size, seed=3, shuffle_size=shuffle_size)
    batches = first(load(whole[2], plan=plan), 3 * 37 // batch_size)
    seen = Counter(keys(batches))
    if batch_size in (1, 37):  # the lanes end their epochs together
        assert set(seen.values()) == {3}
        for epoch in range(3):
            part = batches[epoch * 37 // batch_size : (epoch + 1) * 37 // batch_size]
            assert len(set(keys(part))) == 37
            assert part[-1].epoch == epoch + 1
    assert max(seen.values()) <= 4
    assert min(seen.values()) >= 2


@pytest.mark.parametrize("batch_size", [1, 4, 12])
def test_resumed_is_straight(whole, damaged, batch_size):
    plan = Plan(batch_size=batch_size, seed=0, shuffle_size=20)
    for sources in (whole[2], damaged[0][2], damaged[0][7]):
        straight = first(load(sources, plan=plan), 8)
        for done in range(1, 8):
            resumed = load(sources, plan=plan, position=straight[done - 1].position)
            assert_same(first(resumed, min(2, 8 - done)), straight[done : done + 2])


def test_resumed_on_another_world_is_straight(damaged):
    sources = damaged[0][7]
    straight = first(load(sources), 8)
    position = None
    for done, size in enumerate((1, 3, 2, 4, 12, 6, 1, 2)):  # another world after every batch
        (found,) = globally(sources, 1, size=size, position=position)
        assert_same([found], [straight[done]])
        position = found.position


def test_resumed_with_other_workers_is_straight(damaged):
    sources = damaged[0][2]
    straight = first(load(sources), 6)
    resumed = globally(sources, 2, size=2, workers=2, position=straight[1].position)
    assert_same(resumed, straight[2:4])
    assert_same(first(load(sources, workers=3, position=resumed[-1].position), 2), straight[4:])


def test_resuming_reads_nothing_that_came_before(whole, monkeypatch):
    """Also not one sample of a window that was half taken: the streams give each place once."""
    straight = first(load(whole[7]), 2)
    references = []
    original = lanes_module._decode
    monkeypatch.setattr(
        lanes_module, "_decode", lambda work, loaded: references.append(loaded.reference) or original(work, loaded)
    )
    first(load(whole[7], position=straight[-1].position), 1)
    found = {reference for reference in references if reference.epoch == 0}
    assert len(found) == 37 - 24  # 24 of the epoch's 37 were taken
    assert len(set(references)) == len(references)


def test_a_position_that_does_not_fit_is_an_error(whole):
    position = first(load(whole[2]), 1)[0].position
    with pytest.raises(ValueError, match="has 12 lanes, this run 6: keep train"):
        load(whole[2], plan=Plan(batch_size=6, seed=0, shuffle_size=9), position=position)
    with pytest.raises(ValueError, match="has 6 lanes, this run 12"):
        load(whole[2], position={lane: position[lane] for lane in range(6)})
    with pytest.raises(ValueError, match="another number of sources than 2"):
        load(whole[2] * 2, position=position)


def test_a_batch_holds_what_belongs_together(whole):
    pairs = {pair.key: pair for pair in make_pairs(37, captions=3)}
    (batch,) = first(load(whole[7], plan=Plan(batch_size=37, seed=0, shuffle_size=9)), 1)
    assert len(set(batch.keys)) == 37
    for key, image, tokens in zip(batch.keys, batch.images, batch.tokens, strict=True):
        assert TOKENIZER.decode(tokens) in pairs[key].texts
        noise = image - grey(decode_image(pairs[key].image))
        torch.testing.assert_close(noise, noise[:, :1, :1].expand_as(noise), rtol=0, atol=1e-4)


def test_epochs_and_seeds_have_their_own_order_and_chance(whole):
    plan = Plan(batch_size=37, seed=0, shuffle_size=100)
    epochs = first(load(whole[7], plan=plan), 4)
    seeds = [first(load(whole[7], plan=replace(plan, seed=seed)), 1)[0] for seed in range(1, 4)]
    assert len({batch.keys for batch in (*epochs, *seeds)}) == 7
    assert len({round(batch.images.sum().item(), 3) for batch in (*epochs, *seeds)}) == 7


def test_every_caption_has_its_turn(tmp_path):
    sources = sources_of(*make_shards(tmp_path, make_pairs(11, captions=3), pairs_per_shard=4))
    batches = first(load(sources, plan=Plan(batch_size=11, seed=0, shuffle_size=5)), 30)
    told = Counter(TOKENIZER.decode(tokens) for batch in batches for tokens in batch.tokens)
    assert set(told) == {text for pair in make_pairs(11, captions=3) for text in pair.texts}
    # 33 captions less the 11 sums are 22 degrees of freedom; above 48.3 in one case of a thousand.
    assert sum((number - 10) ** 2 / 10 for number in told.values()) < 48.3


def test_sources_are_drawn_by_weight_and_each_is_seen_once_in_its_own_epochs(tmp_path):
    parts = {"a": make_pairs(40)[:30], "b": make_pairs(40)[30:]}
    for name, pairs in parts.items():
        make_shards(tmp_path / name, pairs, pairs_per_shard=7)
    sources = sources_of(tmp_path / "a", tmp_path / "b", weights=(0.6, 0.4))
    batches = first(load(sources, plan=Plan(batch_size=6, seed=1, shuffle_size=20)), 200)
    own = {pair.key for pair in parts["a"]}
    taken = [sum(counts[i] for counts in batches[-1].position.values()) for i in range(2)]
    assert sum(key in own for key in keys(batches)) == taken[0]
    assert sum(taken) == 1200
    assert abs(taken[0] - 720) < 4.5 * (1200 * 0.6 * 0.4) ** 0.5  # binomial: 1 in 100,000 lies outside
    assert batches[-1].epoch == 1200 / 40
    counts = Counter(keys(batches))
    # Lanes draw apart, so they are not in step: each has its own number of a source's epochs.
    for number, pairs in enumerate(parts.values()):
        shares = [position[number] * 6 / len(pairs) for position in batches[-1].position.values()]
        assert all(int(min(shares)) - 1 <= counts[pair.key] <= max(shares) + 2 for pair in pairs)
    assert sorted(keys(load(sources, plan=PLAN).one_epoch())) == [f"{i:05d}" for i in range(40)]
    straight = first(load(sources), 6)
    assert_same(globally(sources, 3, size=3, position=straight[2].position), straight[3:])


def test_a_source_s_epoch_is_whole_before_the_lane_begins_its_next(tmp_path):
    make_shards(tmp_path / "a", make_pairs(30)[:20], pairs_per_shard=7)
    make_shards(tmp_path / "b", make_pairs(30)[20:], pairs_per_shard=7)
    sources = sources_of(tmp_path / "a", tmp_path / "b", weights=(0.5, 0.5))
    batches = first(load(sources, plan=Plan(batch_size=4, seed=1, shuffle_size=20, lanes=1)), 40)
    for own in (range(20), range(20, 30)):
        seen = [key for key in keys(batches) if int(key) in own]
        for start in range(0, len(seen) - len(own) + 1, len(own)):
            assert sorted(seen[start : start + len(own)]) == [f"{i:05d}" for i in own]


def test_what_is_left_out_is_counted_by_reason_when_its_turn_comes(damaged):
    for number, workers, torn in ((7, 0, 0), (2, 0, 2), (2, 2, 2)):
        drops = Drops()
        list(load(damaged[0][number], drops=drops, workers=workers).one_epoch())
        expected = {"unreadable image": 3, "sample without text": 1, "torn shard": torn}
        assert drops.counts == Counter({reason: count for reason, count in expected.items() if count})
    assert {name.rpartition(".tar:")[2][:5] for name in drops.examples["unreadable image"]} == {"00004", "00005", "00036"}
    assert all("000001.tar, sample " in name for name in drops.examples["torn shard"])


@pytest.mark.parametrize("workers", [0, 2])
def test_strict_stops_at_the_first_that_would_be_left_out(damaged, workers):
    with pytest.raises(DroppedError, match=r"^(unreadable image|sample without text): [^\n]*$"):
        list(load(damaged[0][1], drops=Drops(strict=True), workers=workers).one_epoch())


@pytest.mark.parametrize(
    ("pairs", "workers", "message"),
    [
        ([Pair(key="a", image=picture(0), texts=())], 0, r"^no pair in .*000000\.tar can be used \(sample without text: "),
        (spoil(make_pairs(3), 0, 1, 2), 1, r"^no image in .*000000\.tar can be decoded .*; see `fullclip data verify` [^\n]*$"),
    ],
)
def test_nothing_to_load_is_an_error_and_not_an_endless_search(tmp_path, pairs, workers, message):
    sources = sources_of(*make_shards(tmp_path, pairs))
    with pytest.raises(ValueError, match=message):
        next(iter(load(sources, plan=Plan(batch_size=len(pairs), seed=0, shuffle_size=99), workers=workers)))


def test_fewer_pairs_than_a_batch_are_an_error_before_the_first(whole):
    with pytest.raises(ValueError, match=r"^the shards hold 37 pairs, fewer than train\.batch_size = 38: set it lower$"):
        iter(load(whole[1], plan=Plan(batch_size=38, seed=0, shuffle_size=9)))
    assert len(keys(load(whole[1], plan=Plan(batch_size=38, seed=0, shuffle_size=9)).one_epoch())) == 37


def test_one_readable_image_among_broken_ones_is_enough(tmp_path):
    sources = sources_of(*make_shards(tmp_path, spoil(make_pairs(9), *range(1, 9))))
    found = first(load(sources, plan=Plan(batch_size=5, seed=0, shuffle_size=4)), 2)
    assert keys(found) == ["00000"] * 10


def test_long_texts_are_cut_and_counted(tmp_path):
    pairs = [replace(pair, texts=("word " * (20 if i % 3 == 0 else 5),)) for i, pair in enumerate(make_pairs(9))]
    sources = sources_of(*make_shards(tmp_path, pairs))
    batches = first(load(sources, plan=Plan(batch_size=3, seed=0, shuffle_size=4)), 3)
    assert sum(batch.num_truncated for batch in batches) == 3
    for batch in batches:
        assert batch.num_truncated == sum(int(key) % 3 == 0 for key in batch.keys)
        assert (batch.tokens == TOKENIZER.end_id).sum(1).tolist() == [1, 1, 1]


def test_a_shard_replaced_after_the_survey_costs_what_no_longer_fits(tmp_path):
    shards = make_shards(tmp_path, make_pairs(20), pairs_per_shard=10)
    sources = sources_of(tmp_path)
    Path(shards[1]).write_bytes(Path(shards[1]).read_bytes()[512:])
    drops = Drops()
    found = keys(load(sources, drops=drops).one_epoch())
    assert sorted(found) == [f"{i:05d}" for i in range(10)] or set(found) > {f"{i:05d}" for i in range(10)}
    assert len(found) + drops.counts["torn shard"] == 20


@pytest.mark.parametrize("threads", [1, 7, None])
def test_the_number_of_threads_changes_nothing(whole, monkeypatch, threads):
    straight = first(load(whole[2]), 4)
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    assert_same(first(load(whole[2]), 4), straight)


def test_the_training_transform_goes_to_a_worker(whole):
    transform = train_transform(PreprocessConfig(size=4), CropConfig(kind="area", scale=(0.3, 1.0)))
    found = [
        first(Loader(whole[2], transform=transform, tokenizer=TOKENIZER, plan=PLAN, drops=Drops(), workers=workers), 2)
        for workers in (0, 1)
    ]
    assert_same(*found)


def test_a_run_s_own_chance_is_left_alone(whole):
    state = torch.get_rng_state()
    first(load(whole[2], workers=1), 1)
    assert torch.equal(torch.get_rng_state(), state)


def children():
    """Processes that were started by this one's server, by their id."""
    server = multiprocessing.forkserver._forkserver._forkserver_pid
    return [int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()]


@pytest.mark.faults
def test_a_killed_worker_is_one_clear_line_and_the_others_end(whole):
    batches = iter(load(whole[2], workers=2))
    next(batches)
    started = set(children())
    os.kill(max(started), signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"^a decoding process was killed \(.*\); where the memory ran out, set [^\n]*$"):
        list(islice(batches, 100))
    wait_until_gone(started)


def wait_until_gone(started):
    end = time.monotonic() + 15
    while started & set(children()):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_workers_end_with_an_error(damaged):
    with pytest.raises(DroppedError) as error:  # which holds on to the frames that it went through
        next(iter(load(damaged[0][1], plan=replace(PLAN, batch_size=37), drops=Drops(strict=True), workers=2)))
    assert not children()
    assert error.value.args


@pytest.mark.faults
def test_a_ctrl_c_leaves_the_workers_to_their_parent_and_giving_up_ends_them(whole):
    batches = iter(load(whole[2], workers=2))
    next(batches)
    started = set(children())
    for pid in started:
        os.kill(pid, signal.SIGINT)
    for _ in range(10):
        next(batches)
    batches.close()
    wait_until_gone(started)


_ABANDONED = """
import sys

from fullclip.core.distributed import World
from fullclip.data.drops import Drops
from fullclip.data.survey import survey
from test_loader import load

if __name__ == "__main__":
    batches = iter(load(survey([sys.argv[1]], drops=Drops(), world=World.single()), workers=2))
    next(batches)
    print("one batch", flush=True)
"""


@pytest.mark.faults
def test_a_program_that_ends_with_batches_to_come_ends(tmp_path):
    make_shards(tmp_path / "shards", make_pairs(20))
    script = tmp_path / "abandoned.py"
    script.write_text(_ABANDONED)
    path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    words = [sys.executable, str(script), str(tmp_path / "shards")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": path})
    assert done.stdout == "one batch\n", done.stderr
    assert done.returncode == 0
