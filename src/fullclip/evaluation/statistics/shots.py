"""How many examples of each class a probe needs: the curve over numbers of shots, and where on it a zero-shot answer lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fullclip.evaluation.statistics.intervals import RESAMPLES, percentiles, resampled


@dataclass(frozen=True, kw_only=True)
class Equal:
    """The number of shots at which the curve first reaches a value; None where it does not, or begins above, as `said` tells.

    `interval`, of 95%, ends at the curve's first or last number of shots where resamples leave it.
    """

    shots: float | None
    interval: tuple[float, float] | None
    said: str


def crossing(shots: Sequence[int | float], values: Float[np.ndarray, " shots"], wanted: float) -> float:
    """Where the curve first reaches `wanted`, linear between its points in the logarithm of the shots (section 3.1.5): 0 where
    it begins there or above, infinity where it never does.
    """
    if values[0] >= wanted:
        return 0.0
    for place in range(1, len(values)):
        if values[place] >= wanted:
            share = (wanted - values[place - 1]) / (values[place] - values[place - 1])
            low, high = np.log2(shots[place - 1]), np.log2(shots[place])
            return float(2 ** (low + share * (high - low)))
    return float("inf")


def draws_of_curve(
    values: Float[np.ndarray, "shots seeds n"], weights: Float[np.ndarray, "groups n"]
) -> Float[np.ndarray, "draws shots"]:
    """The curve of 2,000 resamples: of the examples it is measured on, and of the seeds that chose the shots.

    A point of the curve is the mean over seeds of the sum over examples of `values` times a row of `weights`, which sum to 1.
    Several rows give the same point, by other examples: the two sides of a ROC curve, whose deviations add up.
    """
    num_shots, num_seeds, n = values.shape
    flat = [(values * row).reshape(num_shots * num_seeds, n).T for row in weights]
    random = np.random.default_rng(0)
    rows = list[np.ndarray]()

    def curves(counts: Float[np.ndarray, "draws n"]) -> Float[np.ndarray, " draws"]:
        points = flat[0].sum(axis=0)
        found = points + sum(
            counts @ part / (counts @ row)[:, None] - part.sum(axis=0) for part, row in zip(flat, weights, strict=True)
        )
        found = found.reshape(len(counts), num_shots, num_seeds)
        chosen = random.integers(num_seeds, size=(len(counts), 1, num_seeds))
        rows.append(np.take_along_axis(found, np.broadcast_to(chosen, found.shape), axis=2).mean(axis=2))
        return counts[:, 0]

    resampled(n, curves, draws=RESAMPLES, random=np.random.default_rng(1))
    return np.concatenate(rows)


def equal(
    shots: Sequence[int | float],
    curve: Float[np.ndarray, " shots"],
    wanted: float,
    *,
    draws: Float[np.ndarray, "draws shots"],
    wanted_draws: Float[np.ndarray, " draws"],
) -> Equal:
    """How many shots the value `wanted` equals; `draws` and `wanted_draws` are resamples of both, on the same examples."""
    found = crossing(shots, curve, wanted)
    places = [crossing(shots, row, value) for row, value in zip(draws, wanted_draws, strict=True)]
    low, high = percentiles(np.clip(places, shots[0], shots[-1]))
    if found == 0.0:
        return Equal(shots=None, interval=None, said=f"fewer than {shots[0]:g}")
    if found == float("inf"):
        return Equal(shots=None, interval=None, said=f"more than {shots[-1]:g}")
    return Equal(shots=found, interval=(low, high), said=f"{found:.1f}")
