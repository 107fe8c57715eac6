"""How many images at a time a model embeds fastest on its device, by trying: twice as many, as long as that is worth it."""

import time
from collections.abc import Callable, Iterator

import torch

from fullclip.inference.encoder import BATCH_SIZE, Encoder

WORTH = 1.05  # times as many images a second for twice the memory
MOST = 1024
_TRIES = 3


def fastest(encoder: Encoder) -> int:
    """A batch size for long work. On a CPU BATCH_SIZE, beyond which nothing is gained there (docs/log.md); on a GPU it takes
    some seconds to find.
    """
    if encoder.device.type == "cpu":
        return BATCH_SIZE
    size = encoder.preprocess.size

    def seconds(number: int) -> float:
        pixels = torch.zeros(number, 3, size, size, device=encoder.device)
        with torch.inference_mode():
            encoder.model.encode_image(pixels).sum().item()  # waits for the device; the first time of a size is slower
            start = time.perf_counter()
            for _ in range(_TRIES):
                encoder.model.encode_image(pixels).sum().item()
        return (time.perf_counter() - start) / _TRIES

    return by_trying(seconds)


def by_trying(seconds: Callable[[int], float], *, first: int = BATCH_SIZE, most: int = MOST) -> int:
    """The last of first, 2 first, 4 first, ... that was worth it, `seconds` being what a batch of so many takes. It ends where
    memory does.
    """
    best, best_rate = first, 0.0
    for number in _doubled(first, most):
        try:
            rate = number / seconds(number)
        except torch.OutOfMemoryError:
            return best
        if rate < WORTH * best_rate:
            return best
        best, best_rate = number, rate
    return best


def _doubled(first: int, most: int) -> Iterator[int]:
    while first <= most:
        yield first
        first *= 2
