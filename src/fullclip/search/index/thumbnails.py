"""A picture -> its size as it is looked at, and a small JPEG of it."""

import io
from dataclasses import dataclass

from PIL import Image

from fullclip.core.remote import read_remote
from fullclip.core.storage import is_remote
from fullclip.preprocess.image import decode_image

SIDE = 224
_QUALITY = 80
_ORIENTATION, _ON_ITS_SIDE = 0x0112, 5


@dataclass(frozen=True, kw_only=True)
class Look:
    """The size in pixels, upright, and the thumbnail."""

    width: int
    height: int
    jpeg: bytes


def look_at(image: str | bytes) -> Look:
    """Of a path or a file's bytes; ImageError where it cannot be read."""
    source = read_remote(image) if isinstance(image, str) and is_remote(image) else image
    picture = decode_image(source, short_side=SIDE)  # says what is wrong with it
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
        width, height = opened.size
        if opened.getexif().get(_ORIENTATION, 1) >= _ON_ITS_SIDE:
            width, height = height, width
    return Look(width=width, height=height, jpeg=_jpeg(picture))


def _jpeg(picture: Image.Image) -> bytes:
    """On white where it is transparent."""
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    picture = picture.convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()
