"""What was taken for the same picture, as one HTML page for human eyes: pairs side by side, the surest first."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from fullclip.core.storage import atomic_file
from fullclip.data.groups import parse_group, read_groups, read_table
from fullclip.evaluation.overlap.find import Match, SetMatches
from fullclip.evaluation.overlap.pictures import Pictures
from fullclip.evaluation.overlap.training import sample_image
from fullclip.evaluation.tasks.task import Example, Split
from fullclip.preprocess.image import decode_image, from_array

_MOST_PAIRS = 200  # of a set
_SIDE = 160


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A pair of the page: both pictures as data URLs, their keys, and how alike they are."""

    first: str
    second: str
    key: str
    training_key: str
    shard: str
    similarity: float


def write_page(path: Path, told: Mapping[str, Any], sets: Sequence[tuple[Split, Pictures, SetMatches]]) -> None:
    """Write the page of a decontamination's report; it appears when it is whole."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    text = files("fullclip").joinpath("assets/decontamination.html").read_text(encoding="utf-8")
    pairs = {pictures.name: list(_shown(split, pictures, matches.copies)) for split, pictures, matches in sets}
    html = environment.from_string(text).render(told=told, pairs=pairs)
    with atomic_file(path, "w") as file:
        file.write(html)


def _shown(split: Split, pictures: Pictures, copies: Sequence[Match]) -> Iterator[Shown]:
    """At most 200 pairs, the surest first: where there are more, half of them the surest and half the most doubtful."""
    ordered = sorted(copies, key=lambda match: -match.similarity)
    if len(ordered) > _MOST_PAIRS:
        ordered = ordered[: _MOST_PAIRS // 2] + ordered[-_MOST_PAIRS // 2 :]
    ours = _examples(split, {pictures.keys[match.row] for match in ordered})
    for match in ordered:
        key = pictures.keys[match.row]
        yield Shown(
            first=_data_url(ours[key]),
            second=_data_url(_training_image(match)),
            key=key,
            training_key=match.key,
            shard=match.shard.rpartition("/")[2],
            similarity=match.similarity,
        )


def _examples(split: Split, keys: set[str]) -> dict[str, bytes | np.ndarray]:
    """The pictures of these keys."""
    found: dict[str, bytes | np.ndarray] = {}
    for example in split.read(range(len(split))) if keys else ():
        if isinstance(example, Example) and example.key in keys:
            found.setdefault(example.key, example.image)
    return found


def _training_image(match: Match) -> bytes:
    (data,) = read_groups(match.shard, read_table(match.shard), range(match.sample, match.sample + 1))
    group = None if data is None else parse_group(data)
    image = None if group is None else sample_image(group[1])
    if image is None:
        raise OSError(f"{match.shard}: sample {match.sample} is no longer there; has the shard changed meanwhile?")
    return image


def _data_url(image: bytes | np.ndarray) -> str:
    """A small copy, so that a page of 400 pictures stays small."""
    picture = from_array(image) if isinstance(image, np.ndarray) else decode_image(image)
    picture = picture.convert("RGB")
    scale = _SIDE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
