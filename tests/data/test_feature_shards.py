"""Features in pictures' places on their way through shards, batches, verification and inspection."""

import io
import pickle
import tarfile
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from fullclip.core.distributed import World
from fullclip.core.types import Pair
from fullclip.data.drops import DroppedError, Drops
from fullclip.data.inspect import Count, inspect_shards
from fullclip.data.loader import Loader, Plan
from fullclip.data.survey import survey
from fullclip.data.verify import verify_shards
from fullclip.preprocess.features import pack_features, unpack_features
from fullclip.preprocess.tokenizer import Tokenizer
from pairs import make_pairs, make_shards, pixels, read_all, write_tar

WIDTH, VIEWS = 5, 3
TOKENIZER = Tokenizer.clip(context_length=16)
SIGNATURE = b"\x93NUMPY"


def feature_pairs(number: int, *, width: int = WIDTH) -> list[Pair]:
    """Pairs whose views are found nowhere else."""
    return [
        replace(pair, image=pack_features(np.random.default_rng(i).normal(size=(VIEWS, width)).astype(np.float32)))
        for i, pair in enumerate(make_pairs(number))
    ]


def load(folder, *, batch_size=6, workers=0, drops=None, **options):
    sources = survey([str(folder)], (), drops=Drops(), world=World.single())
    plan = Plan(batch_size=batch_size, seed=0, shuffle_size=9)
    drops = Drops() if drops is None else drops
    return Loader(sources, transform=pixels, tokenizer=TOKENIZER, plan=plan, drops=drops, workers=workers, **options)


def first(loader, number):
    batches = iter(loader)
    found = list(islice(batches, number))
    batches.close()
    return found


def test_shards_hold_them_as_they_are(tmp_path):
    pairs = feature_pairs(7)
    shards = make_shards(tmp_path, pairs, pairs_per_shard=3)
    found, drops = read_all(shards)
    assert [(pair.key, pair.image, pair.texts) for pair in found] == [(pair.key, pair.image, pair.texts) for pair in pairs]
    assert not drops.counts
    with tarfile.open(shards[0]) as tar:
        assert tar.getnames() == [f"{i:05d}.{ending}" for i in range(3) for ending in ("npy", "json")]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_holds_one_view_of_each(tmp_path, workers):
    pairs = {pair.key: pair for pair in feature_pairs(12)}
    make_shards(tmp_path, pairs.values(), pairs_per_shard=5)
    turns = {key: set() for key in pairs}
    for batch in first(load(tmp_path, workers=workers), 40):
        assert batch.images.shape == (6, WIDTH, 1, 1)
        for key, image, tokens in zip(batch.keys, batch.images, batch.tokens, strict=True):
            views = torch.from_numpy(unpack_features(pairs[key].image, name=key))
            (view,) = (views == image[:, 0, 0]).all(dim=1).nonzero().flatten().tolist()
            turns[key].add(view)
            assert TOKENIZER.decode(tokens) == pairs[key].texts[0]
    assert all(len(seen) == VIEWS for seen in turns.values())  # 20 draws each: one in 3,000 keys would miss one


def test_resumed_is_straight(tmp_path):
    make_shards(tmp_path, feature_pairs(12), pairs_per_shard=5)
    straight = first(load(tmp_path), 5)
    resumed = first(load(tmp_path, position=straight[2].position, workers=2), 2)
    for one, other in zip(resumed, straight[3:], strict=True):
        assert one.keys == other.keys
        assert torch.equal(one.images, other.images)


@pytest.mark.parametrize("workers", [0, 2, 4])
@pytest.mark.parametrize("other", ["pictures", "another width"])
def test_what_makes_no_batch_is_one_line(tmp_path, workers, other):
    mixed = feature_pairs(4) + (make_pairs(8)[4:] if other == "pictures" else feature_pairs(8, width=7)[4:])
    make_shards(tmp_path, mixed)
    message = (
        r"^\d{5} is \[\d, \d, \d\] and \d{5} is \[\d, \d, \d\]: images and features, or features of two widths, make no batch$"
    )
    with pytest.raises(ValueError, match=message):
        first(load(tmp_path, batch_size=8, workers=workers), 1)
    with pytest.raises(ValueError, match=message):
        list(load(tmp_path, batch_size=8, workers=workers).one_epoch())


class Payload:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def hostile(path: str) -> bytes:
    array = np.empty((1, WIDTH), dtype=object)
    array[0, 0] = Payload(path)
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def damaged(tmp_path):
    """Three good ones among what cannot be read: {key: bytes} in one tar, without an index."""
    good = {pair.key: pair.image for pair in feature_pairs(3)}
    bad = {
        "pickled": hostile(str(tmp_path / "ran")),
        "rubbish": SIGNATURE + b"\x01\x00\x09\x00rubbish..",
        "cut": good["00000"][:-3],
        "nan": saved(np.full((1, WIDTH), np.nan, dtype=np.float16)),
        "wide": saved(np.ones((1, WIDTH), dtype=np.float64)),
        "flat": saved(np.ones(WIDTH, dtype=np.float16)),
    }
    files = []
    for key, data in {**bad, **good, "bare": b"no signature"}.items():
        files += [(f"{key}.npy", data), (f"{key}.txt", b"a text")]
    assert pickle.loads(bad["pickled"][bad["pickled"].index(b"\x80") :]).item(0).close() is None
    (tmp_path / "ran").unlink()  # which shows that it would
    (tmp_path / "shards").mkdir()
    write_tar(tmp_path / "shards/a.tar", files)
    yield tmp_path / "shards"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_read_is_counted_and_nothing_is_run(damaged, workers):
    drops = Drops()
    batches = list(load(damaged, batch_size=1, workers=workers, drops=drops).one_epoch())
    assert sorted(key for batch in batches for key in batch.keys) == ["00000", "00001", "00002"]
    assert drops.counts == {"unreadable image": 6, "not an image": 1}
    with pytest.raises(DroppedError, match=r"^(unreadable image|not an image): [^\n]*$"):
        list(load(damaged, batch_size=1, workers=workers, drops=Drops(strict=True)).one_epoch())


def test_verification_finds_them_by_name(damaged, tmp_path):
    drops = Drops(num_examples=9)
    found = verify_shards([str(damaged)], drops=drops)
    assert found.num_pairs == 9
    assert drops.counts == {"unreadable image": 6, "not an image": 1}
    keys = {name.partition(".tar:")[2].partition(":")[0] for name in drops.examples["unreadable image"]}
    assert keys == {"pickled", "rubbish", "cut", "nan", "wide", "flat"}
    drops = Drops()
    make_shards(tmp_path / "good", feature_pairs(7), pairs_per_shard=3)
    whole = verify_shards([str(tmp_path / "good")], drops=drops)
    assert (whole.num_shards, whole.num_pairs, whole.problems, whole.notes) == (3, 7, (), ())
    assert not drops.counts


def test_inspection_counts_numbers_and_views(damaged, tmp_path):
    drops = Drops()
    found = inspect_shards([str(damaged)], drops=drops, grid=None)
    assert (found.num_pairs, drops.counts["unreadable image"]) == (9, 6)
    make_shards(tmp_path / "good", feature_pairs(4), pairs_per_shard=3)
    found = inspect_shards([str(tmp_path / "good")], drops=Drops(), grid=None)
    for spread, value in (
        (found.widths, WIDTH),
        (found.heights, VIEWS),
        (found.bytes_per_image, len(feature_pairs(1)[0].image)),
    ):
        assert spread is not None
        assert (spread.min, spread.max) == (value, value)
    assert found.formats == (Count(name="NPY", count=4),)
    assert found.modes == (Count(name="float16", count=4),)


def test_only_pictures_can_be_drawn(tmp_path):
    make_shards(tmp_path / "features", feature_pairs(4))
    with pytest.raises(ValueError, match="these shards hold features and no picture to draw: leave --grid out"):
        inspect_shards([str(tmp_path / "features")], drops=Drops(), grid=tmp_path / "grid.png")
    assert not (tmp_path / "grid.png").exists()
    make_shards(tmp_path / "mixed", [*make_pairs(1), *feature_pairs(4)[1:]])
    make_shards(tmp_path / "alone", make_pairs(1))
    sheets = []
    for name in ("mixed", "alone"):
        drops = Drops()
        inspect_shards([str(tmp_path / name)], drops=drops, grid=tmp_path / f"{name}.png")
        assert not drops.counts
        with Image.open(tmp_path / f"{name}.png") as sheet:
            sheets.append(np.asarray(sheet))
    assert np.array_equal(*sheets)
