"""How far confidence can be trusted: expected calibration error, reliability curves, and the temperature that mends them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import RESAMPLES, clopper_pearson, percentiles, resampled
from fullclip.evaluation.statistics.metrics import ranks

NUM_BINS = 15  # Guo et al. 2017
_LIMIT = 1000.0  # of scales: answers that are all right would have the scale grow for ever
_ROWS = 1024  # of logits that are widened to float64 at once
_STEPS = 200


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The answers whose confidence is in one bin: their mean confidence, the share that is right, how many they are."""

    confidence: float
    accuracy: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """What logits are divided by so that their softmax fits best. `is_bounded`: the best is at the limit, 1/1000 or 1000."""

    value: float
    is_bounded: bool


def softmax(logits: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, "n classes"]:
    """Probabilities, float64."""
    powers: np.ndarray = np.exp(_shifted(logits))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def confidence_of(logits: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, " n"]:
    """The probability of each row's most likely class."""
    return np.concatenate([1 / np.exp(_shifted(rows)).sum(axis=1) for rows in _blocks(logits)])


def negative_log_likelihood(logits: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Of each example's own class, in nats."""
    found, start = np.empty(len(logits)), 0
    for rows in _blocks(logits):
        shifted, own = _shifted(rows), labels[start : start + len(rows), None]
        found[start : start + len(rows)] = np.log(np.exp(shifted).sum(axis=1)) - np.take_along_axis(shifted, own, axis=1)[:, 0]
        start += len(rows)
    return found


def _blocks(logits: np.ndarray) -> Iterator[np.ndarray]:
    return (logits[start : start + _ROWS] for start in range(0, len(logits), _ROWS))


def _shifted(logits: np.ndarray) -> np.ndarray:
    """Less each row's largest, float64: exp() of what is left cannot overflow."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide


def fit_temperature(logits: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> Temperature:
    """The temperature that makes the labels most likely (Guo et al. 2017, section 4.2), from examples that nothing is measured
    on. ValueError for no example, logits that are not finite, labels out of range.

    The mean negative log-likelihood is convex in 1 / temperature; Newton's steps, halving where one leaves the bracket.
    """
    ranks(logits, labels)  # for what it refuses
    low, high = 1 / _LIMIT, _LIMIT
    if _slope(logits, labels, high)[0] <= 0:
        return Temperature(value=1 / high, is_bounded=True)
    if _slope(logits, labels, low)[0] >= 0:
        return Temperature(value=1 / low, is_bounded=True)
    scale = 1.0
    for _ in range(_STEPS):
        slope, curvature = _slope(logits, labels, scale)
        low, high = (scale, high) if slope < 0 else (low, scale)
        wanted = scale - slope / curvature if curvature > 0 else np.inf
        following = wanted if low < wanted < high else np.sqrt(low * high)
        if abs(following - scale) <= 1e-9 * scale:
            break
        scale = following
    return Temperature(value=float(1 / scale), is_bounded=False)


def _slope(logits: np.ndarray, labels: np.ndarray, scale: float) -> tuple[float, float]:
    """The first and second derivative of the mean negative log-likelihood of `scale` times the logits, by the scale."""
    first = second = 0.0
    start = 0
    for rows in _blocks(logits):
        shifted = _shifted(rows)
        powers = np.exp(scale * shifted)
        total = powers.sum(axis=1)
        powers *= shifted
        mean = powers.sum(axis=1) / total
        square = np.einsum("nc,nc->n", powers, shifted) / total
        own = np.take_along_axis(shifted, labels[start : start + len(rows), None], axis=1)[:, 0]
        first += float((mean - own).sum())
        second += float((square - mean**2).sum())
        start += len(rows)
    return first / len(logits), second / len(logits)


def reliability(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], *, num_bins: int = NUM_BINS
) -> tuple[Bin, ...]:
    """The curve: bins of equal width over 0 to 1, those without an answer left out; Clopper-Pearson intervals."""
    places = _bins(confidence, num_bins)
    found = []
    for place in np.unique(places):
        inside = places == place
        hits, count = int(right[inside].sum()), int(inside.sum())
        low, high = clopper_pearson(hits, count)
        mean = float(confidence[inside].mean())
        found.append(Bin(confidence=mean, accuracy=hits / count, low=low, high=high, count=count))
    return tuple(found)


def expected_calibration_error(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], *, task: str, num_bins: int = NUM_BINS
) -> Result:
    """The mean over answers of the distance between their bin's confidence and its accuracy; bootstrap interval.

    The estimate is too high where bins hold few answers, and each resample's is too high as much again: the interval is
    reflected at the value, which takes that off, and reaches to the value. It reaches to 0 where perfectly calibrated answers
    of these confidences would often have an error as high.
    """
    errors = error_of_resamples(confidence, right, num_bins=num_bins)
    value = float(errors(np.ones((1, len(right))))[0])
    low, high = percentiles(resampled(len(right), errors))
    by_chance = percentiles(_errors_by_chance(confidence, num_bins))[1]
    lower = 0.0 if value <= by_chance else max(0.0, min(value, 2 * value - high))
    interval = (lower, min(1.0, max(value, 2 * value - low)))
    return Result(task=task, metric="ECE", value=value, interval=interval, n=len(right))


def error_of_resamples(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], *, num_bins: int = NUM_BINS
) -> Callable[[Float[np.ndarray, "draws n"]], Float[np.ndarray, " draws"]]:
    """How often each answer was drawn -> the expected calibration error."""
    kinds, places = np.unique(_bins(confidence, num_bins), return_inverse=True)
    gaps = (places[:, None] == np.arange(len(kinds))[None]) * (confidence - right)[:, None]

    def errors(counts: Float[np.ndarray, "draws n"]) -> Float[np.ndarray, " draws"]:
        found: np.ndarray = np.abs(counts @ gaps).sum(axis=1) / counts.sum(axis=1)
        return found

    return errors


def _errors_by_chance(confidence: Float[np.ndarray, " n"], num_bins: int) -> Float[np.ndarray, " draws"]:
    """What answers that are right as often as they say have, the number in each bin being normally distributed."""
    places = _bins(confidence, num_bins)
    variances = np.bincount(places, weights=confidence * (1 - confidence))
    drawn = np.random.default_rng(0).normal(size=(RESAMPLES, len(variances))) * np.sqrt(variances)
    errors: np.ndarray = np.abs(drawn).sum(axis=1) / len(confidence)
    return errors


def _bins(confidence: Float[np.ndarray, " n"], num_bins: int) -> Int[np.ndarray, " n"]:
    """(0, 1/15], (1/15, 2/15], ...: a confidence of 0 is in the first. ValueError for one that is no probability, or none."""
    if len(confidence) == 0:
        raise ValueError("there is no answer whose confidence could be looked at")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        wrong = confidence[~((confidence >= 0) & (confidence <= 1))][0]
        raise ValueError(f"a confidence of {wrong} is no probability: are the model's weights finite?")
    return np.searchsorted(np.arange(1, num_bins) / num_bins, confidence, side="left")
