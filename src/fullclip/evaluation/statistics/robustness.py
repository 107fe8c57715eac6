"""Natural distribution shifts (section 3.3): accuracies of models on a reference set and on a shift of it, in logit space.

The line through models that were trained on the reference's own kind of data says what accuracy on a shift is to be expected.
Effective robustness is what a model has above it (Taori et al. 2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fullclip.core.extras import require
from fullclip.evaluation.statistics.intervals import LEVEL, percentiles

_RESAMPLES = 1000  # of models


@dataclass(frozen=True, kw_only=True)
class Accuracies:
    """A model's accuracy on the reference's classes that the shift has, and on the shift, with the numbers of examples."""

    model: str
    reference: float
    shift: float
    reference_n: int
    shift_n: int


@dataclass(frozen=True, kw_only=True)
class Fit:
    """logit(shift) = intercept + slope * logit(reference), by least squares over models; and the same of resampled models."""

    slope: float
    intercept: float
    resampled: Float[np.ndarray, "draws 2"]

    def expected(self, reference: float) -> float:
        """The accuracy on the shift that the line says goes with one on the reference."""
        return float(_expit(self.intercept + self.slope * _logits([reference]))[0])

    def band(self, reference: float) -> tuple[float, float]:
        """The 95% interval of `expected`, from resampled models."""
        slopes, intercepts = self.resampled.T
        return percentiles(_expit(intercepts + slopes * _logits([reference])), level=LEVEL)


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """What a model has above the line (`effective`) and above a baseline model (`relative`), each with its 95% interval."""

    model: str
    effective: float
    effective_interval: tuple[float, float]
    relative: float | None
    relative_interval: tuple[float, float] | None


def fit(models: Sequence[Accuracies]) -> Fit:
    """The line through models; 1,000 resamples of the models for its band.

    ValueError for models of fewer than three different accuracies on the reference, and for one that is no share.
    """
    xs, ys = _places(models)
    if len(np.unique(xs)) < 3:
        raise ValueError(f"a line needs models of three different accuracies on the reference; there are {len(np.unique(xs))}")
    random, lines = np.random.default_rng(0), np.empty((0, 2))
    while len(lines) < _RESAMPLES:
        chosen = random.integers(len(xs), size=(_RESAMPLES, len(xs)))
        several = np.ptp(xs[chosen], axis=1) > 0  # the others have no slope
        lines = np.concatenate([lines, _lines(xs[chosen[several]], ys[chosen[several]])])
    slope, intercept = _lines(xs[None], ys[None])[0].tolist()
    return Fit(slope=slope, intercept=intercept, resampled=lines[:_RESAMPLES])


def robustness(model: Accuracies, line: Fit, *, baseline: Accuracies | None = None) -> Robustness:
    """Effective robustness against `line`, relative robustness against `baseline`. Both of the model's accuracies are drawn
    anew for the intervals, and the line with them; so is the baseline's.
    """
    random = np.random.default_rng(0)
    lines = line.resampled
    on_reference, on_shift = (_drawn(random, share, n, len(lines)) for share, n in _shares(model))
    expected = _expit(lines[:, 1] + lines[:, 0] * _logits(on_reference, model.reference_n))
    relative = interval = None
    if baseline is not None:
        theirs = _drawn(random, baseline.shift, baseline.shift_n, len(lines))
        relative, interval = model.shift - baseline.shift, percentiles(on_shift - theirs)
    return Robustness(
        model=model.model,
        effective=model.shift - line.expected(float(_inside([model.reference], model.reference_n)[0])),
        effective_interval=percentiles(on_shift - expected),
        relative=relative,
        relative_interval=interval,
    )


def average(models: Sequence[Accuracies]) -> Accuracies:
    """One model's accuracies over several shifts, averaged, as the paper's Figure 13 shows them. ValueError for several models
    or no shift.

    The numbers of examples are those of which one share would vary as much as the average does: the shifts are independent of
    each other, while their subsets of the reference are taken to hold the same images.
    """
    if len({one.model for one in models}) != 1:
        raise ValueError(f"an average is over the shifts of one model, not of {sorted({one.model for one in models})}")
    references, shifts = [one.reference for one in models], [one.shift for one in models]
    numbers = np.array([(one.reference_n, one.shift_n) for one in models])
    deviations = np.sqrt(_variances(references, numbers[:, 0])), np.sqrt(_variances(shifts, numbers[:, 1]))
    reference, shift = float(np.mean(references)), float(np.mean(shifts))
    return Accuracies(
        model=models[0].model,
        reference=reference,
        shift=shift,
        reference_n=_number(reference, float(deviations[0].mean()), int(numbers[:, 0].sum())),
        shift_n=_number(shift, float(np.linalg.norm(deviations[1])) / len(models), int(numbers[:, 1].sum())),
    )


def _number(share: float, deviation: float, most: int) -> int:
    """Of how many examples a share varies so; never more than there are."""
    of_one = float(_variances([share], most)[0]) * most
    return min(max(round(of_one / deviation**2), 1), most)


def _shares(model: Accuracies) -> tuple[tuple[float, int], tuple[float, int]]:
    return (model.reference, model.reference_n), (model.shift, model.shift_n)


def _drawn(random: np.random.Generator, share: float, n: int, size: int) -> np.ndarray:
    hits = random.binomial(n, _inside([share], n), size=size)  # an accuracy of 1 is not known to be 1
    return hits / np.float64(n)


def _places(models: Sequence[Accuracies]) -> tuple[np.ndarray, np.ndarray]:
    """Both accuracies of each model in logits."""
    for one in models:
        if not (0 <= one.reference <= 1 and 0 <= one.shift <= 1):
            raise ValueError(f"{one.model}: accuracies of {one.reference} and {one.shift}; write shares from 0 to 1")
    xs = _logits([one.reference for one in models], np.array([one.reference_n for one in models]))
    return xs, _logits([one.shift for one in models], np.array([one.shift_n for one in models]))


def _inside(shares: np.ndarray | Sequence[float], n: int | np.ndarray) -> np.ndarray:
    """Shares of 0 and 1, which have no logit, are moved by half an example."""
    moved: np.ndarray = np.clip(np.asarray(shares, dtype=np.float64), 0.5 / n, 1 - 0.5 / n)
    return moved


def _variances(shares: np.ndarray | Sequence[float], n: int | np.ndarray) -> np.ndarray:
    inside = _inside(shares, n)
    found: np.ndarray = inside * (1 - inside) / n
    return found


def _logits(shares: np.ndarray | Sequence[float], n: int | np.ndarray = 10**9) -> np.ndarray:
    inside = _inside(shares, n)
    found: np.ndarray = np.log(inside) - np.log1p(-inside)
    return found


def _expit(value: np.ndarray) -> np.ndarray:
    found: np.ndarray = require("scipy.special", extra="eval").expit(value)
    return found


def _lines(xs: Float[np.ndarray, "lines n"], ys: Float[np.ndarray, "lines n"]) -> Float[np.ndarray, "lines 2"]:
    """The slope and intercept of each row, by least squares."""
    x, y = xs.mean(axis=1, keepdims=True), ys.mean(axis=1, keepdims=True)
    slopes = ((xs - x) * (ys - y)).sum(axis=1) / ((xs - x) ** 2).sum(axis=1)
    return np.stack([slopes, y[:, 0] - slopes * x[:, 0]], axis=1)
