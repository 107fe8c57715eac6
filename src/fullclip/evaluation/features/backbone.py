"""What makes features of images: a CLIP, or any PyTorch module or ONNX file that a probe is to be fitted on.

A backbone's fingerprint names its numbers: kept features are used again only where it is the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fullclip.core.config import to_dict
from fullclip.inference import Encoder, Exported, ImageLike, readable_rows
from fullclip.preprocess.image import ImageError, PreprocessConfig, eval_transform


class Backbone(ABC):
    """What gives features. `name` is for people."""

    name: str

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """The SHA-256 of all that its features depend on: weights and their types, the network's own settings, how pictures
        are prepared. Found when it is first asked for, since it reads all weights; so are the facts.
        """

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What else is known of it, JSON-able: image_size; gflops for one image, where they can be counted; its provenance."""

    @abstractmethod
    def features(self, images: Sequence[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        """(float32 [n, dim] of the images that can be read, their indices, the errors of the others)."""


class ClipBackbone(Backbone):
    """A CLIP's image tower before its projection (appendix A.3)."""

    def __init__(self, encoder: Encoder, *, name: str) -> None:
        self.encoder, self.name = encoder, name

    @cached_property
    def fingerprint(self) -> str:
        return self.encoder.fingerprint

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        size = self.encoder.preprocess.size
        provenance = {name: value for name, value in to_dict(self.encoder.provenance).items() if value}
        if isinstance(self.encoder.model, Exported):
            return {"image_size": size, **provenance}
        image = torch.zeros(1, 3, size, size, device=self.encoder.device)
        return {"image_size": size, "gflops": _gflops(self.encoder.model.image_features, image), **provenance}

    @cached_property
    def vocabulary(self) -> str:
        """The SHA-256 of its pieces of words and of how many it reads: what its text features depend on beside the weights."""
        return self.encoder.vocabulary

    def features(self, images: Sequence[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        return self.encoder.readable_image_features(images)


class FunctionBackbone(Backbone):
    """Any function of normalised pixels [batch, 3, size, size]: features [batch, dim], or a map [batch, dim, rows, columns],
    of which the mean over places is taken. ValueError for anything else.

    counts: whether the function computes with PyTorch, so that its operations can be counted.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        *,
        name: str,
        fingerprint: str,
        preprocess: PreprocessConfig,
        batch_size: int = 32,
        counts: bool = False,
    ) -> None:
        self.forward, self.name = forward, name
        self.preprocess, self.batch_size = preprocess, batch_size
        self._fingerprint, self._counts = fingerprint, counts

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        size = self.preprocess.size
        counted = {"gflops": _gflops(self._flat, torch.zeros(1, 3, size, size))} if self._counts else {}
        return {"image_size": size, **counted}

    def features(self, images: Sequence[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        transform = eval_transform(self.preprocess)
        rows, kept, errors = readable_rows(
            images, transform=transform, forward=self._flat, batch_size=self.batch_size, fills_batches=True
        )
        return torch.cat(rows).numpy() if rows else np.zeros((0, 0), dtype=np.float32), kept, errors

    def _flat(self, pixels: Tensor) -> Tensor:
        found = self.forward(pixels)
        if not isinstance(found, Tensor) or found.ndim not in (2, 4) or len(found) != len(pixels):
            shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"{self.name} gives {shape} for {list(pixels.shape)}: [batch, dim] or [batch, dim, rows, columns]")
        return (found.float().mean(dim=(2, 3)) if found.ndim == 4 else found.float()).cpu()


def _gflops(forward: Callable[[Tensor], Tensor], image: Tensor) -> float:
    """Billions of operations, two to a multiplication with its addition, of matrix products and convolutions."""
    # attention as plain products: the counter knows no fused attention of CPUs; as if to be trained: a Transformer's last block
    # otherwise computes less than the model is said to have
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        forward(image)
    return float(counter.get_total_flops()) / 1e9
