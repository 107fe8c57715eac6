"""Hashes, mean levels or signs of many pictures -> the pairs of them that may be copies, without comparing all with all.

Rows with an equal key are sorted next to each other; each is paired with those that follow, at most `WINDOW` of them, so that
time is bounded however many rows share a key. What is in memory: the hashes, and 24 bytes a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

FURTHEST = 12  # bits in which the hashes of copies may differ
WINDOW = 256

# All pairs that differ in up to 5 bits, and most that differ in up to 12, agree in at least 3 of the 8 bytes.
_BYTES = tuple[tuple[int, ...], ...](combinations(range(8), 3))
_LEVELS_SHIFT = 3  # cells of 8 levels; two grids of them, by half a cell apart, keep what is 4 levels apart in one

Numbers = Int64[np.ndarray, " pairs"]


@dataclass
class Crowds:
    """How many rows had more others with the same key behind them than `WINDOW`."""

    rows: int = 0


def close_hashes(hashes: UInt64[np.ndarray, " n"], crowds: Crowds) -> Iterator[tuple[Numbers, Numbers]]:
    """Pairs of rows whose hashes agree in three bytes or more and differ in at most 12 bits, each pair once."""
    parts = hashes.astype("<u8").view(np.uint8).reshape(-1, 8)
    for table, chosen in enumerate(_BYTES):
        others = [place for place in range(8) if place not in chosen]
        turned = np.ascontiguousarray(parts[:, [*others, *chosen]]).view("<u8")[:, 0]
        order = np.argsort(turned, kind="stable")
        keys = (turned[order] >> np.uint64(40)).astype(np.uint32)
        for first, second in _neighbours(keys, order, crowds):
            differing = hashes[first] ^ hashes[second]
            kept = np.flatnonzero(count_bits(differing) <= FURTHEST)
            kept = kept[_owners(differing[kept]) == table]
            yield first[kept], second[kept]


def close_levels(levels: UInt8[np.ndarray, "n 3"], crowds: Crowds) -> Iterator[tuple[Numbers, Numbers]]:
    """Pairs of rows whose three mean levels are about the same: all that differ by up to 4 in each, some that differ by 7."""
    wide = levels.astype(np.uint32)
    for offsets in product((0, 4), repeat=3):
        cells = (wide + np.array(offsets, dtype=np.uint32)) >> _LEVELS_SHIFT
        keys = (cells[:, 0] << 12) | (cells[:, 1] << 6) | cells[:, 2]
        order = np.argsort(keys, kind="stable")
        yield from _neighbours(keys[order], order, crowds)


def equal_keys(keys: np.ndarray, crowds: Crowds) -> Iterator[tuple[Numbers, Numbers]]:
    """Pairs of rows with the same key."""
    order = np.argsort(keys, kind="stable")
    yield from _neighbours(keys[order], order, crowds)


def count_bits(numbers: UInt64[np.ndarray, " n"]) -> UInt8[np.ndarray, " n"]:
    """How many bits of each are set."""
    parts = np.ascontiguousarray(numbers).view(np.uint16).reshape(-1, 4)
    found: np.ndarray = _bits()[parts].sum(axis=1, dtype=np.uint8)
    return found


def _neighbours(keys: np.ndarray, order: Int64[np.ndarray, " n"], crowds: Crowds) -> Iterator[tuple[Numbers, Numbers]]:
    """Pairs of rows (by `order`) whose sorted keys are equal, the nearest first."""
    places = np.flatnonzero(keys[1:] == keys[:-1])
    for distance in range(1, WINDOW + 1):
        if not len(places):
            return
        yield order[places], order[places + distance]
        places = places[places + distance + 1 < len(keys)]
        places = places[keys[places + distance + 1] == keys[places]]
    crowds.rows += len(places)


def _owners(differing: UInt64[np.ndarray, " n"]) -> np.ndarray:
    """The number of the table that has each pair: that of the first three bytes in which they agree."""
    agree = differing.astype("<u8").view(np.uint8).reshape(-1, 8) == 0
    found: np.ndarray = _owner_table()[np.packbits(agree, axis=1, bitorder="little")[:, 0]]
    return found


@lru_cache(maxsize=1)
def _owner_table() -> np.ndarray:
    numbers = {chosen: table for table, chosen in enumerate(_BYTES)}
    agreeing = [tuple(place for place in range(8) if mask >> place & 1) for mask in range(256)]
    return np.array([numbers.get(places[:3], -1) for places in agreeing], dtype=np.int16)


@lru_cache(maxsize=1)
def _bits() -> UInt8[np.ndarray, "65536"]:
    return np.array([number.bit_count() for number in range(1 << 16)], dtype=np.uint8)
