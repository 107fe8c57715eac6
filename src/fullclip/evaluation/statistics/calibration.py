"""How far confidence can be trusted: expected calibration error, reliability curves, and the temperature that mends them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from fullclip.core.extras import require
from fullclip.core.types import Result
from fullclip.evaluation.statistics.intervals import clopper_pearson, percentiles, resampled
from fullclip.evaluation.statistics.metrics import check_scores

NUM_BINS = 15  # Guo et al. 2017
_LOG_LIMIT = float(np.log(1000.0))  # of temperatures: answers that are all right would have the scale grow for ever


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
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def negative_log_likelihood(logits: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Of each example's own class, in nats."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(labels)), labels]
    found: np.ndarray = np.log(np.exp(shifted).sum(axis=1)) - own
    return found


def fit_temperature(logits: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> Temperature:
    """The temperature that makes the labels most likely (Guo et al. 2017, section 4.2), from examples that nothing is measured
    on. The mean negative log-likelihood is convex in 1 / temperature.
    """
    check_scores(logits)
    minimize = require("scipy.optimize", extra="eval").minimize_scalar

    def loss(log_temperature: float) -> float:
        return float(negative_log_likelihood(logits / np.exp(log_temperature), labels).mean())

    found = minimize(loss, bounds=(-_LOG_LIMIT, _LOG_LIMIT), method="bounded", options={"xatol": 1e-6})
    return Temperature(value=float(np.exp(found.x)), is_bounded=bool(abs(found.x) > _LOG_LIMIT - 1e-2))


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

    The estimate is biased upwards where bins hold few answers, and so is each resample's.
    """
    places = _bins(confidence, num_bins)
    one_hot = (places[:, None] == np.arange(num_bins)[None]).astype(np.float64)
    gaps = (confidence - right)[:, None] * one_hot

    def errors(counts: Float[np.ndarray, "draws n"]) -> Float[np.ndarray, " draws"]:
        found: np.ndarray = np.abs(counts @ gaps).sum(axis=1) / counts.sum(axis=1)
        return found

    value = float(errors(np.ones((1, len(right))))[0])
    interval = percentiles(resampled(len(right), errors))
    return Result(task=task, metric="ECE", value=value, interval=interval, n=len(right))


def _bins(confidence: Float[np.ndarray, " n"], num_bins: int) -> Int[np.ndarray, " n"]:
    """(0, 1/15], (1/15, 2/15], ...: a confidence of 0 is in the first."""
    places: np.ndarray = np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    return places
