"""Vectors -> cells of neighbours, by k-means, and which cells a query has to look into. Knows nothing of rows or files.

What a cell can hold for a query is judged by its mean and by how far its vectors scatter in the query's direction. Texts lie on
another cone of the sphere than images (Liang et al. 2022), where all cells' means are about as far: of them the scatter says
more, and a choice by means alone loses a tenth of the neighbours (bench/search.py).
"""

import math
from collections.abc import Iterator

import numpy as np
import torch

from fullclip.search.index.codes import encode, encode_queries, products

_PER_CELL = 32
_ROUNDS = 6
_AT_ONCE = 8192
_DEVIATIONS = 3.0


class Cells:
    """means and variances: float32 [cells, dim]. Kept in bytes, as the vectors are: which cells come first needs no more."""

    def __init__(self, means: np.ndarray, variances: np.ndarray) -> None:
        self._means, self._variances = _Coded(means), _Coded(variances)

    def promise(self, queries: np.ndarray) -> np.ndarray:
        """[m, dim] -> [m, cells]: the score that the best of each cell's vectors may have."""
        scatter = np.sqrt(np.maximum(self._variances.times(queries * queries), 0))
        return self._means.times(queries) + _DEVIATIONS * scatter  # type: ignore[no-any-return]


class _Coded:
    def __init__(self, rows: np.ndarray) -> None:
        codes, self._scales = encode(rows)
        self._codes = torch.from_numpy(codes)

    def times(self, queries: np.ndarray) -> np.ndarray:
        """[m, dim] -> about queries @ rows.T, [m, rows]."""
        columns, scales = encode_queries(queries)
        return (products(self._codes, columns) * self._scales[:, None]).T * scales[:, None]  # type: ignore[no-any-return]


def num_cells(num_vectors: int) -> int:
    return max(1, round(3 * math.sqrt(num_vectors)))


def sample_size(num_vectors: int) -> int:
    """How many of the vectors means are learned from."""
    return min(num_vectors, _PER_CELL * num_cells(num_vectors))


def learn_means(sample: np.ndarray, number: int) -> torch.Tensor:
    """float32 [n, dim] -> [number, dim], the means of k-means; the same for the same sample."""
    vectors = torch.from_numpy(sample)
    means = vectors[torch.randperm(len(sample), generator=torch.Generator().manual_seed(0))[:number]].clone()
    for _ in range(_ROUNDS):
        own = nearest_mean(vectors, means)
        sums = torch.zeros_like(means).index_add_(0, own, vectors)
        counts = torch.bincount(own, minlength=len(means))[:, None]
        means = torch.where(counts > 0, sums / counts.clamp(min=1), means)
    return means


def nearest_mean(vectors: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """[n, dim] -> int64 [n], the cell of each."""
    half = 0.5 * (means * means).sum(dim=1)
    return torch.cat([torch.zeros(0, dtype=torch.int64), *((part @ means.T - half).argmax(dim=1) for part in _parts(vectors))])


def _parts(vectors: torch.Tensor) -> Iterator[torch.Tensor]:
    for start in range(0, len(vectors), _AT_ONCE):
        yield vectors[start : start + _AT_ONCE]


class Scatter:
    """Means and variances of cells, of vectors as they come."""

    def __init__(self, number: int, dim: int) -> None:
        self._counts = torch.zeros(number, 1)
        self._sums, self._squares = torch.zeros(number, dim), torch.zeros(number, dim)

    def add(self, vectors: torch.Tensor, own: torch.Tensor) -> None:
        self._sums.index_add_(0, own, vectors)
        self._squares.index_add_(0, own, vectors * vectors)
        self._counts.index_add_(0, own, torch.ones(len(own), 1))

    @property
    def sizes(self) -> np.ndarray:
        return self._counts[:, 0].numpy().astype(np.int64)

    def means_and_variances(self) -> tuple[np.ndarray, np.ndarray]:
        counts = self._counts.clamp(min=1)
        means = self._sums / counts
        return means.numpy(), (self._squares / counts - means * means).clamp(min=0).numpy()
