"""Recall among galleries of a fixed size, whatever the number of pairs: similarities in, results with intervals out."""

from math import comb

import numpy as np
from jaxtyping import Float

from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import mean_of_shares


def expected_recall(similarity: Float[np.ndarray, "queries candidates"], *, task: str, k: int, gallery: int) -> Result:
    """Recall@k of each query's own candidate (the diagonal) among `gallery` candidates, averaged over every choice of the
    others.

    For a query with b better candidates out of n - 1, the chance that fewer than k of them are among the gallery - 1
    others is a sum of hypergeometric terms: what averaging over endless random galleries would give. A tie counts as
    better. The interval is a bootstrap over queries. ValueError unless k <= gallery <= n.
    """
    n = len(similarity)
    if similarity.shape[1] != n or not 1 <= k <= gallery <= n:
        raise ValueError(f"recall@{k} among {gallery} needs a square of at least {gallery}, got {list(similarity.shape)}")
    own = np.diag(similarity)
    better = (similarity >= own[:, None]).sum(axis=1) - 1
    by_better = np.array([_chance_below(k, b, n - 1, gallery - 1) for b in range(n)])
    recalls = by_better[better]
    value, interval = float(recalls.mean()), mean_of_shares(recalls)
    return Result(task=task, metric=f"recall@{k} among {gallery}", value=value, interval=interval, n=n)


def _chance_below(k: int, better: int, others: int, drawn: int) -> float:
    """P(fewer than k of `better` are among `drawn` out of `others`, drawn without replacement)."""
    ways = sum(comb(better, i) * comb(others - better, drawn - i) for i in range(min(k, drawn + 1)))
    return ways / comb(others, drawn)
