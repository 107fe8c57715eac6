"""The machine at hand: its name, its versions, how many threads there are, and how fast it multiplies matrices at best."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from fullclip import __version__

OTHERS = ("transformers", "open_clip_torch", "onnxruntime", "openvino")
_CPUINFO = Path("/proc/cpuinfo")


def description() -> dict[str, str]:
    """What a reader of the figures must know of where they come from."""
    facts = {"date": f"{datetime.now():%Y-%m-%d %H:%M}", "processor": processor()}
    if torch.cuda.is_available():
        facts["GPU"] = torch.cuda.get_device_name()
    facts["threads"] = f"{torch.get_num_threads()} of {os.cpu_count()} processors"
    if os.name == "posix":
        facts["load before"] = f"{os.getloadavg()[0]:.1f} processes"
    facts |= {"fullclip": __version__, "Python": platform.python_version(), "torch": torch.__version__}
    return facts | {name: _version(name) for name in OTHERS}


def processor() -> str:
    """The processor's name as its maker gives it."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """So many threads for PyTorch and, on Linux, as many processors for all that runs here and in processes that are started
    here, whatever starts its threads. None leaves everything as it is. ValueError for more than there are.
    """
    if number is None:
        yield
        return
    there = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))
    if not 1 <= number <= len(there):
        raise ValueError(f"--threads {number}: there are {len(there)} processors")
    before, told = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    _use(there[:number], number, str(number))
    try:
        yield
    finally:
        _use(there, before, told)


def _use(processors: list[int], number: int, told: str | None) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, processors)
    torch.set_num_threads(number)
    if told is None:
        os.environ.pop("OMP_NUM_THREADS", None)
    else:
        os.environ["OMP_NUM_THREADS"] = told
