"""Vectors that were computed elsewhere, with what is known of them, into an index. Nothing is embedded or looked at."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fullclip.search.index.building import Summary, Writer, written
from fullclip.search.index.pictures import Picture
from fullclip.search.vectors import of_usual_size, real_numbers

_AT_ONCE = 16_384


def add_vectors(
    index: str,
    vectors: Any,
    *,
    keys: Sequence[str],
    model: str,
    fingerprint: str = "",
    meta: Sequence[Mapping[str, Any]] | None = None,
) -> Summary:
    """Index `vectors`, real numbers [n, dim], of any lengths above 0, in an array (of a mapped file, too) or a tensor. As
    `building.add`: what is there unchanged stays, a vector takes the place of the one with its key, and killed at any moment
    the same call goes on.

    keys: a name for each. meta: what is known of each, of which texts, numbers and truths can be asked for with `where`;
    "caption" is shown with a hit. model: what made them. Words and pictures can be looked for where it is a name that
    `fullclip.load` takes, and fingerprint its `Encoder.fingerprint`; vectors always.

    ValueError for other numbers of keys or of meta than of vectors, for what are no vectors of one width, and for an index of
    another model or width. Vectors that are zero or hold NaN are left out and counted, as are those whose key came before.
    """
    if not model.strip():
        raise ValueError("model is empty: name what made the vectors")
    num, given = len(vectors), {"keys": len(keys), "meta": len(vectors) if meta is None else len(meta)}
    for name, number in given.items():
        if number != num:
            raise ValueError(f"{num:,} vectors and {number:,} {name}: one for each is needed")
    fingerprint = fingerprint or f"vectors of {model}"

    def write(writer: Writer) -> None:
        for pictures in _pictures(vectors, keys, meta):
            writer.take_embedded(pictures, model=model, fingerprint=fingerprint)

    if not num:
        raise ValueError("there are no vectors")
    return written(index, write, create=True)


def _pictures(vectors: Any, keys: Sequence[str], meta: Sequence[Mapping[str, Any]] | None) -> Iterator[list[Picture]]:
    width = 0
    for start in range(0, len(vectors), _AT_ONCE):
        part = real_numbers(vectors[start : start + _AT_ONCE], "vectors")
        width = width or (part.shape[1] if part.ndim == 2 else 0)
        if not width or part.shape[1:] != (width,):
            raise ValueError(f"vectors are {[len(vectors), *part.shape[1:]]}: [n, dim] is needed")
        told = [{}] * len(part) if meta is None else meta[start : start + _AT_ONCE]
        rows = enumerate(zip(of_usual_size(part), told, strict=True), start)
        yield [_picture(keys[place], row, known) for place, (row, known) in rows]


def _picture(key: str, vector: np.ndarray, known: Mapping[str, Any]) -> Picture:
    caption = known.get("caption")
    digest = hashlib.blake2b(vector.tobytes(), digest_size=16)
    digest.update(json.dumps(dict(known), default=str, sort_keys=True).encode("utf-8", "backslashreplace"))
    return Picture(
        key=str(key),
        path="",
        name=str(key),
        mark=f"given {digest.hexdigest()}",
        vector=vector,
        texts=(caption,) if isinstance(caption, str) else (),
        meta=known,
    )
