"""Rows with pictures in stages' folders, and processes that are killed while they write."""

import io
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from fullclip.data.building.rows import write_table

SECONDS = 60
_NEEDED = ["fullclip.losses", "fullclip.data.sources", "fullclip.data.building.stage", "pyarrow.parquet", "pyarrow.compute"]


def scene(seed: int, *, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """A picture like no other: soft colours with some shapes on them."""
    random = np.random.default_rng(seed)
    soft = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(soft)
    for _ in range(5):
        left, top = random.uniform(0, 0.8, 2) * size
        right, low = np.array((left, top)) + random.uniform(0.1, 0.5, 2) * size
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((left, top, right, low), fill=tuple(random.integers(0, 256, 3).tolist()))
    return soft


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def row(key: str, image: bytes | None, text: str = "a text", **more: Any) -> dict[str, Any]:
    return {"key": key, "url": f"https://a.test/{key}", "text": text, "image": image, **more}


def write_stage(folder: Path, rows: Sequence[Mapping[str, Any]], *, num_parts: int = 1) -> Path:
    """The rows as the parts of a stage's folder, dealt out in turns."""
    (folder / "parts").mkdir(parents=True)
    for number in range(num_parts):
        part = [dict(one) for one in rows[number::num_parts]]
        names = list(dict.fromkeys(name for one in rows for name in one))
        columns = {name: pa.array([one.get(name) for one in part], _kind(rows, name)) for name in names}
        with open(folder / "parts" / f"{number:06d}.parquet", "wb") as file:
            write_table(pa.table(columns), file)
    return folder


def _kind(rows: Iterable[Mapping[str, Any]], name: str) -> pa.DataType:
    return pa.array([one.get(name) for one in rows]).type


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder by name, but for the lock."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def killed(number: int, work: Callable[..., Any], *arguments: Any) -> bool:
    """`work(*arguments)` in a process that is killed before its `number`-th file appears; whether it came to that."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_NEEDED)  # once for all; not this module: the server has no `tests` in its path
    process = context.Process(target=_until, args=(number, work, arguments))
    process.start()
    process.join(SECONDS)
    code = process.exitcode
    process.kill()
    process.join()
    process.close()
    if code not in (0, -signal.SIGKILL):
        raise AssertionError(f"the process ended with {code}")
    return code != 0


def _until(number: int, work: Callable[..., Any], arguments: Sequence[Any]) -> None:
    replace, left = os.replace, number

    def replace_or_die(source: Any, target: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = replace_or_die
    work(*arguments)
