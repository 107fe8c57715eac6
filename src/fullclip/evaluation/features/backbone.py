"""What makes features of images: a CLIP, or any PyTorch module or ONNX file that a probe is to be fitted on.

A backbone's fingerprint names its numbers: kept features are used again only where it is the same.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from fullclip.core.config import to_dict
from fullclip.inference import Encoder, ImageLike, readable_rows
from fullclip.preprocess.image import ImageError, PreprocessConfig, eval_transform


class Backbone(ABC):
    """`name` is for people, `fingerprint` the SHA-256 of the weights and of how pictures are prepared; `facts`, JSON-able, is
    what else is known of it.
    """

    name: str
    fingerprint: str
    facts: Mapping[str, Any]

    @abstractmethod
    def features(self, images: Sequence[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        """(float32 [n, dim] of the images that can be read, their indices, the errors of the others)."""


class ClipBackbone(Backbone):
    """A CLIP's image tower before its projection (appendix A.3)."""

    def __init__(self, encoder: Encoder, *, name: str) -> None:
        self.encoder, self.name = encoder, name
        self.fingerprint = fingerprint(encoder.model.state_dict(), encoder.preprocess)
        size = encoder.preprocess.size
        provenance = {name: value for name, value in to_dict(encoder.provenance).items() if value}
        flops = _gflops(encoder.model.image_features, torch.zeros(1, 3, size, size, device=encoder.device))
        self.facts = {"image_size": size, "gflops": flops, **provenance}

    def features(self, images: Sequence[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        return self.encoder.readable_image_features(images)


class FunctionBackbone(Backbone):
    """Any function of normalised pixels [batch, 3, size, size]: features [batch, dim], or a map [batch, dim, rows, columns],
    of which the mean over places is taken. ValueError for anything else.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        *,
        name: str,
        fingerprint: str,
        preprocess: PreprocessConfig,
        batch_size: int = 32,
    ) -> None:
        self.forward, self.name, self.fingerprint = forward, name, fingerprint
        self.preprocess, self.batch_size = preprocess, batch_size
        self.facts = {"image_size": preprocess.size}

    def features(self, images: Sequence[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        transform = eval_transform(self.preprocess)
        rows, kept, errors = readable_rows(images, transform=transform, forward=self._flat, batch_size=self.batch_size)
        return torch.cat(rows).numpy() if rows else np.zeros((0, 0), dtype=np.float32), kept, errors

    def _flat(self, pixels: Tensor) -> Tensor:
        found = self.forward(pixels)
        if not isinstance(found, Tensor) or found.ndim not in (2, 4) or len(found) != len(pixels):
            shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"{self.name} gives {shape} for {list(pixels.shape)}: [batch, dim] or [batch, dim, rows, columns]")
        return (found.mean(dim=(2, 3)) if found.ndim == 4 else found).float().cpu()


def _gflops(forward: Callable[[Tensor], Tensor], image: Tensor) -> float:
    """Billions of operations, two to a multiplication with its addition, of matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        forward(image)
    return float(counter.get_total_flops()) / 1e9


def fingerprint(state: dict[str, Tensor], preprocess: PreprocessConfig) -> str:
    """The SHA-256 of weights, with names and types, and of the preprocessing."""
    digest = hashlib.sha256(json.dumps(to_dict(preprocess), sort_keys=True).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
