"""How well a score tells pictures of the classes from pictures of none of them: scores of both in, results out.

A score is higher for what is less like the classes (`zeroshot/outlier.py`).
"""

import numpy as np
from jaxtyping import Float

from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import RESAMPLES, percentiles, widened
from fullclip.evaluation.statistics.metrics import rank_auc

KEPT = 0.95


def auroc(inside: Float[np.ndarray, " n"], outside: Float[np.ndarray, " m"], *, task: str, metric: str = "AUROC") -> Result:
    """The chance that a picture of none of the classes scores higher than one of the classes; a tie counts half."""
    _check(inside, outside, task)
    scores = np.concatenate([inside, outside]).astype(np.float64)
    strange = np.arange(len(scores)) >= len(inside)
    values, interval = rank_auc(scores, strange)
    return Result(task=task, metric=metric, value=float(values[strange].mean()), interval=interval, n=len(scores))


def fpr_at_95(
    inside: Float[np.ndarray, " n"], outside: Float[np.ndarray, " m"], *, task: str, metric: str = "FPR@95"
) -> Result:
    """The share of pictures of none of the classes that are kept where 95% of those of the classes are: the lower the better.

    The threshold is the smallest score that keeps at least 95% of `inside`, ties kept. Both sides are resampled for the
    interval: which of n sorted scores is the k-th of a resample, is the k-th of n uniform numbers; how many of the others are
    kept, is binomial.
    """
    _check(inside, outside, task)
    low, strange = np.sort(inside), np.sort(outside)
    n, m = len(low), len(strange)
    k = max(int(np.ceil(KEPT * len(inside) - 1e-9)), 1)
    random = np.random.default_rng(0)
    places = np.minimum((n * random.beta(k, n - k + 1, size=RESAMPLES)).astype(np.int64), n - 1)
    shares = np.searchsorted(strange, low[places], side="right") / m
    value = float(np.searchsorted(strange, low[k - 1], side="right")) / m
    interval = widened(percentiles(random.binomial(m, shares) / m), value, m)
    return Result(task=task, metric=metric, value=value, interval=interval, n=n + m)


def _check(inside: np.ndarray, outside: np.ndarray, task: str) -> None:
    for what, scores in (("of the classes", inside), ("of none of them", outside)):
        if len(scores) == 0 or not np.isfinite(scores).all():
            raise ValueError(f"{task}: there are no scores of pictures {what}, or they hold NaN")
