import dataclasses

import jaxtyping
import pytest
import torch

from fullclip.core.types import Batch, Features, Hit, Pair, Result, Sample


@pytest.mark.parametrize("noun", [Pair, Sample, Batch, Features, Hit, Result])
def test_the_nouns_are_frozen_and_take_keywords_only(noun):
    assert noun.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(noun))


def test_pairs_do_not_share_their_metadata():
    first, second = (Pair(key="a", image=b"", texts=()) for _ in range(2))
    assert first == second
    assert first.meta is not second.meta


def test_images_and_tokens_of_a_batch_are_equally_many():
    images, tokens = torch.zeros(2, 3, 4, 4), torch.zeros(2, 7, dtype=torch.int64)
    Batch(images=images, tokens=tokens, keys=("a", "b"))
    with pytest.raises(jaxtyping.TypeCheckError):
        Batch(images=images, tokens=tokens[:1], keys=("a", "b"))


def test_both_sides_of_the_features_have_one_shape_and_the_scale_is_one_number():
    rows, scale = torch.zeros(2, 4), torch.tensor(1.0)
    Features(image=rows, text=rows, scale=scale)
    with pytest.raises(jaxtyping.TypeCheckError):
        Features(image=rows, text=torch.zeros(2, 5), scale=scale)
    with pytest.raises(jaxtyping.TypeCheckError):
        Features(image=rows, text=rows, scale=torch.ones(1))
