"""Small drawings, what the web does to them, and shards in which copies are hidden."""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from fullclip.core.distributed import World
from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards, read_shard
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.overlap.decontaminate import Wanted, decontaminate
from fullclip.evaluation.overlap.find import Overlaps, find_overlaps
from fullclip.evaluation.overlap.pictures import Pictures, pictures_of
from fullclip.evaluation.suite.overlaps import overlap
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.tasks.task import Example, Task
from fullclip.preprocess.descriptor import describe
from fullclip.preprocess.image import decode_image
from tasks import Listed
from tiny import tiny_encoder

_SAMPLE = Path(__file__).parents[1] / "src/fullclip/assets/sample/heldout"


# Of the sample's drawings, those that show something: flags of three stripes and discs are alike whatever they mean.
_DETAILED = (
    2,
    3,
    4,
    5,
    6,
    7,
    9,
    12,
    15,
    16,
    17,
    18,
    19,
    20,
    22,
    23,
    26,
    27,
    32,
    33,
    35,
    37,
    38,
    39,
    41,
    43,
    44,
    46,
    47,
    49,
    50,
    51,
)
_DETAILED += (52, 54, 57, 58, 59, 61, 62, 63)


@lru_cache(maxsize=1)
def drawings() -> tuple[Image.Image, ...]:
    """Forty pictures of the sample's held-out pairs."""
    pairs = [pair for shard in find_shards([str(_SAMPLE)]) for pair in read_shard(shard, Drops())]
    return tuple(decode_image(pairs[i].image, name=pairs[i].key).convert("RGB") for i in _DETAILED)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def recompressed(image: Image.Image, quality: int = 30) -> Image.Image:
    return Image.open(io.BytesIO(jpeg(image, quality))).convert("RGB")


def cropped(image: Image.Image, left: float, upper: float, right: float, lower: float) -> Image.Image:
    """Without these shares of the sides."""
    width, height = image.size
    return image.crop((round(left * width), round(upper * height), round((1 - right) * width), round((1 - lower) * height)))


def captioned(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).rectangle((0, int(0.92 * image.height), image.width, image.height), fill="black")
    return image


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": recompressed,
    "64 pixels": lambda image: image.resize((64, 64), Image.Resampling.BICUBIC),
    "squashed": lambda image: image.resize((80, 160)),
    "larger": lambda image: image.resize((image.width * 3, image.height * 3), Image.Resampling.BICUBIC),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.5),
    "gamma": lambda image: image.point([round(255 * (value / 255) ** 0.6) for value in range(256)] * 3),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "cut by a tenth": partial(cropped, left=0.1, upper=0.1, right=0.1, lower=0.1),
    "cut by a fifth": partial(cropped, left=0.2, upper=0.2, right=0.2, lower=0.2),
    "cut unevenly": partial(cropped, left=0.14, upper=0.03, right=0.05, lower=0.11),
    "cut on one side": partial(cropped, left=0, upper=0, right=0.2, lower=0),
    "framed": lambda image: ImageOps.expand(image, image.width // 20, "white"),
    "captioned": captioned,
    "all at once": lambda image: recompressed(ImageOps.mirror(cropped(image, 0.05, 0.1, 0.1, 0.05)).resize((96, 72)), 40),
}


def described(images: Sequence[Image.Image]) -> np.ndarray:
    return np.stack([describe(image) for image in images])


def as_pictures(images: Sequence[Image.Image], name: str = "photos") -> Pictures:
    keys = tuple(f"p{i}" for i in range(len(images)))
    return Pictures(name=name, keys=keys, descriptors=described(images), drops=Drops())


def hidden() -> tuple[list[Image.Image], list[Pair], dict[str, str]]:
    """(a set's pictures, training pairs, {key of a training pair: the set's picture that it is a copy of})."""
    pictures = drawings()
    ours, others, changes = list(pictures[:12]), pictures[12:40], list(CHANGES.values())
    images = {f"other{i}": image for i, image in enumerate(others)}
    copies = {}
    for i, image in enumerate(ours[:6]):
        for j in range(2):
            images[f"copy{i}x{j}"] = changes[(5 * i + j) % len(changes)](image)
            copies[f"copy{i}x{j}"] = f"p{i}"
    order = np.random.default_rng(0).permutation(sorted(images))
    pairs = [Pair(key=str(key), image=jpeg(images[key]), texts=(f"picture {key}",)) for key in order]
    return ours, pairs, copies


def task_of(images: Sequence[Image.Image], *, name: str = "photos", torn: bool = False) -> Task:
    """A classification of these pictures, the classes taking turns."""
    examples = [Example(key=f"p{i}", image=np.asarray(image), labels=(i % 2,)) for i, image in enumerate(images)]
    if torn:
        examples.insert(1, Example(key="torn", image=b"\x89PNG rubbish", labels=(0,)))
    words = (("red",), ("green",))
    return Task(name=name, kind="classification", metric="accuracy", splits={"test": Listed(examples)}, classes=words)


def find_work(world: World, shards: list[str], cache: str | None) -> Overlaps:
    place = Path(cache) if cache else None
    pictures = pictures_of(task_of(hidden()[0]).splits["test"], name="photos", cache=place, world=world)
    return find_overlaps([(pictures, 0.8)], shards, cache=place, world=world)


def record_work(world: World, shards: list[str], cache: str | None = None) -> Record:
    backbone = ClipBackbone(tiny_encoder(), name="tiny")
    subject = Subject(backbone=backbone, cache=Path(cache) if cache else None, world=world)
    return overlap(subject, task=task_of(hidden()[0], torn=True), shards=shards)


def clean_work(world: World, shards: list[str], out: str) -> dict[str, Any]:
    split = task_of(hidden()[0], torn=True).splits["test"]
    wanted = [Wanted(name="photos", split=split, threshold=0.8)]
    return decontaminate(wanted, shards, out=Path(out), cache=None, world=world)
