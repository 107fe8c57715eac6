import os
from collections import Counter
from dataclasses import replace
from itertools import islice, takewhile

import pytest
import torch

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.loader import Loader
from fullclip.preprocess.image import decode_image
from fullclip.preprocess.tokenizer import Tokenizer
from pairs import make_pairs, make_shards, picture

TOKENIZER = Tokenizer.clip(context_length=16)


def pixels(image, random):
    """A transform whose result shows the image and the chance it was given."""
    noise = torch.from_numpy(random.normal(size=(3, 1, 1))).float()
    return noise + grey(image)


def grey(image):
    return torch.tensor(list(image.convert("L").tobytes()), dtype=torch.float32).reshape(1, 6, 8)


def load(shards, *, batch_size=4, seed=0, shuffle_size=5, drops=None, position=None):
    return Loader(
        shards,
        transform=pixels,
        tokenizer=TOKENIZER,
        batch_size=batch_size,
        seed=seed,
        shuffle_size=shuffle_size,
        drops=Drops() if drops is None else drops,
        position=position,
    )


def first(loader, number):
    batches = iter(loader)
    found = list(islice(batches, number))
    batches.close()
    return found


def keys(batches):
    return [key for batch in batches for key in batch.keys]  # noqa: SIM118: a tuple, no mapping


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.keys, one.position, one.num_truncated) == (other.keys, other.position, other.num_truncated)
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.tokens, other.tokens)


@pytest.fixture
def shards(tmp_path):
    """11 pairs with three captions each, in four shards."""
    return make_shards(tmp_path / "shards", make_pairs(11, captions=3), pairs_per_shard=3)


@pytest.fixture
def damaged(tmp_path):
    """13 pairs, 3 of whose images do not decode; one of those is the last of all, and two stand together."""
    pairs = [replace(pair, image=pair.image[:60]) if i in (4, 5, 12) else pair for i, pair in enumerate(make_pairs(13))]
    return make_shards(tmp_path / "damaged", pairs, pairs_per_shard=5)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 30])
@pytest.mark.parametrize("shuffle_size", [1, 5, 100])
def test_every_pair_is_seen_once_an_epoch(shards, batch_size, shuffle_size):
    seen = keys(first(load(shards, batch_size=batch_size, shuffle_size=shuffle_size), -(-33 // batch_size)))
    for epoch in range(3):
        assert sorted(seen[11 * epoch : 11 * (epoch + 1)]) == [f"{i:05d}" for i in range(11)]


def test_a_batch_holds_what_belongs_together(shards):
    pairs = {pair.key: pair for pair in make_pairs(11, captions=3)}
    (batch,) = first(load(shards, batch_size=11), 1)
    for key, image, tokens in zip(batch.keys, batch.images, batch.tokens, strict=True):
        assert TOKENIZER.decode(tokens) in pairs[key].texts
        noise = image - grey(decode_image(pairs[key].image))
        torch.testing.assert_close(noise, noise[:, :1, :1].expand_as(noise), rtol=0, atol=1e-4)


def test_epochs_and_seeds_have_their_own_order_and_chance(shards):
    epochs = [tuple(keys([batch])) for batch in first(load(shards, batch_size=11, shuffle_size=100), 5)]
    seeds = [tuple(keys(first(load(shards, batch_size=11, shuffle_size=100, seed=seed), 1))) for seed in range(5)]
    assert len({*epochs, *seeds}) == 9  # seed 0 begins with the first epoch
    sums = [batch.images.sum().item() for batch in first(load(shards, batch_size=11), 3)]
    assert len(set(sums)) == 3


def test_shards_are_shuffled_among_themselves(shards):
    firsts = {keys(first(load(shards, seed=seed, shuffle_size=1), 1))[0] for seed in range(20)}
    assert firsts == {"00000", "00003", "00006", "00009"}


def test_the_same_seed_gives_the_same_bits(shards):
    assert_same(first(load(shards), 8), first(load(shards), 8))


@pytest.mark.parametrize("threads", [1, 7, None])
def test_the_number_of_threads_changes_nothing(shards, monkeypatch, threads):
    straight = first(load(shards), 8)
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    assert_same(first(load(shards), 8), straight)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 30])
def test_resumed_is_straight(shards, batch_size):
    total = 9 if batch_size < 11 else 4
    straight = first(load(shards, batch_size=batch_size), total)
    for done in range(1, total):
        resumed = load(shards, batch_size=batch_size, position=straight[done - 1].position)
        assert_same(first(resumed, total - done), straight[done:])


@pytest.mark.parametrize("shuffle_size", [1, 6])
def test_resumed_is_straight_among_broken_images(damaged, shuffle_size):
    straight = first(load(damaged, batch_size=3, shuffle_size=shuffle_size), 9)
    for done in range(1, 9):
        resumed = load(damaged, batch_size=3, shuffle_size=shuffle_size, position=straight[done - 1].position)
        assert_same(first(resumed, 9 - done), straight[done:])


def test_one_loader_can_be_read_twice(shards):
    loader = load(shards)
    assert_same(first(loader, 3), first(loader, 3))


def test_broken_images_are_left_out_and_counted_every_epoch(damaged):
    drops = Drops()
    batches = first(load(damaged, batch_size=10, drops=drops), 2)
    good = [f"{i:05d}" for i in range(13) if i not in (4, 5, 12)]
    for epoch, batch in enumerate(batches):
        assert sorted(batch.keys) == good
        assert batch.position["epoch"] == epoch
    assert set(drops.counts) == {"unreadable image"}
    assert 3 <= drops.counts["unreadable image"] <= 6  # those behind the second batch's last pair are not yet met
    assert {name[:5] for name in drops.examples["unreadable image"]} == {"00004", "00005", "00012"}


def test_strict_stops_at_a_broken_image(damaged):
    with pytest.raises(ValueError, match="unreadable image: 000"):
        first(load(damaged, drops=Drops(strict=True)), 4)


@pytest.mark.faults
def test_a_torn_shard_costs_its_rest_only(shards):
    with open(shards[1], "r+b") as file:
        file.truncate(3000)
    drops = Drops()
    seen = Counter(keys(takewhile(lambda batch: batch.position["epoch"] == 0, load(shards, batch_size=1, drops=drops))))
    assert set(seen) == {f"{i:05d}" for i in range(11)} - {"00004", "00005"}
    assert set(seen.values()) == {1}
    assert drops.counts["torn shard"] >= 1


def test_long_texts_are_cut_and_counted(tmp_path):
    pairs = [replace(pair, texts=("word " * (20 if i % 3 == 0 else 5),)) for i, pair in enumerate(make_pairs(9))]
    batches = first(load(make_shards(tmp_path, pairs), batch_size=3), 3)
    assert sum(batch.num_truncated for batch in batches) == 3
    for batch in batches:
        assert batch.num_truncated == sum(int(key) % 3 == 0 for key in batch.keys)
        assert (batch.tokens == TOKENIZER.end_id).sum(1).tolist() == [1, 1, 1]


def test_every_caption_has_its_turn(shards):
    batches = first(load(shards, batch_size=11), 30)
    told = Counter(TOKENIZER.decode(tokens) for batch in batches for tokens in batch.tokens)
    assert set(told) == {text for pair in make_pairs(11, captions=3) for text in pair.texts}
    # 33 captions less the 11 sums are 22 degrees of freedom; above 48.3 in one case of a thousand.
    assert sum((number - 10) ** 2 / 10 for number in told.values()) < 48.3


def test_nothing_to_load_is_an_error_and_not_an_endless_search(tmp_path):
    text_only = [Pair(key="a", image=picture(0), texts=())]
    for name, pairs, message in (
        ("no text", text_only, r"^no pair in .*000000\.tar; see `fullclip data verify`"),
        ("broken", [replace(pair, image=pair.image[:60]) for pair in make_pairs(3)], r"^no image in .* can be decoded"),
    ):
        shards = make_shards(tmp_path / name, pairs)
        with pytest.raises(ValueError, match=message):
            next(iter(load(shards)))
    with pytest.raises(ValueError, match="no pair"):
        next(iter(load([])))


def test_one_readable_image_among_broken_ones_is_enough(tmp_path):
    pairs = [replace(pair, image=pair.image[:60]) if i else pair for i, pair in enumerate(make_pairs(9))]
    assert keys(first(load(make_shards(tmp_path, pairs), batch_size=5), 2)) == ["00000"] * 10
