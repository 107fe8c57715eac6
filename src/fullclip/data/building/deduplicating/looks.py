"""A partition's rows -> what tells copies: a digest of the bytes; of pictures a descriptor, a hash of 64 bits, mean levels.

The hash holds the signs of the descriptor's 64 coarsest cosines. Recompressing or resizing a photograph changes 5 of them at
most in 99 of 100, other light up to 12; two different photographs differ in about half.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt64

from fullclip.core.extras import require
from fullclip.data.building.rows import PARTS, SEPARATOR, Work, read_table
from fullclip.data.building.stage import Done
from fullclip.data.drops import Drops
from fullclip.data.tables import columns_of, ending, read_rows
from fullclip.preprocess.alignment import is_flat
from fullclip.preprocess.descriptor import LENGTH, SIDE, cosines, describe, grey

VERSION = 2
NO_PICTURE, LIVELY, FLAT, UNREADABLE = range(4)
WHOLE = (0.0, 1.0)
DIGEST_BYTES = 16

_COLUMNS = ("key", "url", "text", "image")
_NUMBER = 10  # cosines a side, among which the 64 coarsest are
_BLOCK = 4096


def look_at_part(work: Work) -> Done:
    """A row for each row of the partition: key, digest, pixels, num_bytes, length (of the text), kind, and of a picture the
    descriptor, its digest (`look`), hash and levels.
    """
    drops, rows = Drops(), list[dict[str, Any]]()
    for row in _rows(work, drops):
        rows.append(_looked_at(row))
    described = [place for place, row in enumerate(rows) if row["descriptor"] is not None]
    descriptors = np.frombuffer(b"".join(rows[place]["descriptor"] for place in described), np.uint8).reshape(-1, LENGTH)
    flat, hashes, means = is_flat(descriptors), hashes_of(descriptors), levels_of(descriptors)
    for at, place in enumerate(described):
        rows[place] |= {"kind": FLAT if flat[at] else LIVELY, "hash": int(hashes[at]), "levels": means[at].tobytes()}
    counts = {"pictures": len(described), "flat_pictures": int(flat.sum())}
    return Done(table=_table(rows), num_in=len(rows), drops=drops, counts=counts)


def hashes_of(
    descriptors: UInt8[np.ndarray, "n 1056"], across: tuple[float, float] = WHOLE, down: tuple[float, float] = WHOLE
) -> UInt64[np.ndarray, " n"]:
    """The hashes of pictures, or of the part of each that lies `across` and `down` (0 to 1)."""
    rows, columns = _coarsest()
    found = np.empty(len(descriptors), dtype=np.uint64)
    for at in range(0, len(descriptors), _BLOCK):
        pictures = grey(descriptors[at : at + _BLOCK])
        coefficients = (cosines(*down, _NUMBER) @ pictures @ cosines(*across, _NUMBER).T)[:, rows, columns]
        # each byte holds some coarse and some fine ones: cosine i is a bit of byte i % 8
        bits = (coefficients > 0).reshape(-1, 8, 8).swapaxes(1, 2)
        found[at : at + _BLOCK] = np.packbits(bits, axis=-1).reshape(-1, 8).copy().view("<u8")[:, 0]
    return found


def levels_of(descriptors: UInt8[np.ndarray, "n 1056"]) -> UInt8[np.ndarray, "n 3"]:
    """Mean grey and mean colour differences."""
    parts = np.split(descriptors, [SIDE * SIDE, SIDE * SIDE + (LENGTH - SIDE * SIDE) // 2], axis=1)
    return np.stack([np.rint(part.mean(axis=1)) for part in parts], axis=1).astype(np.uint8)


def look_digest(descriptor: bytes) -> bytes:
    """What is equal where descriptors are."""
    return hashlib.blake2b(descriptor, digest_size=DIGEST_BYTES).digest()


@lru_cache(maxsize=1)
def _coarsest() -> tuple[np.ndarray, np.ndarray]:
    places = [(i * i + j * j, i, j) for i in range(_NUMBER) for j in range(_NUMBER) if i + j]
    chosen = np.array(sorted(places)[:64])
    return chosen[:, 1], chosen[:, 2]


def _rows(work: Work, drops: Drops) -> Iterator[dict[str, Any]]:
    """A stage's part comes some rows at a time, since pictures are large."""
    if ending(work.path) == ".parquet" and work.path.rpartition("/")[0].endswith(f"/{PARTS}"):
        names = columns_of(work.path)
        if names and "key" not in names:
            raise ValueError(f"{work.path}: no column key among {list(names)}; give the folder of a stage of `fullclip data`")
        yield from (row for _, row in read_rows(work.path, drops, columns=[name for name in _COLUMNS if name in names]))
        return
    table = read_table(work, drops)
    yield from table.select([name for name in _COLUMNS if name in table.column_names]).to_pylist()


def _looked_at(row: dict[str, Any]) -> dict[str, Any]:
    from fullclip.preprocess.image import ImageError, decode_image

    text, image = row.get("text"), row.get("image")
    text = text if isinstance(text, str) else SEPARATOR.join(one for one in text or () if isinstance(one, str))
    key = str(row["key"])
    found: dict[str, Any] = {"key": key, "length": len(text), "pixels": 0, "num_bytes": 0, "kind": NO_PICTURE}
    nothing = {"descriptor": None, "look": None, "hash": 0, "levels": bytes(3)}
    if not isinstance(image, bytes):
        told = f"{row.get('url')}\0{text}".encode("utf-8", "surrogatepass")
        return found | nothing | {"digest": _digest(b"text", told)}
    found |= {"digest": _digest(b"picture", image), "num_bytes": len(image)}
    try:
        picture = decode_image(image, name=key)
        descriptor = describe(picture).tobytes()
    except ImageError:
        return found | nothing | {"kind": UNREADABLE}
    pixels = picture.width * picture.height
    return found | nothing | {"pixels": pixels, "descriptor": descriptor, "look": look_digest(descriptor)}


def _digest(kind: bytes, data: bytes) -> bytes:
    found = hashlib.sha256(kind + b"\0")
    found.update(data)
    return found.digest()[:DIGEST_BYTES]


def _table(rows: list[dict[str, Any]]) -> Any:
    arrow = require("pyarrow", extra="data")
    kinds = {
        "key": arrow.string(),
        "digest": arrow.binary(DIGEST_BYTES),
        "look": arrow.binary(DIGEST_BYTES),
        "pixels": arrow.int64(),
        "num_bytes": arrow.int64(),
        "length": arrow.int32(),
        "kind": arrow.uint8(),
        "hash": arrow.uint64(),
        "levels": arrow.binary(3),
        "descriptor": arrow.binary(LENGTH),
    }
    return arrow.table({name: arrow.array([row[name] for row in rows], kind) for name, kind in kinds.items()})
