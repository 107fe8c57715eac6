"""The set's side of the search: a split's pictures as descriptors, kept beside features; what a search may look for."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fullclip.core.distributed import World
from fullclip.data.drops import Drops
from fullclip.evaluation.features.backbone import Backbone
from fullclip.evaluation.features.extract import extract
from fullclip.evaluation.tasks.task import Split
from fullclip.inference import ImageLike
from fullclip.preprocess.descriptor import LENGTH, VERSION, describe
from fullclip.preprocess.image import ImageError, decode_image, from_array


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The pictures of a set that could be read, in its order; `drops` counts the others."""

    name: str
    keys: tuple[str, ...]
    descriptors: UInt8[np.ndarray, "n 1056"]
    drops: Drops

    def __len__(self) -> int:
        return len(self.keys)


def pictures_of(split: Split, *, name: str, cache: Path | None, world: World) -> Pictures:
    """The descriptors of a split's pictures; all processes call this together. ValueError where none can be read."""
    found = extract(split, _Descriptors(), cache=cache, world=world, title=f"{name} described")
    return Pictures(name=name, keys=found.keys, descriptors=found.features.astype(np.uint8), drops=found.drops)


class _Descriptors(Backbone):
    """Descriptors in the place of a model's features, so that they are kept, shared and gone on with in the same way."""

    name = "descriptors"

    @property
    def fingerprint(self) -> str:
        return f"overlap descriptors {VERSION}"

    @property
    def facts(self) -> Mapping[str, Any]:
        return {}

    def features(self, images: Sequence[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="describe") as pool:
            found = list(pool.map(_described, images))
        kept = [place for place, one in enumerate(found) if isinstance(one, np.ndarray)]
        rows = [one for one in found if isinstance(one, np.ndarray)]
        errors = [one for one in found if isinstance(one, ImageError)]
        return np.array(rows, dtype=np.float32).reshape(-1, LENGTH), kept, errors


def _described(image: ImageLike) -> UInt8[np.ndarray, "1056"] | ImageError:
    try:
        if isinstance(image, np.ndarray):
            return describe(from_array(image))
        return describe(decode_image(image, name="its file") if isinstance(image, bytes | str | Path) else image)
    except ImageError as error:
        return error
