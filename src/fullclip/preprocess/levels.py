"""Bytes of colour -> what a model sees: (value / 255 - mean) / std, in float32, to the same bit on every device."""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def normalize(
    pixels: UInt8[Tensor, "*batch 3 height width"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "*batch 3 height width"]:
    """Where the pixels are: a GPU is sent bytes, a quarter of the floats, and does this itself.

    mean and std are of each channel, of values from 0 to 1.
    """
    if pixels.ndim == 3 and pixels.device.type == "cpu":
        return _looked_up(pixels.numpy(), _levels(mean, std))
    whole, middle, spread = (
        torch.tensor(values, dtype=torch.float32).to(pixels.device, non_blocking=True)[:, None, None]
        for values in ((255.0,), mean, std)  # as tensors: by a number GPUs multiply with its rounded inverse
    )
    return pixels.to(torch.float32).div_(whole).sub_(middle).div_(spread)


def _looked_up(
    pixels: UInt8[np.ndarray, "3 height width"], levels: Float[np.ndarray, "3 256"]
) -> Float[Tensor, "3 height width"]:
    found = np.empty(pixels.shape, dtype=np.float32)
    for channel in range(3):
        np.take(levels[channel], pixels[channel], out=found[channel])
    return torch.from_numpy(found)


@lru_cache(maxsize=16)
def _levels(mean: tuple[float, ...], std: tuple[float, ...]) -> Float[np.ndarray, "3 256"]:
    """What each of the 256 values of a channel becomes. Looked up, the arithmetic is done once, to the same bit, and images
    that are read in many threads do not each ask torch for threads of their own.
    """
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    return (values - np.array(mean, dtype=np.float32)[:, None]) / np.array(std, dtype=np.float32)[:, None]
