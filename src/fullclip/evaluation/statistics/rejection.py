"""How well a score tells pictures of the classes from pictures of none of them: scores of both in, results out.

A score is higher for what is less like the classes (`zeroshot/outlier.py`).
"""

import numpy as np
from jaxtyping import Float

from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import RESAMPLES, percentiles
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
    interval.
    """
    _check(inside, outside, task)
    random = np.random.default_rng(0)
    draws = [_share_kept(random.choice(inside, len(inside)), random.choice(outside, len(outside))) for _ in range(RESAMPLES)]
    value, interval = _share_kept(inside, outside), percentiles(np.array(draws, dtype=np.float64))
    return Result(task=task, metric=metric, value=value, interval=interval, n=len(inside) + len(outside))


def threshold_keeping(inside: Float[np.ndarray, " n"], share: float) -> float:
    """The smallest score such that at least `share` of `inside` are at or below it."""
    place = int(np.ceil(share * len(inside) - 1e-9)) - 1
    return float(np.partition(inside, max(place, 0))[max(place, 0)])


def _share_kept(inside: np.ndarray, outside: np.ndarray) -> float:
    return float((outside <= threshold_keeping(inside, KEPT)).mean())


def _check(inside: np.ndarray, outside: np.ndarray, task: str) -> None:
    for what, scores in (("of the classes", inside), ("of none of them", outside)):
        if len(scores) == 0 or not np.isfinite(scores).all():
            raise ValueError(f"{task}: the scores of pictures {what} are empty or hold NaN")
