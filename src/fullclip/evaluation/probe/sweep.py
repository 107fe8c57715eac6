"""How strongly a probe is to be held back: the search over penalties of appendix A.3, on a validation set."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fullclip.evaluation.probe.lbfgs import Solution, minimize
from fullclip.evaluation.probe.logistic import MAX_ITER, LogisticProbe, as_features, build_problem
from fullclip.evaluation.probe.problem import Problem

NUM_STEPS = 96  # from 1e-6 to 1e6, 8 a decade
_COARSE = 16  # steps, two decades: 1e-6, 1e-4, ..., 1e6
_TOLERANCE = 1e-4  # of the objective on the way, which leaves accuracies within 0.2 points (bench/probe.py)
_LAST_TOLERANCE = 1e-6


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
    value: Callable[[np.ndarray], float],
    device: str | None = None,
    on_both: bool = True,
) -> Fitted:
    """The probe of appendix A.3: fitted on `train` for each penalty of the sweep, judged by `value` of its scores [n, classes]
    on `validation`, fitted once more under the best one: on both, or without `on_both` on `train`.
    """
    narrow = as_features(train.features, device).float()  # float64 is for the last fit
    path = _Path(build_problem(narrow, train.targets, num_classes, device=device))
    classes, is_multilabel = np.arange(num_classes), train.targets.ndim == 2

    def value_of(penalty: float) -> float:
        probe = LogisticProbe(1 / penalty, device=device)
        probe.take(path.problem, path.solve(penalty).weights, classes, is_multilabel=is_multilabel)
        return value(probe.scores(validation.features))

    sweep = coarse_to_fine(value_of)
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


class _Path:
    """The minima of one problem under several penalties. Each is sought from where the two nearest that are known point to: the
    minimum moves nearly along a line as the logarithm of the penalty changes.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._found: dict[float, Tensor] = {}

    def start(self, penalty: float) -> Tensor:
        """The point between the nearest minima on both sides; at an end of what is known the nearest one or the point beyond
        two, whichever is lower.
        """
        known = sorted(self._found, key=lambda other: abs(np.log(other / penalty)))
        if len(known) < 2 or known[0] == penalty:
            return self._found[known[0]] if known else self.problem.zeros()
        first = known[0]
        across = [other for other in known if (other - penalty) * (first - penalty) < 0]
        second = across[0] if across else known[1]
        share = float(np.log(penalty / first) / np.log(second / first))
        near, guess = self._found[first], torch.lerp(self._found[first], self._found[second], share)
        if across:
            return guess
        return guess if self.problem.at(guess, penalty).value < self.problem.at(near, penalty).value else near

    def solve(self, penalty: float) -> Solution:
        solution = minimize(self.problem, penalty, self.start(penalty), max_iter=MAX_ITER, tolerance=_TOLERANCE)
        self._found[penalty] = solution.weights
        return solution
