"""Features that an image tower computed before, as they lie in an image's place in shards: a .npy file of views' vectors."""

import io

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fullclip.preprocess.image import ImageError

EXTENSION = "npy"
_SIGNATURE = b"\x93NUMPY"


def is_features(data: bytes) -> bool:
    """Whether the bytes begin like a .npy file."""
    return data.startswith(_SIGNATURE)


def pack_features(views: Float[np.ndarray, "views width"]) -> bytes:
    """A .npy file of float16. ValueError for numbers that float16 cannot hold."""
    with np.errstate(over="ignore"):  # told below
        halves = views.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ValueError(f"features up to {np.abs(views).max():g} do not fit into float16: scale them down")
    file = io.BytesIO()
    np.save(file, halves, allow_pickle=False)
    return file.getvalue()


def unpack_features(data: bytes, *, name: str) -> Float[np.ndarray, "views width"]:
    """What `pack_features` packed, in float32; ImageError for anything else. No code in the file is run."""
    try:
        views = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a forged header can raise nearly anything
        reason = (str(error).splitlines() or [""])[0]
        raise ImageError(f"{name}: no whole .npy file ({type(error).__name__}: {reason})") from None
    if not isinstance(views, np.ndarray) or views.dtype != np.float16 or views.ndim != 2 or 0 in views.shape:
        kind = f"{views.dtype} {list(views.shape)}" if isinstance(views, np.ndarray) else type(views).__name__
        raise ImageError(f"{name}: features are float16 [views, width], got {kind}")
    if not np.isfinite(views).all():
        raise ImageError(f"{name}: features that are no finite numbers")
    return views.astype(np.float32)


def one_view(data: bytes, random: np.random.Generator, *, name: str) -> Float[Tensor, "width 1 1"]:
    """One of the views, drawn at random, as an image of one pixel and `width` channels."""
    views = unpack_features(data, name=name)
    return torch.from_numpy(views[int(random.integers(len(views)))][:, None, None])
