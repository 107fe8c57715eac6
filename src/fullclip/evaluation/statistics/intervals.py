"""95% intervals: exact for shares of examples, by the bootstrap for means; the same input gives the same interval.

Resampling sees no doubt where everything went right or wrong; there the exact interval of a share stands in for it.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from fullclip.core.extras import require

LEVEL = 0.95
RESAMPLES = 2000
_CELLS = 10_000_000  # of one block of resamples: 80 MB of counts
_FEW_LEVELS = 64  # of values: so many, and it is drawn how often each occurs, not example by example


def clopper_pearson(hits: int, n: int, *, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval of a share, `hits` of `n` (Clopper and Pearson 1934): at least `level` of such hold the truth.

    ValueError unless 0 <= hits <= n and n > 0.
    """
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} of {n} is no share")
    found = require("scipy.stats", extra="eval").binomtest(int(hits), int(n)).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def percentiles(draws: Float[np.ndarray, " draws"], *, level: float = LEVEL) -> tuple[float, float]:
    """The middle `level` of what resampling gave."""
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def bootstrap_mean(values: Float[np.ndarray, " n"], *, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a mean over examples. ValueError where there is none."""
    return percentiles(means_of_resamples(values, np.random.default_rng(0)), level=level)


def mean_of_shares(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """The interval of a mean of values from 0 to 1."""
    return widened(bootstrap_mean(values), float(values.mean()), len(values))


def widened(interval: tuple[float, float], value: float, n: int) -> tuple[float, float]:
    """The interval of something between 0 and 1 that was measured on `n` independent cases; the exact one of n out of n, or of
    none, where the value is at that end.
    """
    if 0 < value < 1:
        return interval
    return clopper_pearson(n if value >= 1 else 0, n)


def means_of_resamples(
    values: Float[np.ndarray, " n"], random: np.random.Generator, *, draws: int = RESAMPLES
) -> Float[np.ndarray, " draws"]:
    """The mean of each resample of `values`."""
    if len(values) == 0:
        raise ValueError("there is no example to measure")
    levels, numbers = np.unique(values, return_counts=True)
    if len(levels) > _FEW_LEVELS:
        return resampled(len(values), lambda counts: counts @ values / len(values), draws=draws, random=random)
    counts = random.multinomial(len(values), numbers / len(values), size=draws)
    means: np.ndarray = counts @ levels / len(values)
    return means


def resampled(
    n: int,
    statistic: Callable[[Float[np.ndarray, "draws n"]], Float[np.ndarray, " draws"]],
    *,
    draws: int = RESAMPLES,
    random: np.random.Generator | None = None,
) -> Float[np.ndarray, " draws"]:
    """`statistic` of 2,000 resamples of n examples: it is given, in blocks, how often each example was drawn, float64."""
    random = random or np.random.default_rng(0)
    block = max(1, min(draws, _CELLS // max(n, 1)))
    parts = []
    for start in range(0, draws, block):
        counts = np.empty((min(block, draws - start), n))
        for row in counts:
            row[:] = np.bincount(random.integers(n, size=n), minlength=n)
        parts.append(np.asarray(statistic(counts), dtype=np.float64))
    return np.concatenate(parts)


def by_class(
    hits: Int[np.ndarray, " classes"], numbers: Int[np.ndarray, " classes"], *, level: float = LEVEL
) -> tuple[float, float]:
    """The interval of a mean of classes' shares, `hits` of `numbers` > 0: each class's examples resampled among themselves.

    A resample of few varies too little, by (n - 1) / n, which is made up for; one example alone has no variation to resample,
    and is taken to vary as the average class does.
    """
    shares, random = hits / numbers, np.random.default_rng(0)
    alone = numbers == 1
    centres = np.where(alone, shares.mean(), shares)
    drawn = random.binomial(numbers, centres, size=(RESAMPLES, len(numbers))) / numbers
    spread = np.sqrt(numbers / np.maximum(numbers - 1, 1))
    means = shares.mean() + ((drawn - centres) * spread).mean(axis=1)
    low, high = percentiles(means, level=level)
    return widened((max(low, 0.0), min(high, 1.0)), float(shares.mean()), int(numbers.sum()))
