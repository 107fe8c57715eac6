"""Two pictures, and about how one lies on the other -> how alike they are where they overlap, once they lie exactly.

A place is four numbers: where the left, right, upper and lower edge of the first picture lie on the second, as parts of its
sides. 0, 1, 0, 1 is the whole on the whole; edges outside 0 to 1 mean that the second is a part of the first.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, UInt8

from fullclip.preprocess.descriptor import SIDE, cosines, evened, grey

Places = Float32[np.ndarray, "n 4"]

_NUMBER, _POWER = 16, 1.0
_NOISE = 8.0  # levels: structure of this size counts as none
_FLAT = 24.0  # below, even the same picture would be less than 0.9 like itself
_STEPS = 128  # edges are found to 1/128 of a side
_LAST_START, _FIRST_END = 40, 88  # of a part, so that at least 3/8 of each side overlap
_FURTHEST = 0.4  # an edge outside the other picture
_LEVELS = 16.0  # by which pictures without structure may differ in nothing
_COLOURLESS = 6.0  # levels away from grey
_SAME_COLOURS = 0.5  # a cosine that other light, a caption or a cut leaves
_BLOCK = 256
# After a first step of 1/16 nearly all copies are above 0.35 and few others; after the first stage 0.5 parts them.
_HOPELESS = 0.35
_STAGES = ((8, -1.0), (4, 0.5), (2, 0.5), (1, 0.5))


def is_flat(descriptors: UInt8[np.ndarray, "n 1056"]) -> np.ndarray:
    """Which pictures have no structure to go by (a blank page, a night sky), bool [n]."""
    whole = cosines(0.0, 1.0, _NUMBER)
    sizes = [
        np.linalg.norm(evened(whole @ grey(descriptors[at : at + _BLOCK]) @ whole.T, _POWER), axis=1)
        for at in range(0, len(descriptors), _BLOCK)
    ]
    return np.concatenate(sizes or [np.empty(0)]) < _FLAT


def flat_similarity(first: UInt8[np.ndarray, "n 1056"], second: UInt8[np.ndarray, "*m 1056"]) -> Float32[np.ndarray, " n"]:
    """Of pictures without structure, to one or each to its own: 1 where all is equal, 0 where a level of grey or colour differs
    by 16 or more.
    """
    largest = np.abs(first.astype(np.int16) - second.astype(np.int16)).max(axis=1)
    found: np.ndarray = np.clip(1 - largest / _LEVELS, 0, 1).astype(np.float32)
    return found


def align(
    first: UInt8[np.ndarray, "n 1056"], second: UInt8[np.ndarray, "n 1056"], places: Places
) -> tuple[Float32[np.ndarray, " n"], Places]:
    """(similarity of each pair, the place where it was found), climbing from `places`.

    Similarity is the cosine between the evened coefficients of the overlapping parts, -1 to 1: 1 for the same picture.
    """
    found = [
        _climb(grey(first[at : at + _BLOCK]), grey(second[at : at + _BLOCK]), places[at : at + _BLOCK])
        for at in range(0, len(first), _BLOCK)
    ]
    if not found:
        return np.empty(0, dtype=np.float32), places
    similarities, ends = zip(*found, strict=True)
    return np.concatenate(similarities), np.concatenate(ends)


def similarity_at(
    first: UInt8[np.ndarray, "n 1056"], second: UInt8[np.ndarray, "n 1056"], places: Places
) -> Float32[np.ndarray, " n"]:
    """The similarity of each pair as it lies, which `align` only makes larger."""
    found = [
        _similarity(grey(first[at : at + _BLOCK]), grey(second[at : at + _BLOCK]), places[at : at + _BLOCK, None])[:, 0]
        for at in range(0, len(first), _BLOCK)
    ]
    return np.concatenate([np.empty(0, dtype=np.float32), *found])


def _moves() -> Float32[np.ndarray, "16 4"]:
    """One edge, both edges of an axis together (shift), or against each other (zoom), in either direction."""
    pairs = [(1, 0), (0, 1), (1, 1), (1, -1)]
    moves = [(sign * a, sign * b, 0, 0) for sign in (1, -1) for a, b in pairs]
    return np.array(moves + [(0, 0, a, b) for a, b, _, _ in moves], dtype=np.float32)


def colours_agree(first: UInt8[np.ndarray, "n 1056"], second: UInt8[np.ndarray, "n 1056"]) -> Float32[np.ndarray, " n"]:
    """1 where the colours could be one picture's, down to 0 for opposite ones: by the cosine between the colour differences,
    which saturation does not change. 1 where one of the two has hardly any colour: it may be the grey copy.
    """
    ours, theirs = (_colours(descriptors) for descriptors in (first, second))
    sizes = np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1)
    cosine = (ours * theirs).sum(axis=1) / np.maximum(sizes[0] * sizes[1], 1)
    found = np.clip((cosine + 1) / (1 + _SAME_COLOURS), 0, 1)
    found[np.minimum(*sizes) < _COLOURLESS * np.sqrt(ours.shape[1])] = 1
    agreement: np.ndarray = found.astype(np.float32)
    return agreement


def _colours(descriptors: np.ndarray) -> np.ndarray:
    colours: np.ndarray = descriptors[:, SIDE * SIDE :].astype(np.float32) - 128
    return colours


def _climb(first: np.ndarray, second: np.ndarray, places: Places) -> tuple[np.ndarray, Places]:
    """The best similarity and its place, by steps that become finer. Hopeless pairs are let go of on the way."""
    moves, places = _moves(), places.astype(np.float32)
    best = _similarity(first, second, places[:, None])[:, 0]
    for step, hopeless in _STAGES:
        climbing = np.flatnonzero(best > hopeless)
        for _ in range(3):
            if not len(climbing):
                break
            tried = places[climbing, None] + moves * np.float32(step / _STEPS)
            tried[..., 0::2] = tried[..., 0::2].clip(-_FURTHEST, _LAST_START / _STEPS)
            tried[..., 1::2] = tried[..., 1::2].clip(_FIRST_END / _STEPS, 1 + _FURTHEST)
            scores = _similarity(first[climbing], second[climbing], tried)
            chosen = scores.argmax(axis=1)
            rows = np.arange(len(climbing))
            better = scores[rows, chosen] > best[climbing] + 1e-4
            best[climbing[better]], places[climbing[better]] = scores[rows, chosen][better], tried[rows, chosen][better]
            climbing = climbing[better & (best[climbing] > _HOPELESS)]
    return best, places


def _similarity(first: np.ndarray, second: np.ndarray, places: np.ndarray) -> np.ndarray:
    """[n, tries] of pictures [n, 32, 32] at places [n, tries, 4]."""
    (ours_x, theirs_x), (ours_y, theirs_y) = _parts(places[..., 0], places[..., 1]), _parts(places[..., 2], places[..., 3])
    ours = evened(ours_y @ first[:, None] @ ours_x.swapaxes(-1, -2), _POWER)
    theirs = evened(theirs_y @ second[:, None] @ theirs_x.swapaxes(-1, -2), _POWER)
    sizes = ((ours**2).sum(axis=-1) + _NOISE**2) * ((theirs**2).sum(axis=-1) + _NOISE**2)
    found: np.ndarray = (ours * theirs).sum(axis=-1) / np.sqrt(sizes)
    return found


def _parts(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosines over the overlapping part of a side, in the first picture and in the second."""
    width = end - start
    ours = _cosines(np.maximum(0, -start / width), np.minimum(1, (1 - start) / width))
    return ours, _cosines(np.maximum(0, start), np.minimum(1, end))


def _cosines(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The table's entry for each part, [..., 16, 32]."""
    rows = np.rint(start * _STEPS).astype(np.int64).clip(0, _LAST_START)
    columns = np.rint(end * _STEPS).astype(np.int64).clip(_FIRST_END, _STEPS) - _FIRST_END
    found: np.ndarray = _table()[rows, columns]
    return found


@lru_cache(maxsize=1)
def _table() -> Float32[np.ndarray, "starts ends 16 32"]:
    """The cosines of every part, so that climbing computes none."""
    ends = range(_FIRST_END, _STEPS + 1)
    return np.stack(
        [np.stack([cosines(start / _STEPS, end / _STEPS, _NUMBER) for end in ends]) for start in range(_LAST_START + 1)]
    )
