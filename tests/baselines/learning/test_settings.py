"""Settings: what is impossible is one line, and where accuracy is measured."""

import pytest

from fullclip.baselines.learning.settings import Settings, TextShape
from fullclip.core.config import override
from learning import SETTINGS


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("images=8", "images is 8, less than one batch of 16"),
        ("batch_size=1", "batch_size is 1: a contrastive loss needs at least 2"),
        ("every=0", "every is 0: from 1 to the 320 images"),
        ("every=321", "every is 321: from 1 to the 320 images"),
        ("average=1", "average is 1.0: above 0 and below 1"),
        ("least=0", "least is 0: at least 1"),
        ("text.layers=0", "text: sizes from 1"),
        ("text.context_length=2", "a context_length from 3"),
        ("lr=1", "lr: no such setting"),
    ],
)
def test_impossible_settings_are_one_line(setting, message):
    with pytest.raises(ValueError, match=message):
        override(SETTINGS, [setting])


def test_marks_are_whole_batches_and_end_with_the_last():
    assert Settings(images=6400, batch_size=100).marks == (1, 2, 4, 8, 16, 32, 64)
    assert Settings(images=1000, every=300, batch_size=128).marks == (2, 5, 7, 8)
    assert Settings(images=128).marks == (1,)
    assert TextShape(width=8).config(10, end_id=3).mlp_width == 32
