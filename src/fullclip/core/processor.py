"""What the processor can do in hardware, and how its memory is best kept. Knows nothing of models."""

import ctypes
import os
import sys
from functools import lru_cache
from pathlib import Path

import torch

_CPUINFO = Path("/proc/cpuinfo")
_HALVES = {
    "bfloat16": frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"}),
    "float16": frozenset({"avx512_fp16", "amx_fp16", "asimdhp"}),
}
# mallopt's names for its parameters (malloc.h), and the largest values they take
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_MOST_MAPPED, _USUALLY_MAPPED = 1 << 30, 32 << 20


def num_cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def cores_beside_gpu() -> int:
    """A GPU's share of them: how many processes read and decode for it."""
    return max(1, num_cores() // max(1, torch.cuda.device_count()))


@lru_cache(maxsize=1)
def flags() -> frozenset[str]:
    """The names of what the processor can do, as Linux tells them; none where it is another system."""
    if not _CPUINFO.is_file():
        return frozenset()
    for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def multiplies(precision: str) -> bool:
    """Whether the processor multiplies numbers of this precision in hardware: float32, bfloat16 or float16."""
    return precision == "float32" or bool(_HALVES[precision] & flags())


def needed_for(precision: str) -> str:
    """The names of what would do it, for a message."""
    return ", ".join(sorted(_HALVES[precision]))


def keep_freed_memory() -> None:
    """Ask glibc, for this process, to use freed memory again in place of giving it back to the system and asking anew: a tower
    frees tensors of megabytes many times a second, and pages that come anew are filled with zeros each time. What a process
    needs at most does not change. Elsewhere nothing happens.
    """
    _set_thresholds(mapped=_MOST_MAPPED, trimmed=_NEVER)


def free_as_usual() -> None:
    """The thresholds that glibc comes to by itself in a process that frees large blocks (mallopt(3)): for comparisons with
    those who have not asked it.
    """
    _set_thresholds(mapped=_USUALLY_MAPPED, trimmed=2 * _USUALLY_MAPPED)


def _set_thresholds(*, mapped: int, trimmed: int) -> None:
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not in every libc
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, mapped)
        mallopt(_TRIM_THRESHOLD, trimmed)
