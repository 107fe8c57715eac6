"""Pictures as files of any kind in, small ones out, with the fingerprints by which near-copies are found.

The fingerprints and what counts as alike are those of the sample (`runs/assets/sample_shard.py`).
"""

import io
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

sys.path.append(str(Path(__file__).parents[1] / "assets"))

from sample_shard import Likeness, gradient_hash, thumbnail

MAX_ASPECT = 4.0
MIN_SIDE = 24
QUALITY = 92
warnings.filterwarnings("ignore", message="(Corrupt|Possibly corrupt|Truncated) EXIF|Palette images with Transparency")


@dataclass(frozen=True, kw_only=True)
class Small:
    """The bytes that are stored, and the fingerprints of what they show."""

    data: bytes
    gradient: int
    colours: np.ndarray


def make_small(data: bytes, *, side: int) -> Small | str:
    """At most `side` pixels long, on white, as JPEG; a small JPEG or WebP stays the file it was. Or the reason why not."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            kind, mode, turned = opened.format, opened.mode, opened.getexif().get(0x0112, 1) != 1
            image = ImageOps.exif_transpose(opened)
            picture = on_white(image)
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        return "picture too large" if isinstance(error, Image.DecompressionBombError) else "unreadable picture"
    long, short = max(picture.size), min(picture.size)
    if short < MIN_SIDE or long > MAX_ASPECT * short:
        return "picture too small" if short < MIN_SIDE else "extreme aspect ratio"
    if long > side:
        picture = picture.resize([max(1, round(length * side / long)) for length in picture.size], Image.Resampling.LANCZOS)
    elif kind in ("JPEG", "WEBP") and mode in ("RGB", "L") and not turned:
        return Small(data=data, gradient=gradient_hash(picture), colours=thumbnail(picture))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return Small(data=buffer.getvalue(), gradient=gradient_hash(picture), colours=thumbnail(picture))


def on_white(image: Image.Image) -> Image.Image:
    """RGB, white where the picture is transparent."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    drawn = image.convert("RGBA")
    sheet = Image.new("RGBA", drawn.size, "white")
    sheet.alpha_composite(drawn)
    return sheet.convert("RGB")


class NearCopies:
    """Pictures that others are compared with, all at once: what `sample_shard.copies_of` says, for many."""

    def __init__(self, gradients: Sequence[int], colours: Sequence[np.ndarray]) -> None:
        self._bits = _bits(gradients)
        self._colours = np.stack(colours).reshape(len(colours), -1).astype(np.float32)

    def of(self, gradient: int, colours: np.ndarray, *, limit: Likeness) -> np.ndarray:
        """The numbers of the pictures that one is alike."""
        near = np.flatnonzero(np.bitwise_count(self._bits ^ _bits([gradient])).sum(axis=1) <= limit.bits)
        difference = np.abs(self._colours[near] - colours.reshape(1, -1).astype(np.float32)).mean(axis=1)
        return np.asarray(near[difference <= limit.colour])


def _bits(gradients: Sequence[int]) -> np.ndarray:
    return np.frombuffer(b"".join(gradient.to_bytes(32, "big") for gradient in gradients), dtype=np.uint64).reshape(-1, 4)
