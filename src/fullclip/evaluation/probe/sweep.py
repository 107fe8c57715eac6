"""How strongly a probe is to be held back: the search over penalties of appendix A.3, on a validation set."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fullclip.evaluation.probe.lbfgs import minimize
from fullclip.evaluation.probe.logistic import MAX_ITER, LogisticProbe, as_features, build_problem
from fullclip.evaluation.probe.path import Path

NUM_STEPS = 96  # from 1e-6 to 1e6, 8 a decade
_COARSE = 16  # steps, two decades: 1e-6, 1e-4, ..., 1e6
_TOLERANCE = 1e-4  # of the objective on the way, which leaves accuracies within 0.2 points (bench/probe.py)
_LAST_TOLERANCE = 1e-6  # also on the way where an evaluation costs little: few examples are quick to be on another side
_SMALL = 20_000_000  # features times classes


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What was tried, by rising penalty, with the value on the validation set, and which penalty is best."""

    points: tuple[tuple[float, float], ...]
    best: float


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Features [n, dim] with their classes, int64 [n], or the targets of a multi-label set, [n, classes]."""

    features: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A probe, fitted on train and validation under the best penalty, and how that was found."""

    probe: LogisticProbe
    sweep: Sweep
    num_iterations: int
    converged: bool


def penalty_at(step: int) -> float:
    """The penalty (lambda; scikit-learn's C is its inverse) at a step of the sweep, 0 to 96."""
    return float(10.0 ** (-6 + 12 * step / NUM_STEPS))


def coarse_to_fine(value_of: Callable[[float], float]) -> Sweep:
    """Look at 1e-6, 1e-4, ..., 1e6, then at half of the distance on both sides of the best so far, until the distance is an
    eighth of a decade. Of equal values the strongest penalty is the best. `value_of` is asked from strong to weak at first.
    """
    values: dict[int, float] = {}

    def ask(step: int) -> None:
        if 0 <= step <= NUM_STEPS and step not in values:
            values[step] = float(value_of(penalty_at(step)))

    def best() -> int:
        return max(values, key=lambda step: (values[step], step))

    for step in range(NUM_STEPS, -1, -_COARSE):
        ask(step)
    distance = _COARSE // 2
    while distance:
        middle = best()
        ask(middle + distance)
        ask(middle - distance)
        distance //= 2
    points = tuple((penalty_at(step), values[step]) for step in sorted(values))
    return Sweep(points=points, best=penalty_at(best()))


def fit_best(
    train: Examples,
    validation: Examples,
    num_classes: int,
    *,
    value: Callable[[np.ndarray], float] | None = None,
    device: str | None = None,
    on_both: bool = True,
) -> Fitted:
    """The probe of appendix A.3: fitted on `train` for each penalty of the sweep, judged by `value` of its scores [n, classes]
    on `validation` (by default accuracy), fitted once more under the best one: on both, or without `on_both` on `train`.
    """
    if value is None and train.targets.ndim == 2:
        raise ValueError("the probe of a multi-label set is chosen by a `value` of its scores, such as mean average precision")
    narrow = as_features(train.features, device).float()  # float64 is for the last fit
    tolerance = _LAST_TOLERANCE if narrow.numel() * num_classes <= _SMALL else _TOLERANCE
    path = Path(build_problem(narrow, train.targets, num_classes, device=device), tolerance=tolerance)
    classes, is_multilabel = np.arange(num_classes), train.targets.ndim == 2

    def value_of(penalty: float) -> float:
        probe = LogisticProbe(1 / penalty, device=device)
        probe.take(path.problem, path.solve(penalty).weights, classes, is_multilabel=is_multilabel)
        scores = probe.scores(validation.features)
        return float((scores.argmax(axis=1) == validation.targets).mean()) if value is None else value(scores)

    sweep = coarse_to_fine(value_of)
    problem = path.problem
    if on_both or train.features.dtype == np.float64:
        last = _joined(train, validation) if on_both else train
        problem = build_problem(as_features(last.features, device), last.targets, num_classes, device=device)
    start = problem.placed(*path.problem.plain(path.start(sweep.best)))
    solution = minimize(problem, sweep.best, start, max_iter=MAX_ITER, tolerance=_LAST_TOLERANCE)
    probe = LogisticProbe(1 / sweep.best, device=device)
    probe.take(problem, solution.weights, classes, is_multilabel=is_multilabel)
    return Fitted(probe=probe, sweep=sweep, num_iterations=solution.num_iterations, converged=solution.converged)


def _joined(train: Examples, validation: Examples) -> Examples:
    return Examples(
        features=np.concatenate([train.features, validation.features]),
        targets=np.concatenate([train.targets, validation.targets]),
    )
