"""Embeddings of pictures and captions -> how well they fit: CLIPScore and RefCLIPScore. Knows nothing of models or files."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

WEIGHT = 2.5
# What the authors put before every caption and reference; given as templates, it is the paper's score.
PAPER_TEMPLATES = ("A photo depicts {}",)

_Vectors = Float[np.ndarray, "..."]  # [rows, embed], or [embed] for one; what does not fit together is a ValueError
_References = _Vectors | Sequence[_Vectors]


def clip_score(image_embeddings: _Vectors, text_embeddings: _Vectors) -> Float[np.ndarray, " rows"]:
    """CLIPScore of each picture with its caption: 2.5 max(cos(c, v), 0) (Hessel et al. 2021, section 3), from 0 to 2.5.

    Row by row; one caption may stand for all pictures, or one picture for all captions. Rows need not be of length 1.
    ValueError for other numbers of rows, other widths, rows of zeros and what is not finite.
    """
    return weighted(_cosines(_unit(image_embeddings, "images"), _unit(text_embeddings, "texts")))


def ref_clip_score(image: _Vectors, text: _Vectors, references: _References) -> Float[np.ndarray, " rows"]:
    """RefCLIPScore of each picture with its caption, which is also compared with captions that people wrote: the harmonic mean
    of CLIPScore, with its factor of 2.5, and max(max_r cos(c, r), 0) (Hessel et al. 2021, section 3); 0 where either is 0.

    references: [references, embed], the same for all rows, or a list of such arrays, one for each row. ValueError as for
    `clip_score`, and where a row has no reference.
    """
    fit, captions = clip_score(image, text), _unit(text, "texts")
    is_shared = isinstance(references, np.ndarray) and references.ndim < 3
    own = [np.atleast_2d(references)] * len(fit) if is_shared else list(references)
    if len(own) != len(fit):
        raise ValueError(f"{len(own)} groups of references for {len(fit)} rows: one for each, in their order")
    captions = np.broadcast_to(captions, (len(fit), captions.shape[1]))
    alike = np.array([likeness(row, group) for row, group in zip(captions, own, strict=True)], dtype=np.float64)
    return harmonic_mean(fit, alike)


def weighted(cosines: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """CLIPScore where the cosines are known."""
    scores: np.ndarray = WEIGHT * np.maximum(cosines, 0)
    return scores


def likeness(caption: _Vectors, references: _Vectors) -> float:
    """How like its nearest reference a caption is: max(max_r cos(c, r), 0)."""
    if not len(references):
        raise ValueError("a caption has no reference: RefCLIPScore needs one at least")
    return max(0.0, float(_cosines(_unit(references, "references"), _unit(caption, "texts")).max()))


def harmonic_mean(a: Float[np.ndarray, " rows"], b: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """2ab / (a + b) of numbers from 0; 0 where either is 0."""
    total = a + b
    mean: np.ndarray = np.divide(2 * a * b, total, out=np.zeros_like(total), where=(a > 0) & (b > 0))
    return mean


def _unit(vectors: _Vectors, what: str) -> Float[np.ndarray, "rows embed"]:
    """Rows of length 1, in float64."""
    rows = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    if not np.isfinite(largest).all():
        raise ValueError(f"the embeddings of {what} hold numbers that are not finite")
    if not largest.all():
        raise ValueError(f"an embedding of the {what} is all zeros, which points nowhere")
    rows = rows / largest  # or the squares of very small numbers would be none
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _cosines(a: _Vectors, b: _Vectors) -> Float[np.ndarray, " rows"]:
    """Row by row; a single row stands for all."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"embeddings {a.shape[1]} and {b.shape[1]} wide: they are of different models")
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError(f"{len(a)} and {len(b)} embeddings: one of each for a row, or one for all")
    cosines: np.ndarray = np.clip((a * b).sum(axis=1), -1, 1)
    return cosines
