"""Arrays with what is known of them in one file of a cache: who reads finds all of it, or nothing."""

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fullclip.core.storage import atomic_file

# What reading a .npz raises that was cut off or changed; each array in it has a check sum.
_DAMAGED = (ValueError, KeyError, OSError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


def write_kept(path: Path, told: Any, **arrays: np.ndarray) -> None:
    """Keep `told`, which JSON can hold, and arrays by name."""
    with atomic_file(path) as file:
        np.savez(file, _told=np.frombuffer(json.dumps(told).encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]


def read_kept(path: Path) -> tuple[Any, dict[str, np.ndarray]] | None:
    """What was kept; None where it is not there or its file is damaged."""
    if not path.is_file():
        return None
    try:
        whole = io.BytesIO(path.read_bytes())  # np.load leaves a damaged file open
        with np.load(whole, allow_pickle=False) as kept:
            arrays = dict(kept)
        return json.loads(arrays.pop("_told").tobytes()), arrays
    except _DAMAGED:
        return None
