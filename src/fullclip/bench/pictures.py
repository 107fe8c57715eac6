"""JPEG files to read, made of noise and slopes: what they show costs nothing, what they weigh is like a photograph's."""

import io

import numpy as np
from PIL import Image, ImageFilter

SMALL, LARGE = (500, 375), (4000, 3000)
_QUALITY = 90


def jpegs(number: int, size: tuple[int, int]) -> list[bytes]:
    """So many files of (width, height), always the same."""
    random = np.random.default_rng(0)
    return [_jpeg(random, size) for _ in range(number)]


def _jpeg(random: np.random.Generator, size: tuple[int, int]) -> bytes:
    width, height = size
    noise = random.integers(0, 256, size=(min(height, 375), min(width, 500), 3), dtype=np.uint8)
    picture = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3))
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
