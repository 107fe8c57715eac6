"""What is looked for -> one vector: words, pictures, pictures that are in the index, and words to get away from."""

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from fullclip.inference import Encoder
from fullclip.inference.reading import ImageLike
from fullclip.search.index import Index

_fingerprints = WeakKeyDictionary[Encoder, str]()  # to tell one reads all weights, which is too much for each query


class UnknownKeyError(ValueError):
    """A key that is not in the index."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


def combined(
    encoder: Encoder,
    index: Index,
    *,
    texts: Sequence[str] = (),
    images: Iterable[ImageLike] = (),
    like: Sequence[str] = (),
    minus: Sequence[str] = (),
) -> np.ndarray:
    """float32 [dim], of length 1: the mean of all that is looked for, less that of the texts under `minus`.

    like: keys of pictures in the index. ValueError where nothing is looked for, for a key that is not there or a model that is
    not the index's; ImageError for a picture that cannot be read.
    """
    given = list(images)
    if not (texts or given or like):
        raise ValueError(
            "nothing to look for: give a text, a picture or the key of one"
            + (", beside what to get away from" if minus else "")
        )
    if any(not text.strip() for text in [*texts, *minus]):
        raise ValueError("a text to look for is empty")
    check_model(encoder, index)
    known = index.vectors(like)
    for key in like:
        if key not in known:
            raise UnknownKeyError(f"{index.folder} has no picture with the key {key!r}", key)
    wanted = [known[key] for key in like]
    if texts:
        wanted += list(encoder.encode_texts(list(texts), truncate=True))
    if given:
        wanted += list(encoder.encode_images(given))
    vector = np.mean(wanted, axis=0)
    if minus:
        vector = vector - np.mean(encoder.encode_texts(list(minus), truncate=True), axis=0)
    length = float(np.linalg.norm(vector))
    if length < 1e-6:
        raise ValueError("what is looked for and what to get away from are the same")
    return (vector / length).astype(np.float32)  # type: ignore[no-any-return]


def check_model(encoder: Encoder, index: Index) -> None:
    """ValueError where vectors of this model say nothing about the index's."""
    if encoder not in _fingerprints:
        _fingerprints[encoder] = encoder.fingerprint
    if encoder.embed != index.dim or _fingerprints[encoder] != index.fingerprint:
        raise ValueError(
            f"{index.folder} was built with the model {index.model}, and this one is another, or has changed (weights, types "
            f"or preprocessing): open it with {index.model}, or build the index anew"
        )
