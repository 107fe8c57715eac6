"""95% intervals: exact for shares of examples, by the bootstrap for everything else. The same input gives the same interval."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from fullclip.core.extras import require

LEVEL = 0.95
RESAMPLES = 2000
_CELLS = 10_000_000  # of one block of resamples: 160 MB of counts


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
    """The interval of a mean over examples."""
    return percentiles(resampled(len(values), lambda counts: counts @ values / len(values)), level=level)


def resampled(
    n: int, statistic: Callable[[Float[np.ndarray, "draws n"]], Float[np.ndarray, " draws"]], *, draws: int = RESAMPLES
) -> Float[np.ndarray, " draws"]:
    """`statistic` of 2,000 resamples of n examples: it is given, in blocks, how often each example was drawn, float64."""
    random = np.random.default_rng(0)
    block = max(1, min(draws, _CELLS // max(n, 1)))
    parts = []
    for start in range(0, draws, block):
        counts = [np.bincount(random.integers(n, size=n), minlength=n) for _ in range(min(block, draws - start))]
        parts.append(np.asarray(statistic(np.stack(counts).astype(np.float64)), dtype=np.float64))
    return np.concatenate(parts)


def by_class(
    hits: Int[np.ndarray, " classes"], numbers: Int[np.ndarray, " classes"], *, level: float = LEVEL
) -> tuple[float, float]:
    """The interval of a mean of classes' shares, `hits` of `numbers`: each class's examples resampled among themselves."""
    shares = hits / numbers
    drawn = np.random.default_rng(0).binomial(numbers, shares, size=(RESAMPLES, len(numbers))) / numbers
    return percentiles(drawn.mean(axis=1), level=level)
