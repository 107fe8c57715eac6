"""Files' bytes to pixels a second, on one thread: JPEG decoding, resizing and normalising, beside transformers' processor."""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from fullclip.bench.comparing import Rival, compared
from fullclip.bench.peers import Absent, AbsentError, quiet_transformers
from fullclip.bench.pictures import LARGE, SMALL, jpegs
from fullclip.bench.rows import Row
from fullclip.bench.timing import Side
from fullclip.bench.workbench import Workbench
from fullclip.preprocess.image import PreprocessConfig, decode_image, eval_transform


def decoding(bench: Workbench) -> Iterator[Row]:
    """Pictures from the web, and a camera's, those also read at a fraction of their size (`decode_image`, short_side)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _beside(bench, "JPEG 500x375", jpegs(bench.sizes.jpegs, SMALL))
        photographs = jpegs(bench.sizes.photographs, LARGE)
        yield from _beside(bench, "JPEG 4000x3000", photographs)
        yield from _beside(bench, "JPEG 4000x3000 reduced", photographs, short_side=PreprocessConfig().size)
    finally:
        torch.set_num_threads(before)


def _beside(bench: Workbench, what: str, files: Sequence[bytes], *, short_side: int | None = None) -> Iterator[Row]:
    rivals, absent = list[Rival](), list[Absent]()
    try:
        processor = quiet_transformers().CLIPImageProcessor()
        rivals.append(Rival(name="transformers", side=Side(call=partial(theirs, processor, files), count=len(files))))
    except (AbsentError, ImportError) as error:
        absent.append(Absent(name="transformers", why=str(error)))
    own = Side(call=partial(ours, files, short_side=short_side), count=len(files))
    for side in (own, *(rival.side for rival in rivals)):
        side.call()
    like = Row(part="decoding", what=what, unit="images/s", ours=())
    yield from compared(like, own, rivals, absent, rounds=bench.rounds, seconds=bench.sizes.seconds)


def ours(files: Sequence[bytes], *, short_side: int | None) -> list[Tensor]:
    """Each file's pixels, for a CLIP of 224 pixels."""
    transform = eval_transform(PreprocessConfig())
    return [transform(decode_image(file, short_side=short_side)) for file in files]


def theirs(processor: Any, files: Sequence[bytes]) -> list[Tensor]:
    """The same by a transformers image processor."""
    return [processor(images=Image.open(io.BytesIO(file)), return_tensors="pt").pixel_values[0] for file in files]
