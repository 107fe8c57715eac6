"""Does a model do better on the test images that were in its training data? (paper, section 5)

Right or wrong and found or not, image by image, come in; accuracies with intervals, a test and a family's correction go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fullclip.core.extras import require
from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import clopper_pearson, percentiles, resampled

LEVEL = 0.995  # of the interval of the difference, as in the paper's Figure 17


@dataclass(frozen=True, kw_only=True)
class Contamination:
    """Accuracies on all images, on those that are not in the training data (clean) and on those that are (overlap).

    `gain` (all - clean) is what overlap adds to the reported number, with its 95% bootstrap interval. `difference` (overlap -
    clean) has the 99.5% Clopper-Pearson interval of the overlap's accuracy, less clean's. `p_value` is of the one-sided
    binomial test that the overlap's hits are no more than clean's accuracy gives.
    """

    all: float
    clean: float
    overlap: float
    num_clean: int
    num_overlap: int
    gain: float
    gain_interval: tuple[float, float]
    difference: float
    difference_interval: tuple[float, float]
    p_value: float


def contamination(right: Bool[np.ndarray, " n"], found: Bool[np.ndarray, " n"]) -> Contamination | None:
    """Compare the images that were `found` in the training data with the rest; None where one of the two parts is empty."""
    hits, num_overlap = int(right[found].sum()), int(found.sum())
    num_clean = len(found) - num_overlap
    if not num_overlap or not num_clean:
        return None
    clean, overlap, everything = float(right[~found].mean()), hits / num_overlap, float(right.mean())
    low, high = clopper_pearson(hits, num_overlap, level=LEVEL)
    test = require("scipy.stats", extra="eval").binomtest(hits, num_overlap, clean, alternative="greater")
    return Contamination(
        all=everything,
        clean=clean,
        overlap=overlap,
        num_clean=num_clean,
        num_overlap=num_overlap,
        gain=everything - clean,
        gain_interval=percentiles(_gains(right, found)),
        difference=overlap - clean,
        difference_interval=(low - clean, high - clean),
        p_value=float(test.pvalue),
    )


def _gains(right: Bool[np.ndarray, " n"], found: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " draws"]:
    """All less clean in resamples of the images. One without any clean image has nothing to say, and counts as 0."""
    hits, clean = right.astype(np.float64), (~found).astype(np.float64)

    def gain(counts: np.ndarray) -> np.ndarray:
        number = counts @ clean
        of_clean = counts @ (hits * clean) / np.maximum(number, 1)
        gained: np.ndarray = np.where(number > 0, counts @ hits / len(hits) - of_clean, 0.0)
        return gained

    return resampled(len(hits), gain)


def share(hits: int, n: int, *, task: str, metric: str) -> Result:
    """A share of images, with its 95% Clopper-Pearson interval."""
    return Result(task=task, metric=metric, value=hits / n, interval=clopper_pearson(hits, n), n=n)


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """p-values that hold for all of a family of tests together: each times their number, at most 1."""
    return [min(1.0, len(p_values) * p_value) for p_value in p_values]
