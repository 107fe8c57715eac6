import gzip
import struct
import time
import zlib

import pytest
from hypothesis import given, strategies as st

from fullclip.data.building.downloading.failures import FetchError
from fullclip.data.building.downloading.pictures import Picture, decompressed, look
from misbehaving import picture


def seen(body, *, min_side=64, max_aspect=3.0):
    """What a body is, or the reason why it is nothing."""
    try:
        return look(body, min_side=min_side, max_aspect=max_aspect)
    except FetchError as error:
        return error.reason


def bomb(width, height):
    """A PNG that says that it is so large."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "ending"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif"), ("BMP", "bmp"), ("TIFF", "tif")]
)
def test_size_and_format_are_the_pictures_own(kind, ending):
    assert seen(picture(size=(130, 70), kind=kind)) == Picture(width=130, height=70, format=ending)


def test_size_is_that_of_the_upright_picture():
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    assert seen(picture(size=(130, 70), exif=exif)) == Picture(width=70, height=130, format="jpg")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not an image"),
        (b"<html><body>404</body></html>", "not an image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
        (b"%PDF-1.7", "not an image"),
        (b"BM, the letters", "broken image"),
        (b"\xff\xd8\xff", "broken image"),
        (b"GIF89a", "broken image"),
        (picture(size=(300, 300))[:-400], "broken image"),
        (picture(size=(300, 300), kind="PNG")[:-400], "broken image"),
        (picture(size=(1, 1), kind="GIF"), "too small"),
        (picture(size=(63, 64)), "too small"),
        (picture(size=(193, 64)), "too elongated"),
        (picture(size=(64, 193)), "too elongated"),
    ],
)
def test_what_is_not_wanted(body, reason):
    assert seen(body) == reason


def test_the_bounds_themselves_are_allowed():
    assert isinstance(seen(picture(size=(192, 64))), Picture)
    assert isinstance(seen(picture(size=(1, 1), kind="PNG"), min_side=0), Picture)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(9_460, 9_460), (13_000, 13_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_not_decoded(size):
    began = time.monotonic()
    assert seen(bomb(*size)) in ("too many pixels", "broken image")
    assert time.monotonic() - began < 1


@given(st.data())
def test_torn_and_changed_pictures_are_reasons_and_never_errors(data):
    whole = picture(
        data.draw(st.integers(0, 3)), size=(70, 70), kind=data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP"]))
    )
    torn = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 5)) if torn else 0):
        torn[data.draw(st.integers(0, len(torn) - 1))] = data.draw(st.integers(0, 255))
    found = seen(bytes(torn))
    allowed = ("not an image", "broken image", "too small", "too elongated", "too many pixels")
    assert isinstance(found, Picture) or found in allowed


def test_compressed_bodies_are_read_within_bounds():
    body = b"picture" * 1000
    raw = zlib.compressobj(wbits=-15)
    bare = raw.compress(body) + raw.flush()
    for encoding, packed in [
        ("", body),
        ("identity", body),
        ("gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("deflate", bare),
    ]:
        assert decompressed(packed, encoding, max_bytes=7000) == body
    for encoding, packed, reason in [
        ("gzip", gzip.compress(body), "too large"),
        ("gzip", gzip.compress(bytes(50_000_000)), "too large"),
        ("gzip", gzip.compress(body)[:-9], "content encoding"),
        ("gzip", body, "content encoding"),
        ("br", body, "content encoding"),
        ("gzip, gzip", body, "content encoding"),
    ]:
        with pytest.raises(FetchError, match=reason):
            decompressed(packed, encoding, max_bytes=6999 if reason == "too large" else 7000)
