"""The loop: step by step against itself written out, and what it leaves alone."""

import pytest
import torch

from fullclip.baselines.learning.loop import adamw, learn
from fullclip.baselines.learning.pairs import Batches
from fullclip.baselines.learning.zero_shot import ask
from fullclip.baselines.ways.methods import METHODS, vocabularies
from fullclip.train.optim.average import Average
from learning import SETTINGS, colour_pairs, colour_question


def built(method="contrastive", seed=0, settings=SETTINGS):
    return METHODS[method].build(settings, vocabularies(colour_pairs(), settings), seed)


def test_the_loop_is_adamw_with_a_running_average_step_by_step():
    """The same written out."""
    ours = built()
    marks = []
    for images in learn(ours, colour_pairs(), SETTINGS, seed=3, title="t"):
        assert not ours.training
        marks.append((images, {name: tensor.clone() for name, tensor in ours.state_dict().items()}))
    theirs = built()
    batches = Batches(colour_pairs(), image_size=8, batch_size=16, seed=3)
    optimizer, average = adamw(theirs, SETTINGS.optim), Average(theirs, SETTINGS.average)
    for step in range(20):
        for group in optimizer.param_groups:
            group["lr"] = SETTINGS.optim.learning_rate * min(1, (step + 1) / 2)
        optimizer.zero_grad()
        theirs.loss(*batches(step)).backward()
        optimizer.step()
        theirs.after_step()
        average.update(theirs)
        if step == 9:
            with average.applied(theirs):
                halfway = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    assert [images for images, _ in marks] == [160, 320]
    for name, tensor in halfway.items():
        torch.testing.assert_close(marks[0][1][name], tensor, msg=name)
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, msg=name)


def test_only_matrices_are_decayed():
    way = built()
    decayed, plain = adamw(way, SETTINGS.optim).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.2, 0.0)
    assert {p.ndim for p in plain["params"]} == {0, 1}
    assert min(p.ndim for p in decayed["params"]) == 2
    assert len(decayed["params"]) + len(plain["params"]) == len(list(way.parameters()))


def test_what_is_asked_on_the_way_changes_nothing():
    ends = []
    for asks in (False, True):
        way = built("bag-of-words")
        for _ in learn(way, colour_pairs(), SETTINGS, seed=0, title="t"):
            if asks:
                ask(way, colour_question(), SETTINGS, at_large=colour_pairs())
                torch.rand(3)
        ends.append(way.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_loss_that_is_no_number_ends_the_run():
    way = built()
    way.tower.proj.data.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match=r"a title: the loss of step 1 is nan; set optim\.learning_rate lower"):
        list(learn(way, colour_pairs(), SETTINGS, seed=0, title="a title"))
