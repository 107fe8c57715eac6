"""Images to tensors: encoded file -> upright Pillow image -> the pixels that a CLIP was trained to see.

`eval_transform` is openai/CLIP's, bit for bit; `train_transform` crops at random. No torchvision; knows nothing of models.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from fullclip.preprocess.levels import normalize

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
MAX_PIXELS = 178_956_970  # Pillow's own limit for an error: a third of a gigabyte as RGB
REDUCED_TOLERANCE = 3.0
# Past this, resizing the whole of a thin strip to crop its middle would take gigabytes.
_MAX_RESIZED_PIXELS = 1 << 26
_ROWS_AT_ONCE = 64

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


class ImageError(ValueError):
    """A file that gives no picture: missing, not an image, truncated, or too large. The message names the file."""


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig:
    """How a model wants its pictures; it is stored with the weights, and never guessed.

    size: side of the square in pixels. resize: "shortest" keeps the aspect, brings the short side to `size` and cuts the
    middle; "squash" stretches to the square. rgb_first: conversion to RGB before resizing, as transformers does;
    openai/CLIP and OpenCLIP convert after the crop, which differs for palette images only.
    """

    size: int = 224
    mean: tuple[float, ...] = OPENAI_MEAN
    std: tuple[float, ...] = OPENAI_STD
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["shortest", "squash"] = "shortest"
    rgb_first: bool = False

    def __post_init__(self) -> None:
        if self.size < 1 or len(self.mean) != 3 or len(self.std) != 3 or not all(value > 0 for value in self.std):
            raise ValueError(f"preprocess: a size from 1, three means and three stds above 0 are needed, got {self}")


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """The training crop.

    "square": the short side is resized to the model's size, then a random square is cut: the only augmentation of the CLIP
    paper (section 2.3); a model that squashes leaves it nothing to choose. "area": a rectangle of `scale` (share of the area)
    and `ratio` (width / height), resized to the square: OpenCLIP's and torchvision's RandomResizedCrop. flip: the share of
    pictures that are mirrored; neither the paper nor OpenCLIP mirrors any.
    """

    kind: Literal["square", "area"] = "square"
    scale: tuple[float, ...] = (0.9, 1.0)
    ratio: tuple[float, ...] = (3 / 4, 4 / 3)
    flip: float = 0.0

    def __post_init__(self) -> None:
        for name, pair, largest in (("scale", self.scale, 1.0), ("ratio", self.ratio, math.inf)):
            if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= largest:
                raise ValueError(f"data.crop.{name} is {pair}: two numbers above 0, the smaller first, such as 0.5,1.0")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"data.crop.flip is {self.flip}: from 0 to 1")


def decode_image(source: str | Path | bytes, *, name: str | None = None, short_side: int | None = None) -> Image.Image:
    """The picture in a file, or in a file's bytes: its first frame, upright, decoded.

    EXIF orientation is applied (openai/CLIP's example leaves it to the caller). An animation gives its first frame.
    16-bit and 32-bit grey is scaled to 8 bits (converting as Pillow does would clip it to white); float grey is read as
    0 to 1. Palette, LA, RGBA and CMYK images keep their mode: the transform decides when they become RGB, as openai/CLIP's
    does, where transparency is dropped, not blended. Anything that is no whole picture of at most 178,956,970 pixels is an
    ImageError with `name` (or the path).

    short_side: what the picture will be resized to. A JPEG then is decoded at a half, quarter or eighth of its size, of which
    only as much is computed, as long as twice `short_side` is left: resized, it differs from the whole one by at most
    REDUCED_TOLERANCE levels of 255 in the mean (docs/log.md). None is exact.
    """
    name = name or (str(source) if not isinstance(source, bytes) else "these bytes")
    if not isinstance(source, bytes) and Path(source).is_fifo():  # whose bytes would be waited for
        raise ImageError(f"{name}: a pipe, not a file")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if short_side is not None:
                image.draft(None, (2 * short_side, 2 * short_side))  # JPEGs only; others stay as they are
            image.load()
            return _eight_bits(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not an image that Pillow can read") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{name}: over {MAX_PIXELS:,} pixels; scale it down first") from None
    except MemoryError:
        raise ImageError(f"{name}: not enough memory to decode it") from None
    except Exception as error:  # a broken file can raise nearly anything in Pillow's decoders
        raise ImageError(f"{name}: cannot be decoded ({type(error).__name__}: {error})") from None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of more bits, some rows at a time: as numbers of 64 bits a large picture would take gigabytes."""
    if not image.mode.startswith(("I", "F")):
        return image
    pixels = np.asarray(image)
    unit = 257 if image.mode != "I" or pixels.max() <= 65535 else (2**31 - 1) / 255
    found = np.empty(pixels.shape, dtype=np.uint8)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):
        rows = pixels[start : start + _ROWS_AT_ONCE]
        levels = np.clip(np.nan_to_num(rows), 0, 1) * 255 if image.mode == "F" else rows.astype(np.float64) / unit
        found[start : start + _ROWS_AT_ONCE] = np.clip(np.round(levels), 0, 255)
    return Image.fromarray(found)


def from_array(pixels: np.ndarray) -> Image.Image:
    """A picture from uint8 pixels [height, width, 3]; ValueError on any other type or shape."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"an image array is uint8 [height, width, 3], got {pixels.dtype} {list(pixels.shape)}")
    return Image.fromarray(pixels)


def image_extension(data: bytes, *, name: str) -> str:
    """The usual file ending of an encoded image, told by its first bytes; ValueError where it is of no known kind."""
    extension = _kind(data)
    if extension is None:
        raise ValueError(f"{name}: not a JPEG, PNG, WebP, GIF, BMP or TIFF file (it begins with {data[:8]!r})")
    return extension


def is_image(data: bytes) -> bool:
    """Whether the bytes begin like an encoded image of a known kind."""
    return _kind(data) is not None


def _kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    signatures = {b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n": "png", b"GIF8": "gif", b"BM": "bmp", b"II*\0": "tif", b"MM\0*": "tif"}
    for signature, extension in signatures.items():
        if data.startswith(signature):
            return extension
    return None


def eval_transform(config: PreprocessConfig) -> Callable[[Image.Image], Float[Tensor, "3 size size"]]:
    """Resize, cut the middle, to RGB, to float, normalise: openai/CLIP's `_transform`, equal to the bit.

    For an image in any mode and of any size from 1 x 1. One exception to the bit: a strip so long and thin that its
    resized whole would exceed 2**26 pixels is resized only where it is looked at (within 2 of 255 levels).
    """
    return partial(_normalized, eval_pixels(config), config)


def fast_transform(config: PreprocessConfig) -> Callable[[Image.Image], Float[Tensor, "3 size size"]]:
    """The same within two levels of 255, at most pixels to the bit (of noise in black and white within sixteen): resized by
    PyTorch's kernel for bytes, which is five times as fast as Pillow's. To RGB comes first, as with `rgb_first`. The strips
    that are the exception there are resized as there.
    """
    return partial(_normalized, fast_pixels(config), config)


def train_transform(
    config: PreprocessConfig, crop: CropConfig
) -> Callable[[Image.Image, np.random.Generator], Float[Tensor, "3 size size"]]:
    """The same with a random crop; all chance comes from the generator that is passed in with each image."""
    return partial(_normalized, train_pixels(config, crop), config)


def eval_pixels(config: PreprocessConfig) -> Callable[[Image.Image], UInt8[Tensor, "3 size size"]]:
    """`eval_transform` before it normalises, which `levels.normalize` does for whole batches. As all of these, what comes back
    can be pickled, to be sent to a process that decodes.
    """
    return partial(_eval, config)


def fast_pixels(config: PreprocessConfig) -> Callable[[Image.Image], UInt8[Tensor, "3 size size"]]:
    """`fast_transform` before it normalises."""
    return partial(_fast, config)


def train_pixels(
    config: PreprocessConfig, crop: CropConfig
) -> Callable[[Image.Image, np.random.Generator], UInt8[Tensor, "3 size size"]]:
    """`train_transform` before it normalises."""
    return partial(_train, config, crop)


def _normalized(
    pixels: Callable[..., UInt8[Tensor, "3 size size"]],
    config: PreprocessConfig,
    image: Image.Image,
    *random: np.random.Generator,
) -> Float[Tensor, "3 size size"]:
    return normalize(pixels(image, *random), config.mean, config.std)


def _eval(config: PreprocessConfig, image: Image.Image) -> UInt8[Tensor, "3 size size"]:
    if config.rgb_first:
        image = image.convert("RGB")
    return _bytes(_resized(image, (config.size, config.size), config) if config.resize == "squash" else _middle(image, config))


def _fast(config: PreprocessConfig, image: Image.Image) -> UInt8[Tensor, "3 size size"]:
    side = config.size
    width, height = (side, side) if config.resize == "squash" else _scaled_size(image, side)
    if width * height > _MAX_RESIZED_PIXELS:
        return _eval(config, image)
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    if image.size != (width, height):
        pixels = F.interpolate(pixels[None], size=(height, width), mode=config.interpolation, antialias=True)[0]
    left, top = _middle_corner(width, height, side)
    return pixels[:, top : top + side, left : left + side].contiguous()


def _train(
    config: PreprocessConfig, crop: CropConfig, image: Image.Image, random: np.random.Generator
) -> UInt8[Tensor, "3 size size"]:
    if config.rgb_first:
        image = image.convert("RGB")
    cut = _random_square if crop.kind == "square" else _random_area
    pixels = _bytes(cut(image, config, crop, random))
    return pixels.flip(-1) if crop.flip and random.random() < crop.flip else pixels


def _bytes(image: Image.Image) -> UInt8[Tensor, "3 height width"]:
    return torch.from_numpy(np.asarray(image.convert("RGB")).transpose(2, 0, 1).copy())


def _scaled_size(image: Image.Image, short_side: int) -> tuple[int, int]:
    """(width, height) with the short side as given, the long side truncated: torchvision's rule."""
    short, long = sorted(image.size)
    long_side = int(short_side * long / short)
    return (short_side, long_side) if image.width <= image.height else (long_side, short_side)


def _resized(image: Image.Image, size: tuple[int, int], config: PreprocessConfig) -> Image.Image:
    return image if image.size == size else image.resize(size, _RESAMPLING[config.interpolation])


def _middle(image: Image.Image, config: PreprocessConfig) -> Image.Image:
    width, height = _scaled_size(image, config.size)
    return _window(image, (width, height), _middle_corner(width, height, config.size), config)


def _middle_corner(width: int, height: int, side: int) -> tuple[int, int]:
    """Python's round-half-to-even decides an odd margin, as in torchvision's center_crop."""
    return int(round((width - side) / 2.0)), int(round((height - side) / 2.0))


def _window(image: Image.Image, size: tuple[int, int], corner: tuple[int, int], config: PreprocessConfig) -> Image.Image:
    """The square at `corner` of `image` resized to `size`."""
    (width, height), (left, top), side = size, corner, config.size
    if width * height <= _MAX_RESIZED_PIXELS:
        return _resized(image, size, config).crop((left, top, left + side, top + side))
    across, down = image.width / width, image.height / height
    box = (left * across, top * down, (left + side) * across, (top + side) * down)
    return image.resize((side, side), _RESAMPLING[config.interpolation], box=box)


def _random_square(image: Image.Image, config: PreprocessConfig, crop: CropConfig, random: np.random.Generator) -> Image.Image:
    if config.resize == "squash":
        return _resized(image, (config.size, config.size), config)
    width, height = _scaled_size(image, config.size)
    left, top = int(random.integers(width - config.size + 1)), int(random.integers(height - config.size + 1))
    return _window(image, (width, height), (left, top), config)


def _random_area(image: Image.Image, config: PreprocessConfig, crop: CropConfig, random: np.random.Generator) -> Image.Image:
    if config.resize == "squash":  # area and aspect are drawn in the stretched square that the model sees
        side = max(image.size)
        box = _area_box(side, side, crop, random)
        across, down = image.width / side, image.height / side
        left, top, width, height = box[0] * across, box[1] * down, box[2] * across, box[3] * down
        return image.resize(
            (config.size, config.size), _RESAMPLING[config.interpolation], box=(left, top, left + width, top + height)
        )
    left, top, width, height = _area_box(image.width, image.height, crop, random)
    return _resized(image.crop((left, top, left + width, top + height)), (config.size, config.size), config)


def _area_box(width: int, height: int, crop: CropConfig, random: np.random.Generator) -> tuple[int, int, int, int]:
    """(left, top, width, height): ten tries to draw area and aspect inside the image, else the largest middle allowed."""
    for _ in range(10):
        area = width * height * random.uniform(crop.scale[0], crop.scale[1])
        aspect = math.exp(random.uniform(math.log(crop.ratio[0]), math.log(crop.ratio[1])))
        wide, tall = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < tall <= height:
            return int(random.integers(width - wide + 1)), int(random.integers(height - tall + 1)), wide, tall
    aspect = min(max(width / height, crop.ratio[0]), crop.ratio[1])
    wide, tall = min(width, max(1, round(height * aspect))), min(height, max(1, round(width / aspect)))
    return (width - wide) // 2, (height - tall) // 2, wide, tall
