"""Files' bytes to pixels a second, on one thread: JPEG decoding, resizing and normalising, beside transformers' processor."""

import io
from collections.abc import Callable, Iterator, Sequence
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
from fullclip.preprocess.image import PreprocessConfig, decode_image, eval_transform, fast_transform


def decoding(bench: Workbench) -> Iterator[Row]:
    """Pictures from the web, and a camera's, both to the bit and in the fast way (`Encoder`, decoding)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for size, files in (
            ("500x375", jpegs(bench.sizes.jpegs, SMALL)),
            ("4000x3000", jpegs(bench.sizes.photographs, LARGE)),
        ):
            yield from _beside(bench, f"JPEG {size}", files, exact)
            yield from _beside(bench, f"JPEG {size}, fast", files, fast)
    finally:
        torch.set_num_threads(before)


def _beside(bench: Workbench, what: str, files: Sequence[bytes], way: Callable[[bytes], Tensor]) -> Iterator[Row]:
    rivals, absent = list[Rival](), list[Absent]()
    try:
        processor = quiet_transformers().CLIPImageProcessor()
        rivals.append(Rival(name="transformers", side=Side(call=partial(theirs, processor, files), count=len(files))))
    except (AbsentError, ImportError) as error:
        absent.append(Absent(name="transformers", why=str(error)))
    own = Side(call=partial(ours, files, way), count=len(files))
    for side in (own, *(rival.side for rival in rivals)):
        side.call()
    like = Row(part="decoding", what=what, unit="images/s", ours=())
    yield from compared(like, own, rivals, absent, rounds=bench.rounds, seconds=bench.sizes.seconds)


def ours(files: Sequence[bytes], way: Callable[[bytes], Tensor]) -> list[Tensor]:
    """Each file's pixels, for a CLIP of 224 pixels."""
    return [way(file) for file in files]


def exact(file: bytes) -> Tensor:
    """To the bit as openai/CLIP has them."""
    return eval_transform(PreprocessConfig())(decode_image(file))


def fast(file: bytes) -> Tensor:
    """Within what `preprocess.image` states."""
    config = PreprocessConfig()
    return fast_transform(config)(decode_image(file, short_side=config.size))


def theirs(processor: Any, files: Sequence[bytes]) -> list[Tensor]:
    """The same by a transformers image processor."""
    return [processor(images=Image.open(io.BytesIO(file)), return_tensors="pt").pixel_values[0] for file in files]
