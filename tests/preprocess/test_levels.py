"""Bytes to what a model sees: all 256 values of each channel, against the formula in float32, wherever they are computed."""

import numpy as np
import pytest
import torch

from fullclip.preprocess.image import OPENAI_MEAN, OPENAI_STD
from fullclip.preprocess.levels import normalize

# every value in every channel, and each channel in another order
PIXELS = torch.stack([torch.arange(256, dtype=torch.uint8).roll(7 * channel).view(16, 16) for channel in range(3)])


def by_formula() -> torch.Tensor:
    one = np.float32(1)
    rows = [
        (plane.numpy().astype(np.float32) / (255 * one) - one * np.float32(mean)) / np.float32(std)
        for plane, mean, std in zip(PIXELS, OPENAI_MEAN, OPENAI_STD, strict=True)
    ]
    return torch.from_numpy(np.stack(rows))


def test_an_image_and_a_batch_are_the_formula_to_the_bit():
    assert torch.equal(normalize(PIXELS, OPENAI_MEAN, OPENAI_STD), by_formula())
    batch = normalize(PIXELS.expand(5, 3, 16, 16), OPENAI_MEAN, OPENAI_STD)
    assert torch.equal(batch, by_formula().expand(5, 3, 16, 16))
    assert batch.dtype == torch.float32


def test_the_bytes_stay_as_they_are():
    before = PIXELS.clone()
    normalize(PIXELS[None], OPENAI_MEAN, OPENAI_STD)
    assert torch.equal(PIXELS, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_a_gpu_gives_the_same_bits():
    batch = normalize(PIXELS[None].cuda(), OPENAI_MEAN, OPENAI_STD)
    assert torch.equal(batch[0].cpu(), by_formula())
