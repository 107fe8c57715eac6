"""Small pictures, and near-copies found for many at once as for one."""

import io

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pictures import QUALITY, NearCopies, Small, make_small
from PIL import Image
from sample_shard import HELDOUT_PAIR, KEPT_PAIR, Likeness, Picture, copies_of, gradient_hash, thumbnail


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(seed: int, *, width: int = 200, height: int = 150) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)


def opened(picture: Small | str) -> Image.Image:
    assert isinstance(picture, Small)
    return Image.open(io.BytesIO(picture.data))


def test_a_large_picture_becomes_a_jpeg_of_the_asked_length():
    image = opened(make_small(encoded(scene(0)), side=80))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (80, 60))
    wanted = np.asarray(scene(0).resize((80, 60), Image.Resampling.LANCZOS), dtype=np.float32)
    assert np.abs(np.asarray(image, dtype=np.float32) - wanted).mean() < 2


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_small_photograph_stays_the_file_it_was(kind):
    data = encoded(scene(1, width=64, height=48), kind)
    small = make_small(data, side=64)
    assert isinstance(small, Small)
    assert small.data == data
    shown = Image.open(io.BytesIO(data)).convert("RGB")
    assert small.gradient == gradient_hash(shown)
    assert_array_equal(small.colours, thumbnail(shown))


def test_what_is_transparent_becomes_white():
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 20, 40))
    for data in (encoded(image), encoded(image, "WEBP", lossless=True), encoded(image.convert("P"))):
        pixels = np.asarray(opened(make_small(data, side=40)).convert("RGB"), dtype=np.int16)
        assert pixels[20, 35].min() > 245
        assert abs(pixels[20, 5] - (200, 0, 0)).max() < 20


def test_a_photograph_taken_sideways_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    data = encoded(scene(2, width=60, height=40), "JPEG", exif=exif, quality=QUALITY)
    image = opened(make_small(data, side=64))
    assert image.size == (40, 60)
    turned = np.asarray(scene(2, width=60, height=40).transpose(Image.Transpose.ROTATE_270), dtype=np.float32)
    assert np.abs(np.asarray(image, dtype=np.float32) - turned).mean() < 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unreadable picture"),
        (b"no picture at all", "unreadable picture"),
        (encoded(scene(3))[:-500], "unreadable picture"),
        (encoded(scene(3, width=100, height=20)), "picture too small"),
        (encoded(scene(3, width=200, height=40)), "extreme aspect ratio"),
        (encoded(Image.new("1", (7000, 7000))), "picture too large"),
    ],
)
def test_what_cannot_be_used_has_a_reason(data, reason):
    assert make_small(data, side=64) == reason


@pytest.mark.parametrize("limit", [KEPT_PAIR, HELDOUT_PAIR, Likeness(bits=120, colour=60.0), Likeness(bits=0, colour=0.0)])
def test_near_copies_are_those_of_the_sample(limit):
    chance = np.random.default_rng(4)
    pictures = []
    for seed in range(30):
        noise = chance.normal(0, 25 * (seed % 3), (150, 200, 3))
        image = Image.fromarray(np.clip(np.asarray(scene(seed // 3)) + noise, 0, 255).astype(np.uint8))
        pictures.append(Picture(webp=b"", gradient=gradient_hash(image), colours=thumbnail(image)))
    copies = NearCopies([one.gradient for one in pictures], [one.colours for one in pictures])
    for one in pictures:
        expected = [number for number, other in enumerate(pictures) if copies_of(one, [other], limit=limit)]
        assert copies.of(one.gradient, one.colours, limit=limit).tolist() == expected
        assert len(expected) >= 1
