"""The pairs that ship with the package."""

from hashlib import sha256
from importlib.resources import files

import pytest

from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards, read_index, read_shard
from fullclip.data.verify import verify_shards

FOLDER = files("fullclip") / "assets" / "sample"
PARTS = ("train", "heldout")


@pytest.fixture(scope="module")
def pairs():
    found, drops = {}, Drops(strict=True)
    for part in PARTS:
        found[part] = [pair for shard in find_shards([str(FOLDER / part)]) for pair in read_shard(shard, drops)]
    return found


@pytest.mark.parametrize("part", PARTS)
def test_every_pair_is_whole(part):
    drops = Drops(strict=True)
    found = verify_shards([str(FOLDER / part)], drops=drops)
    assert (found.problems, found.notes) == ((), ())
    assert found.num_pairs == read_index(str(FOLDER / part)).num_pairs


def test_it_is_small_but_enough_to_learn_from(pairs):
    assert sum(path.stat().st_size for part in PARTS for path in (FOLDER / part).iterdir()) <= 10_000_000
    assert len(pairs["train"]) >= 1500
    assert len(pairs["heldout"]) >= 100


def author_and_title(pair):
    return pair.meta["author"], pair.meta["title"].casefold()


@pytest.mark.parametrize(
    "what",
    [lambda pair: pair.key, lambda pair: sha256(pair.image).digest(), author_and_title],
    ids=["key", "image", "author and title"],
)
def test_what_is_held_out_was_not_trained_on(pairs, what):
    trained, held_out = ({what(pair) for pair in pairs[part]} for part in PARTS)
    assert not trained & held_out


def test_keys_and_pictures_are_unique(pairs):
    for part in PARTS:
        assert len({pair.key for pair in pairs[part]}) == len({pair.image for pair in pairs[part]}) == len(pairs[part])


def test_held_out_titles_tell_the_pairs_apart(pairs):
    assert len({pair.meta["title"].casefold() for pair in pairs["heldout"]}) == len(pairs["heldout"])


def test_every_pair_says_where_it_comes_from(pairs):
    for part in PARTS:
        for pair in pairs[part]:
            assert all(pair.meta[field] for field in ("title", "source", "licence")), pair.key
