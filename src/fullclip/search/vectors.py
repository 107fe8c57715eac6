"""Whatever holds real numbers -> float64: arrays, lists, tensors of any type and on any device. Knows nothing of models."""

from typing import Any

import numpy as np
import torch


def real_numbers(given: Any, what: str) -> np.ndarray:
    """ValueError, which names `what` they are ("vectors"), where they are none. What float64 cannot hold is infinite."""
    if isinstance(given, torch.Tensor):
        given = _dense(given, what)
    try:
        numbers = np.asarray(given)
    except ValueError:
        raise ValueError(f"{what} are lists of different lengths") from None
    if numbers.dtype.kind not in "fiu":
        raise ValueError(f"{what} are {numbers.dtype}: real numbers are needed")
    with np.errstate(over="ignore"):
        return numbers.astype(np.float64)


def of_usual_size(vectors: np.ndarray) -> np.ndarray:
    """The same directions, [n, dim], or the squares of very large and very small numbers would be none. Rows that have no
    direction, zeros and what is not finite, stay as they are.
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    found: np.ndarray = np.divide(vectors, largest, out=vectors.copy(), where=np.isfinite(largest) & (largest > 0))
    return found


def _dense(tensor: torch.Tensor, what: str) -> np.ndarray:
    if tensor.is_meta or tensor.is_complex():
        raise ValueError(f"{what} are a tensor {tensor.dtype} on {tensor.device}: real numbers are needed")
    dense: np.ndarray = tensor.detach().to_dense().cpu().double().numpy()  # from any type, which NumPy may not have
    return dense
