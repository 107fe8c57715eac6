"""The transforms against torchvision's rules written out with Pillow and torch; decoding of every kind of file, and of none."""

import io
import math
import os
import re
import struct
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from fullclip.preprocess import image as module
from fullclip.preprocess.image import (
    CropConfig,
    ImageError,
    PreprocessConfig,
    decode_image,
    eval_transform,
    fast_transform,
    from_array,
    train_transform,
)

MODES = ["RGB", "L", "LA", "P", "P transparent", "RGBA", "CMYK", "1", "I;16", "I", "F", "YCbCr"]
LEVELS = PreprocessConfig(size=24, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))  # gives plain levels, 0 to 1


def picture(width: int, height: int, mode: str = "RGB", *, seed: int = 0) -> Image.Image:
    """Random waves and noise in any of Pillow's modes."""
    random = np.random.default_rng(seed)
    y, x, band = np.ogrid[:height, :width, :4]
    waves = np.sin(x * random.uniform(0.01, 0.5) + y * random.uniform(0.01, 0.5) + band)
    levels = np.clip(128 + 90 * waves + random.normal(0, 20, (height, width, 4)), 0, 255).astype(np.uint8)
    rgba = Image.fromarray(levels)
    if mode == "P transparent":
        rgba = rgba.convert("RGB").quantize(32)
        rgba.info["transparency"] = 3
        return rgba
    if mode == "I;16":
        return Image.fromarray(levels[..., 0].astype(np.uint16) * 2)
    if mode == "P":
        return rgba.convert("RGB").quantize(64)
    if mode in ("LA", "CMYK", "YCbCr", "1", "I", "F", "L", "RGB"):
        return rgba.convert("L" if mode in ("I", "F") else "RGB").convert(mode)
    return rgba


def torchvision_rules(image: Image.Image, config: PreprocessConfig) -> torch.Tensor:
    """Resize, CenterCrop, convert, ToTensor and Normalize as torchvision 0.2x does them."""
    resampling = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[config.interpolation]
    n, (width, height) = config.size, image.size
    if config.resize == "squash":
        new = (n, n)
    elif width <= height:
        new = (n, int(n * height / width))
    else:
        new = (int(n * width / height), n)
    if new != image.size:
        image = image.resize(new, resampling)
    left, top = int(round((new[0] - n) / 2.0)), int(round((new[1] - n) / 2.0))
    image = image.crop((left, top, left + n, top + n)).convert("RGB")
    pixels = torch.from_numpy(np.array(image, np.uint8, copy=True)).permute(2, 0, 1).contiguous().float().div(255)
    mean, std = torch.tensor(config.mean).view(-1, 1, 1), torch.tensor(config.std).view(-1, 1, 1)
    return pixels.sub_(mean).div_(std)


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    mode=st.sampled_from(MODES),
    size=st.sampled_from([1, 7, 24, 32]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    resize=st.sampled_from(["shortest", "squash"]),
)
def test_eval_transform(width, height, mode, size, interpolation, resize):
    config = PreprocessConfig(size=size, interpolation=interpolation, resize=resize)
    image = picture(width, height, mode)
    assert torch.equal(eval_transform(config)(image), torchvision_rules(image, config))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(224, 224), (225, 224), (223, 225), (333, 277), (100, 449), (3, 2)])
def test_eval_transform_at_224(mode, size):
    image = picture(*size, mode)
    assert torch.equal(eval_transform(PreprocessConfig())(image), torchvision_rules(image, PreprocessConfig()))


def test_rgb_first():
    """Differs for palettes, which are resized without mixing colours, and for nothing opaque else."""
    palette, config = picture(60, 50, "P"), PreprocessConfig(size=24, rgb_first=True)
    assert torch.equal(eval_transform(config)(palette), torchvision_rules(palette.convert("RGB"), config))
    assert not torch.equal(eval_transform(config)(palette), torchvision_rules(palette, config))


def test_transforms_leave_the_image_alone():
    image = picture(50, 40, "P transparent")
    before = image.tobytes()
    eval_transform(LEVELS)(image)
    assert (image.tobytes(), image.size, image.mode) == (before, (50, 40), "P")


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(1, 300), (300, 1), (3, 200), (400, 9), (31, 33), (5, 5)])
def test_thin_strips_are_resized_where_looked_at(monkeypatch, mode, size):
    image = picture(*size, mode)
    whole = eval_transform(LEVELS)(image)
    monkeypatch.setattr(module, "_MAX_RESIZED_PIXELS", 0)
    # Pillow rounds to 8 bits after each of its two passes, whose order it chooses by cost.
    assert (255 * (eval_transform(LEVELS)(image) - whole)).round().abs().max() <= 2


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_grey_of_more_bits_takes_little_beside_itself(mode):
    """Above the picture and the copy of it that Pillow hands out, a byte for each pixel and some rows."""
    file = io.BytesIO()
    pixels = np.zeros((2000, 1000), dtype={"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
    Image.fromarray(pixels).save(file, "TIFF")
    tracemalloc.start()
    decode_image(file.getvalue())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * pixels.nbytes


def test_a_strip_that_would_fill_the_memory():
    """Resized whole, this picture would have 10 million million pixels."""
    assert eval_transform(PreprocessConfig())(Image.new("L", (1, 200_000), 128)).shape == (3, 224, 224)


def as_file(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


# EXIF 2.3, tag 274: how the stored rows and columns lie in the upright picture.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(orientation, form):
    exif = Image.Exif()
    exif[274] = orientation
    turned = decode_image(as_file(picture(12, 20), form, exif=exif))
    plain = np.asarray(Image.open(io.BytesIO(as_file(picture(12, 20), form))))
    assert np.array_equal(np.asarray(turned), UPRIGHT[orientation](plain))


def grey_png(levels: np.ndarray) -> bytes:
    return as_file(Image.fromarray(levels), "PNG")


def test_16_bit_grey_is_scaled():
    levels = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    decoded = decode_image(grey_png(levels))
    assert decoded.mode == "L"
    assert np.array_equal(np.asarray(decoded), np.arange(256).reshape(16, 16))
    random = np.random.default_rng(0).integers(0, 65536, (30, 40)).astype(np.uint16)
    assert np.abs(np.asarray(decode_image(grey_png(random))) - random / 65535 * 255).max() <= 0.5


@pytest.mark.parametrize(("kind", "full"), [(np.int32, 65535), (np.int32, 2**31 - 1), (np.float32, 1.0)])
def test_32_bit_grey_is_scaled(kind, full):
    share = np.linspace(0, 1, 200).reshape(10, 20)
    decoded = np.asarray(decode_image(as_file(Image.fromarray((share * full).astype(kind)), "TIFF")))
    assert np.abs(decoded - share * 255).max() <= 0.51


def test_float_grey_outside_of_its_range():
    strange = np.array([[-1.0, 0.0, 1.0, 7.0, np.nan, np.inf, -np.inf]], np.float32)
    decoded = decode_image(as_file(Image.fromarray(strange), "TIFF"))
    assert np.asarray(decoded).tolist() == [[0, 0, 255, 255, 0, 255, 0]]


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_animation_gives_its_first_frame(form):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "green")]
    options = {"lossless": True} if form == "WEBP" else {}
    data = as_file(frames[0], form, save_all=True, append_images=frames[1:], duration=100, **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert decode_image(data).convert("RGB").getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize(("mode", "form"), [("P", "PNG"), ("LA", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG"), ("1", "PNG")])
def test_other_modes_stay(mode, form):
    assert decode_image(as_file(picture(9, 7, mode), form)).mode == mode


def test_path_and_bytes_are_the_same(tmp_path):
    data = as_file(picture(30, 20), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    for source in (data, tmp_path / "a.jpg", str(tmp_path / "a.jpg")):
        assert np.array_equal(np.asarray(decode_image(source)), np.asarray(Image.open(io.BytesIO(data))))


def png_of_size(width: int, height: int) -> bytes:
    """A header that announces so many pixels, and hardly any pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


NO_PICTURES = {
    "truncated.jpg": (as_file(picture(300, 300), "JPEG")[:-2000], "cannot be decoded"),
    "truncated.png": (as_file(picture(300, 300), "PNG")[:-2000], "cannot be decoded"),
    "bomb.png": (png_of_size(60_000, 60_000), "over 178,956,970 pixels"),
    "just_over.png": (png_of_size(13_379, 13_377), "over 178,956,970 pixels"),  # where Pillow itself only warns
    "text.jpg": (b"this is not a picture\nbut two lines", "not an image"),
    "page.jpg": (b"<!doctype html><html><body>404", "not an image"),
    "empty.jpg": (b"", "not an image"),
    "missing.jpg": (None, "no such file"),
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_no_picture(tmp_path, name):
    content, reason = NO_PICTURES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=f"^these bytes: .*{reason}"):
            decode_image(content)
        with pytest.raises(ImageError, match=r"^row 7: "):
            decode_image(content, name="row 7")
    with pytest.raises(ImageError, match=f"^{re.escape(str(tmp_path / name))}: .*{reason}") as found:
        decode_image(tmp_path / name)
    assert "\n" not in str(found.value)


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(ImageError, match=re.escape(str(tmp_path))):
        decode_image(tmp_path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_give_a_picture_or_an_image_error(data):
    form = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))
    content = bytearray(as_file(picture(20, 20), form))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_image(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except ImageError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert min(decoded.size) > 0


def test_from_array():
    pixels = np.asarray(picture(5, 4))
    assert np.array_equal(np.asarray(from_array(pixels)), pixels)
    assert np.array_equal(np.asarray(from_array(pixels[::-1, ::2])), pixels[::-1, ::2])


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 4), (3, 4, 5), (0, 5, 3), (1, 4, 5, 3)])
def test_from_array_refuses_shapes(shape):
    with pytest.raises(ValueError, match="uint8 \\[height, width, 3\\], got uint8"):
        from_array(np.zeros(shape, np.uint8))


def test_from_array_refuses_floats():
    with pytest.raises(ValueError, match="got float64"):
        from_array(np.zeros((4, 5, 3)))


def random_resized_crop_params(width, height, scale, ratio, random):
    """Torchvision's RandomResizedCrop.get_params; it draws top before left, which changes no probability."""
    area, low, high = height * width, math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        target_area = area * random.uniform(scale[0], scale[1])
        aspect_ratio = math.exp(random.uniform(low, high))
        w, h = int(round(math.sqrt(target_area * aspect_ratio))), int(round(math.sqrt(target_area / aspect_ratio)))
        if 0 < w <= width and 0 < h <= height:
            j, i = random.integers(0, width - w + 1), random.integers(0, height - h + 1)
            return j, i, w, h
    in_ratio = float(width) / float(height)
    if in_ratio < min(ratio):
        w, h = width, int(round(width / min(ratio)))
    elif in_ratio > max(ratio):
        w, h = int(round(height * max(ratio))), height
    else:
        w, h = width, height
    return (width - w) // 2, (height - h) // 2, w, h


@settings(max_examples=300, deadline=None)
@given(
    width=st.integers(2, 2000),
    height=st.integers(2, 2000),
    scale=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)).map(sorted).map(tuple),
    ratio=st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)).map(sorted).map(tuple),
    seed=st.integers(0, 2**32),
)
def test_area_crop_is_random_resized_crop(width, height, scale, ratio, seed):
    crop = CropConfig(kind="area", scale=scale, ratio=ratio)
    box = module._area_box(width, height, crop, np.random.default_rng(seed))
    left, top, w, h = box
    assert 0 <= left < left + w <= width
    assert 0 <= top < top + h <= height
    assert box == random_resized_crop_params(width, height, scale, ratio, np.random.default_rng(seed))


@settings(max_examples=200, deadline=None)
@given(width=st.integers(1, 3000), height=st.integers(1, 3000), seed=st.integers(0, 100))
def test_area_crop_of_any_size_lies_inside(width, height, seed):
    left, top, w, h = module._area_box(width, height, CropConfig(kind="area"), np.random.default_rng(seed))
    assert 0 <= left < left + w <= width
    assert 0 <= top < top + h <= height


def test_area_crop_is_cut_and_resized():
    crop, image = CropConfig(kind="area", scale=(0.3, 0.6)), picture(90, 70)
    left, top, w, h = random_resized_crop_params(90, 70, crop.scale, crop.ratio, np.random.default_rng(5))
    expected = image.crop((left, top, left + w, top + h)).resize((24, 24), Image.Resampling.BICUBIC)
    found = train_transform(LEVELS, crop)(image, np.random.default_rng(5))
    assert torch.equal(found, torchvision_rules(expected, LEVELS))


@pytest.mark.parametrize("turned", [False, True])
def test_square_crop_reaches_every_offset_alike(turned):
    """Short side 6 = the model's, so nothing is resized, and the long side of 10 leaves five places."""
    columns = np.tile(np.arange(10, dtype=np.uint8)[None, :, None], (6, 1, 3))
    image = from_array(columns.swapaxes(0, 1).copy() if turned else columns)
    transform, random = (
        train_transform(PreprocessConfig(size=6, mean=LEVELS.mean, std=LEVELS.std), CropConfig()),
        np.random.default_rng(0),
    )
    crops = [transform(image, random) for _ in range(1000)]
    firsts = np.array([round(float(crop[0, 0, 0]) * 255) for crop in crops])
    assert set(firsts) == {0, 1, 2, 3, 4}
    # Each place is drawn 200 times of 1,000; five standard deviations are 63.
    assert np.abs(np.bincount(firsts) - 200).max() < 63
    axis = 1 if turned else 2
    assert all(
        torch.equal((crop * 255).round().diff(dim=axis), torch.ones(3, *([5, 6] if turned else [6, 5]))) for crop in crops
    )


def test_square_crop_comes_from_the_resized_image():
    image, config = picture(100, 80), LEVELS
    resized = np.asarray(image.resize((30, 24), Image.Resampling.BICUBIC))
    windows = [torch.from_numpy(resized[:, i : i + 24].copy()).permute(2, 0, 1) / 255 for i in range(7)]
    found = train_transform(config, CropConfig())(image, np.random.default_rng(1))
    assert sum(torch.equal(found, window) for window in windows) == 1


@pytest.mark.parametrize("kind", ["square", "area"])
@pytest.mark.parametrize("mode", MODES)
def test_chance_comes_from_the_generator(kind, mode):
    transform, image = train_transform(LEVELS, CropConfig(kind=kind, scale=(0.3, 1.0))), picture(90, 60, mode)
    once, again, other = (transform(image, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert once.shape == (3, 24, 24)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (1, 1)])
@pytest.mark.parametrize("kind", ["square", "area"])
def test_training_on_thin_pictures(kind, size):
    crop = train_transform(LEVELS, CropConfig(kind=kind))(picture(*size), np.random.default_rng(0))
    assert crop.shape == (3, 24, 24)


SQUASHED = PreprocessConfig(size=24, resize="squash")


@pytest.mark.parametrize(
    "crop", [CropConfig(), CropConfig(kind="area", scale=(1.0, 1.0), ratio=(1.0, 1.0))], ids=["square", "area"]
)
@pytest.mark.parametrize("size", [(60, 40), (40, 60), (24, 24), (1, 90)])
def test_training_of_a_model_that_squashes(crop, size):
    """Where nothing is left to chance, training sees what evaluation sees: the whole picture in a square."""
    image = picture(*size)
    assert torch.equal(train_transform(SQUASHED, crop)(image, np.random.default_rng(0)), torchvision_rules(image, SQUASHED))


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 400), height=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_squashing_area_crops_of_any_size(width, height, seed):
    transform = train_transform(SQUASHED, CropConfig(kind="area", scale=(0.05, 1.0)))
    assert torch.isfinite(transform(picture(width, height), np.random.default_rng(seed))).all()


@pytest.mark.parametrize("kind", ["square", "area"])
def test_flip(kind):
    """A share of the pictures is mirrored, and only mirrored."""
    image, share, n = picture(60, 40), 0.3, 1000
    crop = CropConfig(kind=kind, scale=(1.0, 1.0), ratio=(1.5, 1.5), flip=share)
    plain = train_transform(LEVELS, replace(crop, flip=0.0))
    mirrored, transform = 0, train_transform(LEVELS, crop)
    for seed in range(n):
        found, expected = transform(image, np.random.default_rng(seed)), plain(image, np.random.default_rng(seed))
        is_mirrored = not torch.equal(found, expected)
        assert torch.equal(found.flip(2) if is_mirrored else found, expected)
        mirrored += is_mirrored
    assert abs(mirrored - share * n) < 5 * math.sqrt(n * share * (1 - share))


# The fast transform


@pytest.mark.parametrize("resize", ["shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "1"])
def test_the_fast_transform_is_within_two_levels(mode, interpolation, resize):
    config = replace(LEVELS, interpolation=interpolation, resize=resize, rgb_first=True)
    for size in ((24, 24), (25, 24), (100, 37), (37, 101), (7, 9), (1, 1), (640, 480), (24, 300)):
        image = picture(*size, mode)
        found, exact = fast_transform(config)(image), eval_transform(config)(image)
        assert found.shape == (3, 24, 24)
        assert found.dtype == torch.float32
        assert (found - exact).abs().max() * 255 <= (16.001 if mode == "1" else 2.001), size
        assert (found - exact).abs().mean() * 255 <= (3.0 if mode == "1" else 0.5), size
    same = picture(24, 24)
    assert torch.equal(fast_transform(config)(same), eval_transform(config)(same))


def test_strips_are_resized_as_ever():
    strip = picture(40_000, 1)
    config = PreprocessConfig(size=224)
    assert torch.equal(fast_transform(config)(strip), eval_transform(config)(strip))


def test_a_picture_is_not_changed():
    image = picture(50, 40)
    before = np.asarray(image).copy()
    fast_transform(LEVELS)(image)
    assert np.array_equal(np.asarray(image), before)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(ImageError, match=r"x.jpg: a pipe, not a file"):
        decode_image(tmp_path / "x.jpg")
