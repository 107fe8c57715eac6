"""Recall of retrieval both ways, with several captions for an image: embeddings and whose caption each is in, results out.

What ties with the right answer stands before it, so that a model to which all is alike finds nothing.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import RESAMPLES, clopper_pearson, percentiles, widened

_BLOCK = 512  # rows of the similarity matrix that are there at once


def better_captions(
    images: Float[np.ndarray, "images embed"], texts: Float[np.ndarray, "captions embed"], owners: Int[np.ndarray, " captions"]
) -> Int[np.ndarray, " images"]:
    """For each image, how many captions of others are at least as similar to it as the most similar of its own.

    An image without captions has all of them before it. ValueError for features that are not finite.
    """
    _check(images, texts)
    counts = []
    for start in range(0, len(images), _BLOCK):
        similarity = images[start : start + _BLOCK] @ texts.T
        own = owners[None] == np.arange(start, start + len(similarity))[:, None]
        best = np.where(own, similarity, -np.inf).max(axis=1, keepdims=True)
        counts.append(((similarity >= best) & ~own).sum(axis=1))
    return np.concatenate(counts)


def better_images(
    images: Float[np.ndarray, "images embed"], texts: Float[np.ndarray, "captions embed"], owners: Int[np.ndarray, " captions"]
) -> Int[np.ndarray, " captions"]:
    """For each caption, how many other images are at least as similar to it as its own."""
    _check(images, texts)
    counts = []
    for start in range(0, len(texts), _BLOCK):
        similarity = texts[start : start + _BLOCK] @ images.T
        own = owners[start : start + _BLOCK]
        counts.append((similarity >= similarity[np.arange(len(own)), own][:, None]).sum(axis=1) - 1)
    return np.concatenate(counts)


def _check(images: np.ndarray, texts: np.ndarray) -> None:
    for what, features in (("images", images), ("captions", texts)):
        if not np.isfinite(features).all():
            raise ValueError(f"the embeddings of {what} hold NaN or infinity: are the model's weights finite?")


def image_to_text(better: Int[np.ndarray, " images"], *, task: str, ks: Sequence[int]) -> list[Result]:
    """The share of images with one of their own captions among the k most similar; Clopper-Pearson intervals."""
    results = []
    for k in ks:
        hits, n = int((better < k).sum()), len(better)
        interval = clopper_pearson(hits, n)
        results.append(Result(task=task, metric=f"image-to-text recall@{k}", value=hits / n, interval=interval, n=n))
    return results


def text_to_image(
    better: Int[np.ndarray, " captions"], owners: Int[np.ndarray, " captions"], *, task: str, ks: Sequence[int]
) -> list[Result]:
    """The share of captions whose image is among the k most similar. For the intervals images are resampled, each with all its
    captions, which are not independent of each other.
    """
    numbers = np.bincount(owners)
    results = []
    for k in ks:
        right = better < k
        hits = np.bincount(owners, weights=right, minlength=len(numbers))
        value = float(right.mean())
        interval = widened(_of_images(hits, numbers), value, int((numbers > 0).sum()))
        results.append(Result(task=task, metric=f"text-to-image recall@{k}", value=value, interval=interval, n=len(better)))
    return results


def _of_images(hits: Float[np.ndarray, " images"], numbers: Int[np.ndarray, " images"]) -> tuple[float, float]:
    """Images are of few kinds, (captions that find it, captions): it is drawn how often each kind occurs."""
    kinds, occur = np.unique(np.stack([hits, numbers])[:, numbers > 0], axis=1, return_counts=True)
    counts = np.random.default_rng(0).multinomial(occur.sum(), occur / occur.sum(), size=RESAMPLES)
    return percentiles(counts @ kinds[0] / (counts @ kinds[1]))
