"""Whether memory grows with the number of images: the peak of a process that streams few, and of one that streams many."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fullclip.bench.rows import Row
from fullclip.bench.timing import process
from fullclip.bench.workbench import Workbench
from fullclip.inference import load

_STATUS = Path("/proc/self/status")
_SIZE = (300, 400, 3)


def memory(bench: Workbench) -> Iterator[Row]:
    """Arrays that a generator makes, through `stream_images` of the bundled model, each number in a process of its own."""
    if not _STATUS.is_file():
        yield Row(part="memory", what="peak memory", unit="MB", ours=(), note="this system does not tell a process's peak")
        return
    few, many = bench.sizes.streamed
    peaks = [
        float(process(sys.executable, "-c", f"import fullclip.bench.memory as m; print(m.peak({n}))")) for n in (few, many)
    ]
    for number, found in zip((few, many), peaks, strict=True):
        yield Row(part="memory", what=f"peak of {number:,} images", unit="MB", ours=(found,), better="less")
    more = peaks[1] - peaks[0]
    yield Row(part="memory", what=f"for {many - few:,} more images", unit="MB", ours=(more,), better="less")


def peak(number: int) -> float:
    """Megabytes that this process held at most, once it has streamed so many images (Linux: VmHWM)."""
    random = np.random.default_rng(0)
    arrays = (random.integers(0, 256, size=_SIZE, dtype=np.uint8) for _ in range(number))
    embedded = sum(len(part.embeddings) for part in load("small").stream_images(arrays))
    assert embedded == number
    line = next(line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
