"""A model at work: paths, pictures, arrays and strings in, L2-normalised embeddings out, in the order they came."""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from fullclip.data.stages import batches
from fullclip.inference.exported import Exported
from fullclip.inference.fingerprint import fingerprint
from fullclip.inference.reading import Forward, ImageLike, Reading, Rows, rows
from fullclip.models.checkpoint import Provenance
from fullclip.models.clip import Clip
from fullclip.models.text import rows_of_like_length, trim_padding
from fullclip.preprocess.image import ImageError, PreprocessConfig, eval_pixels, eval_transform, fast_pixels, fast_transform
from fullclip.preprocess.levels import normalize
from fullclip.preprocess.tokenizer import Tokenizer

BATCH_SIZE = 32  # from 16 on a CPU is as fast as it gets (docs/log.md); `fullclip bench` shows it of the one at hand
Decoding = Literal["exact", "fast"]
_TEXTS_AT_ONCE = 16_384
_PROJECTED_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class EncodedImages:
    """Some images of a stream, in their order: the places of those that could be read, their embeddings, float32 [n, embed] of
    length 1, and the errors of the others with their places.
    """

    indices: list[int]
    embeddings: np.ndarray
    failed: list[tuple[int, ImageError]]


class Encoder:
    """A CLIP with its own preprocessing and tokenizer. Made by `load`, or from a model in evaluation mode.

    It runs where the model is and in its precision; embeddings come out in float32. `tokenizer` is None for a model whose
    vocabulary this package does not know: it encodes images only. decoding: "fast" reads large JPEGs at a fraction of their
    size (`preprocess.image.decode_image`) and resizes by another kernel (`fast_transform`): twice as fast for small pictures,
    eight times for photographs of cameras, and not to the bit.
    decoders: processes that read images, such as `core.pools.process_pool`; None, as it is at first, is threads of this one.
    pixels: an upright Pillow image to the bytes that the model is to see, uint8 [3, size, size]; transform: the same as floats.
    compiled: that the image tower is compiled for the size of its batches, so that all are filled up to it.
    """

    def __init__(
        self,
        model: Clip | Exported,
        *,
        preprocess: PreprocessConfig,
        tokenizer: Tokenizer | None,
        batch_size: int = BATCH_SIZE,
        provenance: Provenance = Provenance(),
        decoding: Decoding = "exact",
        compiled: bool = False,
    ) -> None:
        if model.training:
            raise ValueError("the model is in training mode, where embeddings depend on the batch: call model.eval() first")
        if decoding not in get_args(Decoding):
            raise ValueError(f"decoding {decoding!r}: exact or fast")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: at least 1")
        self.model, self.batch_size, self.decoding, self.compiled = model, batch_size, decoding, compiled
        self.device = model.logit_scale.device
        self.preprocess, self.tokenizer, self.provenance = preprocess, tokenizer, provenance
        self.transform = eval_transform(preprocess) if decoding == "exact" else fast_transform(preprocess)
        self.decoders: Executor | None = None
        self.pixels = eval_pixels(preprocess) if decoding == "exact" else fast_pixels(preprocess)

    @property
    def clip(self) -> Clip:
        """The model as a PyTorch module; ValueError where it is an exported one, of which only answers can be had."""
        if not isinstance(self.model, Clip):
            raise ValueError("an exported model has no weights for PyTorch: give the model that it was exported from")
        return self.model

    @property
    def embed(self) -> int:
        """The width of an embedding."""
        return self.model.embed

    @property
    def scale(self) -> float:
        """What the model learned to multiply similarities by; at most 100."""
        return self.model.logit_scale.exp().item()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all that image embeddings depend on: it reads all weights, each time that it is asked for."""
        model = self.model
        return model.fingerprint if isinstance(model, Exported) else fingerprint(model, self.preprocess)

    @property
    def vocabulary(self) -> str:
        """The SHA-256 of its pieces of words and of how many it reads: what texts depend on beside the weights."""
        told = [] if self.tokenizer is None else [self.tokenizer.pieces(), self.tokenizer.context_length]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def encode_images(self, images: Iterable[ImageLike], *, out: np.ndarray | None = None) -> np.ndarray:
        """float32 [n, embed], each row of length 1. An image is a path, a file's bytes, a Pillow image or a uint8 array
        [height, width, 3]. Files are opened by `preprocess.image.decode_image`, upright and in 8 bits; a Pillow image is
        taken as it is. ImageError names the first that cannot be read.

        images: a list, or a generator, of which no more than three batches are in memory. out: where the rows are written, such
        as numpy.lib.format.open_memmap gives it, of at least as many rows; what was filled is returned.
        """
        filled = _Filled(images, self.embed, out)
        with closing(self._rows(images, self.embed_pixels)) as parts:
            for part in parts:
                if part.failed:
                    raise part.failed[0][1]
                filled.add(part.values)
        return filled.result()

    def encode_readable_images(self, images: Iterable[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        """As `encode_images`, leaving out what cannot be read: (embeddings, the indices of their images, the errors)."""
        return self._readable(images, self.embed_pixels, self.embed)

    def stream_images(self, images: Iterable[ImageLike]) -> Iterator[EncodedImages]:
        """As `encode_readable_images`, a batch at a time, for any number of images: memory does not grow with it."""
        for part in self._rows(images, self.embed_pixels):
            embeddings = np.zeros((0, self.embed), dtype=np.float32) if part.values is None else part.values.numpy()
            yield EncodedImages(indices=part.indices, embeddings=embeddings, failed=part.failed)

    @torch.inference_mode()
    def embed_pixels(self, pixels: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        """Embeddings of length 1 of pictures as `pixels` makes each of them, for who decodes and gathers them himself."""
        return self._unit(self.model.encode_image(self._normalized(pixels)))

    def readable_image_features(self, images: Iterable[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        """The same with what a linear probe is fitted on in place of the embeddings: float32 [n, dim], before the projection of
        a ViT (`Clip.image_features`). `project` makes embeddings of them. Batches are filled, so that a picture's features do
        not depend on how many others there are.
        """

        def features(pixels: Tensor) -> Tensor:
            return self.model.image_features(self._normalized(pixels)).float().cpu()

        return self._readable(images, features, self.model.image_width, fills_batches=True)

    def project(self, features: np.ndarray) -> np.ndarray:
        """Features as `readable_image_features` gives them -> embeddings, float32 [n, embed], each row of length 1."""
        filled = _Filled(features, self.embed)
        with torch.inference_mode():
            for part in torch.split(torch.from_numpy(features), _PROJECTED_AT_ONCE) if len(features) else ():
                filled.add(self._unit(self.model.project_image(part.to(self.device))))
        return filled.result()

    def encode_texts(self, texts: Iterable[str], *, truncate: bool = False, out: np.ndarray | None = None) -> np.ndarray:
        """float32 [n, embed], each row of length 1. ValueError for a text longer than the context, unless `truncate`.

        Each different text is encoded once, beside others of like length, and no further than the longest of them ends: under
        the causal mask what comes behind a text's end changes nothing. out: as for images.
        """
        if isinstance(texts, Sequence) and not isinstance(texts, str) and out is None:
            return self._encoded(texts, truncate=truncate).numpy()
        filled = _Filled(texts, self.embed, out)
        for part in self.stream_texts(texts, truncate=truncate):
            filled.add(torch.from_numpy(part))
        return filled.result()

    def stream_texts(self, texts: Iterable[str], *, truncate: bool = False) -> Iterator[np.ndarray]:
        """As `encode_texts`, some thousands at a time, for any number of texts: memory does not grow with it."""
        if isinstance(texts, str):
            raise ValueError(f"encode_texts takes a list of texts: [{texts[:40]!r}]")
        for part in batches(texts, _TEXTS_AT_ONCE):
            yield self._encoded(part, truncate=truncate).numpy()

    def _encoded(self, texts: Sequence[str], *, truncate: bool) -> Float[Tensor, "texts embed"]:
        if self.tokenizer is None:
            raise ValueError("this model's vocabulary is not CLIP's and its folder has no tokenizer.json: images only")
        tokens, end_id = self.tokenizer.encode(list(texts), truncate=truncate).ids, self.model.end_id
        if not len(tokens):
            return torch.zeros(0, self.embed)
        different, own = torch.unique(tokens, dim=0, return_inverse=True)
        parts = rows_of_like_length(different, end_id, at_most=self.batch_size)
        with torch.inference_mode():
            cut = (trim_padding(different[rows], end_id) for rows in parts)
            embeddings = torch.cat([self._unit(self.model.encode_text(part.to(self.device))) for part in cut])
        return embeddings[torch.cat(parts).argsort()[own]]

    def _readable(
        self, images: Iterable[ImageLike], forward: Forward, width: int, *, fills_batches: bool = False
    ) -> tuple[np.ndarray, list[int], list[ImageError]]:
        filled, kept, errors = _Filled(images, width), list[int](), list[ImageError]()
        for part in self._rows(images, forward, fills_batches=fills_batches):
            filled.add(part.values)
            kept += part.indices
            errors += [error for _, error in part.failed]
        return filled.result(), kept, errors

    def _rows(
        self, images: Iterable[ImageLike], forward: Forward, *, fills_batches: bool = False
    ) -> Generator[Rows, None, None]:
        return rows(
            images,
            read=Reading(transform=self.pixels, short_side=self.preprocess.size if self.decoding == "fast" else None),
            forward=forward,
            batch_size=self.batch_size,
            fills_batches=fills_batches or self.compiled,
            decoders=self.decoders,
        )

    def _normalized(self, pixels: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        return normalize(pixels.to(self.device), self.preprocess.mean, self.preprocess.std)

    def _unit(self, features: Float[Tensor, "batch embed"]) -> Float[Tensor, "batch embed"]:
        return F.normalize(features.float(), dim=-1).cpu()


class _Filled:
    """Rows as they come, in one array: the one given, or one for as many as there are items, or one that grows."""

    def __init__(self, items: object, width: int, out: np.ndarray | None = None) -> None:
        if out is not None and (out.ndim != 2 or out.shape[1] != width):
            raise ValueError(f"out is {list(out.shape)}: [n, {width}] is needed")
        self._given, self._width, self._filled = out is not None, width, 0
        if out is None:
            out = np.empty((len(items) if isinstance(items, Sized) else 0, width), dtype=np.float32)
        self._rows = out

    def add(self, values: Tensor | None) -> None:
        if values is None:
            return
        end = self._filled + len(values)
        if end > len(self._rows):
            if self._given:
                raise ValueError(f"out has {len(self._rows)} rows, and there are more: at least {end}")
            larger = np.empty((max(end, 2 * len(self._rows)), self._width), dtype=np.float32)
            larger[: self._filled] = self._rows[: self._filled]
            self._rows = larger
        self._rows[self._filled : end] = values.numpy()
        self._filled = end

    def result(self) -> np.ndarray:
        return self._rows[: self._filled]
