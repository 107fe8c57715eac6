"""Probes of one training set under many penalties: what is shared is computed once, and each fit begins where others ended."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fullclip.evaluation.probe.lbfgs import Solution, minimize
from fullclip.evaluation.probe.logistic import MAX_ITER, TOLERANCE, LogisticProbe, as_features, labelled
from fullclip.evaluation.probe.problem import Problem


def fit_path(
    X: Any,  # noqa: N803
    y: Any,
    Cs: Sequence[float],  # noqa: N803
    *,
    max_iter: int = MAX_ITER,
    tolerance: float = TOLERANCE,
    device: str | None = None,
) -> Iterator[LogisticProbe]:
    """A `LogisticProbe` for each of `Cs`, in their order, as `fit` would leave it. From small to large C it is fastest.

    X, y, max_iter, tolerance, device and errors: as of `LogisticProbe`.
    """
    probes = [LogisticProbe(C, max_iter, tolerance=tolerance, device=device) for C in Cs]
    classes, problem, is_multilabel = labelled(as_features(X, device), y, device=device)
    path = Path(problem, tolerance=tolerance, max_iter=max_iter)
    for probe in probes:
        yield probe.become(problem, path.solve(1 / probe.C), classes, is_multilabel=is_multilabel)


class Path:
    """The minima of one problem under several penalties. Each is sought from where the two nearest that are known point to: the
    minimum moves nearly along a line as the logarithm of the penalty changes.
    """

    def __init__(self, problem: Problem, *, tolerance: float, max_iter: int = MAX_ITER) -> None:
        self.problem, self._tolerance, self._max_iter = problem, tolerance, max_iter
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
        solution = minimize(self.problem, penalty, self.start(penalty), max_iter=self._max_iter, tolerance=self._tolerance)
        self._found[penalty] = solution.weights
        return solution
