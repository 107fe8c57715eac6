"""What is held in memory is what the evaluation's transform sees, and batches follow from the seed and the step alone."""

from collections import Counter

import numpy as np
import pytest
import torch

from fullclip.baselines.learning.pairs import Batches, Pairs, middle, normalized, read_pairs, read_question, side_of
from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.evaluation.tasks.task import Skipped
from fullclip.preprocess.image import PreprocessConfig, decode_image, eval_transform
from learning import colour_pairs
from pairs import make_pairs, make_shards, picture
from tasks import Listed, caption_task, colour_task, examples


def test_pictures_are_those_of_the_evaluations_transform_to_the_level(tmp_path):
    pairs = [Pair(key=f"{i}", image=picture(i, size=(20 + i, 30)), texts=("a", "b")) for i in range(5)]
    found = read_pairs(make_shards(tmp_path, pairs), side=16, drops=Drops())
    transform = eval_transform(PreprocessConfig(size=16))
    assert found.pictures.shape == (5, 16, 16, 3)
    assert found.texts == (("a", "b"),) * 5
    for pair, pixels in zip(pairs, found.pictures, strict=True):
        torch.testing.assert_close(normalized(pixels[None])[0], transform(decode_image(pair.image)), atol=1e-6, rtol=0)


def test_what_cannot_be_read_is_counted(tmp_path):
    torn = Pair(key="torn", image=picture(9)[:60], texts=("x",))
    drops = Drops()
    found = read_pairs(make_shards(tmp_path / "some", [*make_pairs(3), torn]), side=8, drops=drops)
    assert len(found) == 3
    assert drops.counts == {"unreadable image": 1}
    with pytest.raises(ValueError, match=r"no pair in .* can be used; see `fullclip data verify`"):
        read_pairs(make_shards(tmp_path / "none", [torn]), side=8, drops=Drops())


def test_every_pair_comes_once_in_an_epoch_in_an_order_of_its_own():
    batches = Batches(colour_pairs(50), image_size=8, batch_size=16, seed=3)
    places = [place for step in range(25) for place in batches.places(step)]  # 8 epochs
    for epoch in range(8):
        assert sorted(places[50 * epoch : 50 * epoch + 50]) == list(range(50))
    assert len({tuple(places[50 * epoch : 50 * epoch + 50]) for epoch in range(8)}) == 8


def test_a_batch_follows_from_seed_and_step_whatever_came_before():
    one, other = (Batches(colour_pairs(), image_size=8, batch_size=16, seed=5) for _ in range(2))
    for step in range(9):
        one(step)
    images, texts = one(9)
    again, said = other(9)
    assert torch.equal(images, again)
    assert texts == said
    assert not torch.equal(images, Batches(colour_pairs(), image_size=8, batch_size=16, seed=6)(9)[0])


def test_crops_and_captions_are_spread_evenly():
    """Each corner of a 9-pixel picture and each of two captions: within four standard deviations of their share."""
    grid = np.arange(81, dtype=np.uint8).reshape(1, 9, 9, 1).repeat(3, axis=3)
    pairs = Pairs(pictures=grid.repeat(8, axis=0), texts=(("one", "two"),) * 8)
    batches, corners, captions = Batches(pairs, image_size=8, batch_size=8, seed=0), Counter(), Counter()
    whole = normalized(grid)[0]
    for step in range(100):
        images, texts = batches(step)
        captions.update(texts)
        for image in images:
            found = [(t, s) for t in (0, 1) for s in (0, 1) if torch.equal(image, whole[:, t : t + 8, s : s + 8])]
            corners.update(found)
    assert sum(corners.values()) == 800  # every crop is one, at one place
    assert all(abs(number - 200) < 4 * np.sqrt(800 * 0.25 * 0.75) for number in corners.values())
    assert abs(captions["one"] - 400) < 4 * np.sqrt(800 * 0.25)


def test_a_smaller_share_is_within_a_larger_one():
    pairs = Pairs(pictures=np.zeros((200, 2, 2, 3), np.uint8), texts=tuple((str(i),) for i in range(200)))
    tenth, third = (set(pairs.part(share).texts) for share in (0.1, 0.3))
    assert (len(tenth), len(third)) == (20, 60)
    assert tenth < third < set(pairs.part(1.0).texts)
    assert pairs.part(1.0).texts == pairs.texts
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            pairs.part(share)


def test_fewer_pairs_than_a_batch_are_refused():
    with pytest.raises(ValueError, match="there are 8 pairs, fewer than batch_size = 16: set it lower"):
        Batches(colour_pairs(8), image_size=8, batch_size=16, seed=0)


def test_a_question_has_what_can_be_answered():
    split = Listed([*examples(3, 4), Skipped(key="s", reason="no label")])
    task = colour_task(3)
    object.__setattr__(task, "splits", {"test": split})
    drops = Drops()
    found = read_question(task, side=9, most=100, drops=drops)
    assert found.labels.tolist() == [example.labels[0] for example in examples(3, 4)]
    assert found.classes == (("red",), ("green",), ("blue",))
    assert found.pictures.shape == (12, 9, 9, 3)
    assert drops.counts == {"no label": 1}
    assert len(read_question(colour_task(3), side=9, most=5, drops=Drops()).labels) == 5


def test_only_a_classification_can_be_asked():
    with pytest.raises(ValueError, match="captions is a retrieval task; a comparison asks a classification"):
        read_question(caption_task(), side=9, most=5, drops=Drops())


def test_the_middle_leaves_out_as_much_on_each_side():
    assert side_of(64) == 72
    grid = np.arange(72 * 72, dtype=np.int64).reshape(1, 72, 72, 1).repeat(3, axis=3).astype(np.uint8)
    assert np.array_equal(middle(grid, 64), grid[:, 4:68, 4:68])
