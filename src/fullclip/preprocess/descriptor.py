"""A picture as 1,056 bytes, enough to know it again: 32 x 32 levels of grey, 4 x 4 of each of the two colour differences.

And a part of such a picture as cosine coefficients, in which recompression, resizing, brightness and small captions change
little. No weights are needed. Knows nothing of sets, shards or searching.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

SIDE, COLOURS = 32, 4
_SEEN = 32  # levels of grey
LENGTH = SIDE * SIDE + 2 * COLOURS * COLOURS
VERSION = 2  # of the bytes: descriptors of another one are made again


def describe(picture: Image.Image | UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "1056"]:
    """The descriptor of a picture, stretched to a square: the aspect is let go of, so that squashed copies are alike."""
    image = _opaque(Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture)
    # averaging blocks is the same for the large and the small copy; enlarging needs a smooth filter
    grey, *colours = (
        band.resize((side, side), Image.Resampling.BOX if min(image.size) >= side else Image.Resampling.BICUBIC)
        for band, side in zip(image.convert("YCbCr").split(), (SIDE, COLOURS, COLOURS), strict=True)
    )
    return np.concatenate([np.asarray(band, dtype=np.uint8).ravel() for band in (grey, *colours)])


def _opaque(image: Image.Image) -> Image.Image:
    """On white where it is transparent, as pages show it; on black, where nearly nothing would be seen on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    drawn = image.convert("RGBA")
    for paper in ("white", "black"):
        whole = Image.new("RGBA", drawn.size, paper)
        whole.alpha_composite(drawn)
        levels = np.asarray(whole.convert("L"))
        if int(levels.max()) - int(levels.min()) >= _SEEN:
            break
    return whole.convert("RGB")


def grey(descriptors: UInt8[np.ndarray, "n 1056"]) -> Float32[np.ndarray, "n 32 32"]:
    """The levels of grey, 0 to 255."""
    return descriptors[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE).astype(np.float32)


def mirrored(descriptors: UInt8[np.ndarray, "n 1056"]) -> UInt8[np.ndarray, "n 1056"]:
    """The descriptors of the mirrored pictures."""
    parts, at = [], 0
    for side in (SIDE, COLOURS, COLOURS):
        flipped = descriptors[:, at : at + side * side].reshape(-1, side, side)[:, :, ::-1]
        parts.append(flipped.reshape(len(descriptors), side * side))
        at += side * side
    return np.concatenate(parts, axis=1)


def cosines(start: float, end: float, number: int) -> Float32[np.ndarray, "number 32"]:
    """The first `number` cosines over the part of a side from `start` to `end` (0 to 1), averaged over each of its pixels:
    times the pixels, the coefficients of that part. Orthonormal for the mean of squares.
    """
    edges = np.clip((np.arange(SIDE + 1) / SIDE - start) / (end - start), 0, 1)
    found = np.empty((number, SIDE))
    found[0] = np.diff(edges)
    for k in range(1, number):
        found[k] = np.diff(np.sin(np.pi * k * edges)) * np.sqrt(2) / (np.pi * k)
    return found.astype(np.float32)


@lru_cache(maxsize=8)
def emphasis(number: int, power: float) -> Float32[np.ndarray, "number number"]:
    """Weights that make coarse and fine count alike, since in photographs amplitude falls with frequency; 0 for the mean, so
    that brightness does not count.
    """
    k = np.arange(number)
    weights: np.ndarray = np.hypot(k[:, None], k[None, :]) ** power
    weights[0, 0] = 0
    return weights.astype(np.float32)


def evened(coefficients: Float[np.ndarray, "*n number number"], power: float) -> Float[np.ndarray, "*n dim"]:
    """Weighed, flattened, and each replaced by its signed square root (in units of their own size).

    The root keeps a few strong coefficients from deciding alone: without it pictures with one bright half are all alike, and
    a caption's black bar outweighs the picture.
    """
    number = coefficients.shape[-1]
    flat = (coefficients * emphasis(number, power)).reshape(*coefficients.shape[:-2], -1)
    size = np.sqrt((flat**2).mean(axis=-1, keepdims=True))
    found: np.ndarray = np.sign(flat) * np.sqrt(np.abs(flat) * size)
    return found
