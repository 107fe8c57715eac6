"""Indexes of vectors that are drawn, and what exact search says of them."""

import json
from pathlib import Path

import numpy as np

from fullclip.search.index import Index
from fullclip.search.index.mark import write_mark
from fullclip.search.index.table import Table


def drawn(number: int, *, dim: int = 16, seed: int = 0, kinds: int = 40) -> np.ndarray:
    """Unit vectors in clusters, on a cone."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((kinds, dim))
    cone = 2 * np.random.default_rng(98).standard_normal(dim)
    vectors = cone + centres[random.integers(kinds, size=number)] + 0.5 * random.standard_normal((number, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def rows(vectors: np.ndarray, *, first: int = 0) -> list[dict[str, object]]:
    """A row for each, with the key k0, k1, ... and a width of 0 to 9."""
    none = dict.fromkeys(("caption", "height", "bytes", "date", "thumbnail"))
    return [
        {
            **none,
            "number": i,
            "key": f"k{i}",
            "path": "",
            "mark": "",
            "width": i % 10,
            "told": told(i),
            "fields": {},
            "vector": v,
        }
        for i, v in enumerate(vectors, first)
    ]


def told(number: int) -> str:
    return json.dumps({"key": f"k{number}"})


def write_index(folder: Path, vectors: np.ndarray) -> tuple[str, Table]:
    path = str(folder / "index")
    write_mark(path, model="drawn", fingerprint="drawn", dim=vectors.shape[1])
    table = Table.create(path, vectors.shape[1])
    table.write(rows(vectors), replaces=False)
    return path, table


def exact(vectors: np.ndarray, query: np.ndarray, top: int, allowed: list[int] | None = None) -> list[str]:
    """The keys of the best, by all products of the vectors as they are stored."""
    stored = vectors.astype(np.float16).astype(np.float64)
    chosen = np.arange(len(vectors)) if allowed is None else np.array(allowed)
    order = np.argsort(-(stored[chosen] @ query.astype(np.float64)), kind="stable")
    return [f"k{i}" for i in chosen[order[:top]]]


def keys(index: Index, query: np.ndarray, top: int, where: str | None = None) -> list[str]:
    return [hit.key for hit in index.search(query[None], top=top, where=where, fold=False)[0]]
