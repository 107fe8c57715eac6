"""A model at work: paths, pictures, arrays and strings in, L2-normalised embeddings out, in the order they came."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from fullclip.data.stages import batches
from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.clip import Clip, cast_matrices
from fullclip.models.config import Activation
from fullclip.models.hub import locate
from fullclip.models.text import rows_of_like_length, trim_padding
from fullclip.models.weights import CONFIG_NAME, TOKENIZER_NAME, read_checkpoint, to_module
from fullclip.preprocess.image import ImageError, PreprocessConfig, decode_image, eval_transform, from_array
from fullclip.preprocess.tokenizer import Tokenizer

Precision = Literal["float32", "bfloat16", "float16"]
ImageLike = str | Path | bytes | Image.Image | np.ndarray

_PROJECTED_AT_ONCE = 4096


class Encoder:
    """A CLIP with its own preprocessing and tokenizer. Made by `load`, or from a model in evaluation mode.

    It runs where the model is and in its precision; embeddings come out in float32. `tokenizer` is None for a model whose
    vocabulary this package does not know: it encodes images only.
    """

    def __init__(
        self,
        model: Clip,
        *,
        preprocess: PreprocessConfig,
        tokenizer: Tokenizer | None,
        batch_size: int = 32,
        provenance: Provenance = Provenance(),
    ) -> None:
        if model.training:
            raise ValueError("the model is in training mode, where embeddings depend on the batch: call model.eval() first")
        self.model, self.batch_size = model, batch_size
        self.device = model.logit_scale.device
        self.preprocess, self.tokenizer, self.provenance = preprocess, tokenizer, provenance
        self.transform = eval_transform(preprocess)

    @property
    def embed(self) -> int:
        """The width of an embedding."""
        return self.model.text.text_projection.shape[1]

    @property
    def scale(self) -> float:
        """What the model learned to multiply similarities by; at most 100."""
        return self.model.logit_scale.exp().item()

    def encode_images(self, images: Sequence[ImageLike]) -> np.ndarray:
        """float32 [n, embed], each row of length 1. An image is a path, a file's bytes, a Pillow image or a uint8 array
        [height, width, 3]. Files are opened by `preprocess.image.decode_image`, upright and in 8 bits; a Pillow image is
        taken as it is. ImageError names the first that cannot be read.
        """
        rows, _, errors = self._rows(images, self._embedded, stop_at_first=True)
        if errors:
            raise errors[0]
        return _stack(rows, self.embed)

    def encode_readable_images(self, images: Sequence[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        """As `encode_images`, leaving out what cannot be read: (embeddings, the indices of their images, the errors)."""
        rows, kept, errors = self._rows(images, self._embedded)
        return _stack(rows, self.embed), kept, errors

    def readable_image_features(self, images: Sequence[ImageLike]) -> tuple[np.ndarray, list[int], list[ImageError]]:
        """The same with what a linear probe is fitted on in place of the embeddings: float32 [n, dim], before the projection of
        a ViT (`Clip.image_features`). `project` makes embeddings of them. Batches are filled, so that a picture's features do
        not depend on how many others there are.
        """
        rows, kept, errors = readable_rows(
            images,
            transform=self.transform,
            forward=lambda pixels: self.model.image_features(pixels.to(self.device)).float().cpu(),
            batch_size=self.batch_size,
            fills_batches=True,
        )
        return _stack(rows, self.model.image_width), kept, errors

    def project(self, features: np.ndarray) -> np.ndarray:
        """Features as `readable_image_features` gives them -> embeddings, float32 [n, embed], each row of length 1."""
        with torch.inference_mode():
            parts = torch.from_numpy(features).split(_PROJECTED_AT_ONCE)
            return _stack([self._unit(self.model.project_image(part.to(self.device))) for part in parts], self.embed)

    def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> np.ndarray:
        """float32 [n, embed], each row of length 1. ValueError for a text longer than the context, unless `truncate`.

        Each different text is encoded once, beside others of like length, and no further than the longest of them ends: under
        the causal mask what comes behind a text's end changes nothing.
        """
        if isinstance(texts, str):
            raise ValueError(f"encode_texts takes a list of texts: [{texts[:40]!r}]")
        if self.tokenizer is None:
            raise ValueError("this model's vocabulary is not CLIP's and its folder has no tokenizer.json: images only")
        tokens, end_id = self.tokenizer.encode(list(texts), truncate=truncate).ids, self.model.text.end_id
        if not len(tokens):
            return _stack([], self.embed)
        different, own = tokens.unique(dim=0, return_inverse=True)
        parts = rows_of_like_length(different, end_id, at_most=self.batch_size)
        with torch.inference_mode():
            cut = (trim_padding(different[rows], end_id) for rows in parts)
            embeddings = torch.cat([self._unit(self.model.encode_text(part.to(self.device))) for part in cut])
        return embeddings[torch.cat(parts).argsort()[own]].numpy()

    def _rows(
        self, images: Sequence[ImageLike], forward: Callable[[Tensor], Tensor], *, stop_at_first: bool = False
    ) -> tuple[list[Tensor], list[int], list[ImageError]]:
        return readable_rows(
            images, transform=self.transform, forward=forward, batch_size=self.batch_size, stop_at_first=stop_at_first
        )

    def _embedded(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        return self._unit(self.model.encode_image(pixels.to(self.device)))

    def _unit(self, features: Float[Tensor, "batch embed"]) -> Float[Tensor, "batch embed"]:
        return F.normalize(features.float(), dim=-1).cpu()


def readable_rows(
    images: Sequence[ImageLike],
    *,
    transform: Callable[[Image.Image], Tensor],
    forward: Callable[[Float[Tensor, "batch 3 height width"]], Tensor],
    batch_size: int,
    stop_at_first: bool = False,
    fills_batches: bool = False,
) -> tuple[list[Tensor], list[int], list[ImageError]]:
    """What `forward` gives for each batch of those `images` that can be read, decoded in threads: (its tensors, the images'
    indices, the errors of the others). With `stop_at_first`, nothing is computed from the first error on. With `fills_batches`,
    `forward` is given batches of one size only, black pictures at the end: kernels for other sizes round otherwise.
    """
    if isinstance(images, (str, Path, bytes, Image.Image)):
        raise ValueError("encode_images takes a list of images; put the one image into a list")
    rows, kept, errors = list[Tensor](), list[int](), list[ImageError]()
    pixels_of = partial(_pixels, transform)
    with ThreadPoolExecutor(os.cpu_count()) as pool, torch.inference_mode():
        for indices in batches(range(len(images)), batch_size):
            pixels = []
            for i, found in zip(indices, pool.map(pixels_of, indices, [images[i] for i in indices]), strict=True):
                if isinstance(found, ImageError):
                    errors.append(found)
                else:
                    pixels.append(found)
                    kept.append(i)
            if errors and stop_at_first:
                break
            if pixels:
                black = [torch.zeros_like(pixels[0])] * (batch_size - len(pixels)) if fills_batches else []
                rows.append(forward(torch.stack(pixels + black))[: len(pixels)])
    return rows, kept, errors


def _pixels(transform: Callable[[Image.Image], Tensor], index: int, image: ImageLike) -> Tensor | ImageError:
    try:
        if isinstance(image, np.ndarray):
            image = from_array(image)
        return transform(image if isinstance(image, Image.Image) else decode_image(image))
    except ImageError as error:
        return error
    except (ValueError, OSError) as error:  # an array of another shape; a Pillow image whose file is truncated
        return ImageError(f"image {index}: {error}")


def _stack(rows: list[Tensor], width: int) -> np.ndarray:
    return torch.cat(rows).numpy() if rows else np.zeros((0, width), dtype=np.float32)


def load(
    name_or_path: str | Path,
    precision: Precision | None = None,
    device: str | None = None,
    *,
    activation: Activation | None = None,
) -> Encoder:
    """Open a model: a name that `fullclip models list` shows, "hf-hub:owner/repository", a folder, or a weight file.

    precision: what matrices are multiplied in; None is float32. device: None is the GPU where there is one.
    activation: for a weight file that does not say (see `models.weights.read_checkpoint`).
    """
    path, provenance = locate(str(name_or_path))
    checkpoint = read_checkpoint(path, activation=activation)
    if precision is not None and precision not in ("float32", "bfloat16", "float16"):
        raise ValueError(f"precision {precision!r}: float32, bfloat16 or float16")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    model = to_module(checkpoint, source=path).to(device)
    return Encoder(
        cast_matrices(model, getattr(torch, precision or "float32")),
        preprocess=checkpoint.preprocess,
        tokenizer=tokenizer_of(path, checkpoint),
        provenance=provenance if provenance.source else checkpoint.provenance,
    )


def tokenizer_of(path: Path, checkpoint: Checkpoint) -> Tokenizer | None:
    """The tokenizer that belongs to a model: its folder's own, else CLIP's where the vocabulary is CLIP's."""
    text, folder = checkpoint.config.text, path if path.is_dir() else path.parent
    if (folder / CONFIG_NAME).is_file() and (folder / TOKENIZER_NAME).is_file():
        found = Tokenizer.from_file(folder / TOKENIZER_NAME, context_length=text.context_length)
        if found.vocab_size != text.vocab_size:
            raise ValueError(f"{folder / TOKENIZER_NAME} has {found.vocab_size} pieces, the model {text.vocab_size}")
        return found
    clip = Tokenizer.clip(context_length=text.context_length)
    return clip if text.vocab_size == clip.vocab_size else None
