"""How alike two encoders of one model are, on the sample of pairs that ships with the package."""

from dataclasses import dataclass
from importlib.resources import files
from itertools import islice

import numpy as np

from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards
from fullclip.inference import Encoder


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Cosines between both encoders' embeddings of the same things, -1 to 1; the share of pictures for which both find the same
    text most fitting, among all of the sample's; and the share for which each finds the one that belongs to it.
    """

    num_pairs: int
    image_cosine: float
    text_cosine: float
    top1: float
    recall_before: float
    recall_after: float


def agreement(before: Encoder, after: Encoder, *, at_most: int | None = None) -> Agreement:
    """Cosines are the lowest of all. at_most: of the first so many pairs. ValueError where the model has no vocabulary."""
    pairs = list(islice(read_shards([str(files("fullclip").joinpath("assets/sample/heldout"))], Drops()), at_most))
    images, texts = [pair.image for pair in pairs], [pair.texts[0] for pair in pairs]
    own, other = ((one.encode_images(images), one.encode_texts(texts, truncate=True)) for one in (before, after))
    best, found = (pair[0] @ pair[1].T for pair in (own, other))
    right = np.arange(len(pairs))
    return Agreement(
        num_pairs=len(pairs),
        image_cosine=float((own[0] * other[0]).sum(axis=1).min()),
        text_cosine=float((own[1] * other[1]).sum(axis=1).min()),
        top1=float((best.argmax(axis=1) == found.argmax(axis=1)).mean()),
        recall_before=float((best.argmax(axis=1) == right).mean()),
        recall_after=float((found.argmax(axis=1) == right).mean()),
    )
