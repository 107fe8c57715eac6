"""What a body is: bytes in, a picture's size and format out, or a failure. What a server says of it is not believed."""

import io
import zlib
from dataclasses import dataclass

from fullclip.data.building.downloading.failures import FetchError

MAX_PIXELS = 89_478_485  # where Pillow begins to warn: a quarter of a gigabyte as RGB
_ORIENTATION = 0x0112  # EXIF; from 5 on the sides change places


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Size in pixels as it is seen, and format by the usual file ending."""

    width: int
    height: int
    format: str


def look(body: bytes, *, min_side: int, max_aspect: float) -> Picture:
    """The picture in a body, which is decoded to its end; FetchError where it is none that is wanted.

    min_side: of the shorter side. max_aspect: of the longer side by the shorter.
    """
    from PIL import Image

    from fullclip.preprocess.image import ImageError, decode_image, image_extension, is_image

    if not is_image(body):
        raise _failure("not an image", "empty" if not body else "")
    try:
        with Image.open(io.BytesIO(body)) as image:
            size, turned = image.size, image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _failure("too many pixels") from None
    except Exception as error:  # a broken file can raise nearly anything in Pillow's readers
        raise _failure("broken image", type(error).__name__) from None
    width, height = size[::-1] if turned else size
    if width * height > MAX_PIXELS:
        raise _failure("too many pixels", f"{width} x {height}")
    if min(width, height) < max(1, min_side):
        raise _failure("too small", f"{width} x {height}")
    if max(width, height) > max_aspect * min(width, height):
        raise _failure("too elongated", f"{width} x {height}")
    try:
        decode_image(body, name="", short_side=1)  # all of a JPEG's data are read, and an eighth of its sides computed
    except ImageError as error:
        raise _failure("broken image", str(error).removeprefix(": ")[:200]) from None
    return Picture(width=width, height=height, format=image_extension(body, name=""))


def decompressed(body: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """A body whose server compressed it though it was asked not to; never more than `max_bytes`."""
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return body
    if kind not in ("gzip", "x-gzip", "deflate"):
        raise _failure("content encoding", kind[:40])
    for bits in (47, -15):  # zlib's or gzip's header, or none, as some send "deflate"
        stream = zlib.decompressobj(bits)
        try:
            found = stream.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(found) > max_bytes:
            raise _failure("too large", "decompressed")
        if stream.eof:
            return found
    raise _failure("content encoding", f"broken {kind}")


def _failure(reason: str, detail: str = "") -> FetchError:
    return FetchError(reason, detail, health="answered")
