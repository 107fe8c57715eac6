"""A text that stands for a picture -> its bytes, of a kind and a size that may be decoded. Headers are read, nothing more."""

import base64
import binascii
import io
import re
import struct
from collections.abc import Awaitable, Callable

from PIL import Image

from fullclip.preprocess.image import is_image
from fullclip.serve.errors import ApiError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
Fetch = Callable[[str], Awaitable[bytes]]
_MOST_READS = 100_000  # of a head: one in millions of parts would be read for minutes
_MOST_CHUNKS = 20_000  # of a PNG, those behind its pixels too
_MOST_SCANS = 100  # of a JPEG, each of which goes over all pixels: a usual one has ten, a few kilobytes may have thousands
_DATA_URL = re.compile(r"data:image/[a-zA-Z0-9.+-]{1,40};base64,", re.IGNORECASE)


def is_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def unreadable(name: str, why: str) -> ApiError:
    return ApiError(400, f"{name}: {why}", code="bad_image")


def decode(text: str, name: str) -> bytes:
    """The bytes of base64, plain or as a data URL; ApiError for anything else."""
    if text[:5].lower() == "data:":
        head = _DATA_URL.match(text)
        if head is None:
            raise unreadable(name, "a data URL of a picture begins with data:image/png;base64, or another kind")
        text = text[head.end() :]
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):  # also of letters that are not ASCII
        raise unreadable(name, "neither base64 nor a data URL; is it cut off?") from None


def check(data: bytes, name: str, *, max_pixels: int) -> int:
    """How many pixels a picture has; ApiError unless the bytes begin like one of at most so many, in a usual number of parts.
    Nothing is decoded.
    """
    if not is_image(data):
        what = "empty" if not data else "not a JPEG, PNG, WebP, GIF, BMP or TIFF file"
        raise unreadable(name, what)
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > _MOST_SCANS:
        raise unreadable(name, f"a JPEG of over {_MOST_SCANS} scans; save it anew")
    if data.startswith(b"\x89PNG") and _has_many_chunks(data):
        raise unreadable(name, f"a PNG of over {_MOST_CHUNKS:,} chunks; save it anew")
    try:
        with Image.open(_Head(data), formats=FORMATS) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise unreadable(name, f"over {max_pixels:,} pixels; scale it down first") from None
    except _EndlessHeadError:
        raise unreadable(name, "what stands before its pixels has too many parts; save it anew") from None
    except Exception as error:  # a broken file can raise nearly anything in Pillow's readers
        raise unreadable(name, f"cannot be read ({type(error).__name__})") from None
    if width * height > max_pixels:
        raise unreadable(name, f"{width} x {height} is over {max_pixels:,} pixels; scale it down first")
    return int(width * height)


class _EndlessHeadError(Exception):
    """A head of too many parts."""


class _Head(io.BytesIO):
    """A file that is read in a usual number of pieces."""

    num_reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.num_reads += 1
        if self.num_reads > _MOST_READS:
            raise _EndlessHeadError
        return super().read(size)


def _has_many_chunks(data: bytes) -> bool:
    place = 8
    for _ in range(_MOST_CHUNKS):
        if place + 8 > len(data):
            return False
        place += 12 + int(struct.unpack_from(">I", data, place)[0])
    return True
