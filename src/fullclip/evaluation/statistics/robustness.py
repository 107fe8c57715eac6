"""Natural distribution shifts (section 3.3): accuracies of models on a reference set and on a shift of it, in logit space.

The line through models that were trained on the reference's own kind of data says what accuracy on a shift is to be expected.
Effective robustness is what a model has above it (Taori et al. 2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fullclip.core.extras import require
from fullclip.evaluation.statistics.intervals import LEVEL, RESAMPLES, percentiles


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
        return float(_expit(self.intercept + self.slope * _logit(np.array(reference))))

    def band(self, reference: float) -> tuple[float, float]:
        """The 95% interval of `expected`, from resampled models."""
        slopes, intercepts = self.resampled.T
        return percentiles(_expit(intercepts + slopes * _logit(np.array(reference))), level=LEVEL)


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """What a model has above the line (`effective`) and above a baseline model (`relative`), each with its 95% interval."""

    model: str
    effective: float
    effective_interval: tuple[float, float]
    relative: float | None
    relative_interval: tuple[float, float] | None


def fit(models: Sequence[Accuracies]) -> Fit:
    """The line through models; 1,000 resamples of the models for its band. ValueError for fewer than three different ones."""
    xs, ys = _places(models)
    if len(np.unique(xs)) < 3:
        raise ValueError(f"a line needs models of three different accuracies on the reference; there are {len(np.unique(xs))}")
    random, lines = np.random.default_rng(0), list[tuple[float, float]]()
    while len(lines) < RESAMPLES // 2:
        chosen = random.integers(len(xs), size=len(xs))
        if len(np.unique(xs[chosen])) > 1:
            lines.append(_line(xs[chosen], ys[chosen]))
    slope, intercept = _line(xs, ys)
    return Fit(slope=slope, intercept=intercept, resampled=np.array(lines, dtype=np.float64))


def robustness(model: Accuracies, line: Fit, *, baseline: Accuracies | None = None) -> Robustness:
    """Effective robustness against `line`, relative robustness against `baseline`. Both of the model's accuracies are drawn
    anew for the intervals, and the line with them; so is the baseline's.
    """
    random = np.random.default_rng(0)
    lines = line.resampled
    on_reference, on_shift = (_drawn(random, share, n, len(lines)) for share, n in _shares(model))
    expected = _expit(lines[:, 1] + lines[:, 0] * _logit(_inside(on_reference, model.reference_n)))
    relative = interval = None
    if baseline is not None:
        theirs = _drawn(random, baseline.shift, baseline.shift_n, len(lines))
        relative, interval = model.shift - baseline.shift, percentiles(on_shift - theirs)
    return Robustness(
        model=model.model,
        effective=model.shift - line.expected(float(_inside(np.array(model.reference), model.reference_n))),
        effective_interval=percentiles(on_shift - expected),
        relative=relative,
        relative_interval=interval,
    )


def average(models: Sequence[Accuracies]) -> Accuracies:
    """One model's accuracies over several shifts, averaged, as the paper's Figure 13 shows them."""
    assert len({one.model for one in models}) == 1
    return Accuracies(
        model=models[0].model,
        reference=float(np.mean([one.reference for one in models])),
        shift=float(np.mean([one.shift for one in models])),
        reference_n=sum(one.reference_n for one in models),
        shift_n=sum(one.shift_n for one in models),
    )


def _shares(model: Accuracies) -> tuple[tuple[float, int], tuple[float, int]]:
    return (model.reference, model.reference_n), (model.shift, model.shift_n)


def _drawn(random: np.random.Generator, share: float, n: int, size: int) -> np.ndarray:
    hits = random.binomial(n, min(max(share, 0.0), 1.0), size=size)
    return hits / np.float64(n)


def _places(models: Sequence[Accuracies]) -> tuple[np.ndarray, np.ndarray]:
    """Both accuracies of each model in logits; those of 0 and 1, which have none, are moved by half an example."""
    xs = [float(_logit(_inside(np.array(one.reference), one.reference_n))) for one in models]
    ys = [float(_logit(_inside(np.array(one.shift), one.shift_n))) for one in models]
    return np.array(xs), np.array(ys)


def _inside(share: np.ndarray, n: int) -> np.ndarray:
    moved: np.ndarray = np.clip(share, 0.5 / n, 1 - 0.5 / n)
    return moved


def _logit(share: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.log(share) - np.log1p(-share)
    return found


def _expit(value: np.ndarray) -> np.ndarray:
    found: np.ndarray = require("scipy.special", extra="eval").expit(value)
    return found


def _line(xs: np.ndarray, ys: np.ndarray) -> tuple[float, float]:
    slope = float(((xs - xs.mean()) * (ys - ys.mean())).sum() / ((xs - xs.mean()) ** 2).sum())
    return slope, float(ys.mean() - slope * xs.mean())
