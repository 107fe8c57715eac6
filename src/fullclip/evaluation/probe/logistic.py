"""Logistic regression in scikit-learn's words and with its objective, for features of any number of examples."""

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fullclip.evaluation.probe.lbfgs import Solution, minimize
from fullclip.evaluation.probe.problem import Problem, SigmoidProblem, SoftmaxProblem

MAX_ITER = 1000  # appendix A.3
TOLERANCE = 1e-7
_ROWS = 8192
_SHARE_OF_A_GPU = 0.4  # of its free memory, that features may take


class LogisticProbe:
    """Minimises |coef_|^2 / 2 + C sum of cross entropies, the intercept not penalised, by L-BFGS.

    C: the inverse of the penalty, larger than 0. max_iter: of L-BFGS. tolerance: how far the objective may stay above its
    minimum, as a share of it. device: "cuda"; by default where the features are. Features of float64 are computed with in
    float64, all others in float32.

    After `fit`, as scikit-learn has it: `classes_` [classes], `coef_` [classes, dim] and `intercept_` [classes] (one row where
    there are two classes; float64), `n_iter_`; and `objective_`, `converged_`.
    """

    classes_: np.ndarray
    coef_: Float[np.ndarray, "rows dim"]
    intercept_: Float[np.ndarray, " rows"]

    def __init__(
        self,
        C: float | int = 1.0,  # noqa: N803
        max_iter: int = MAX_ITER,
        *,
        tolerance: float = TOLERANCE,
        device: str | None = None,
    ) -> None:
        if not C > 0 or not np.isfinite(C):
            raise ValueError(f"C = {C}: the inverse of the penalty, larger than 0, such as 0.316")
        if max_iter < 1:
            raise ValueError(f"max_iter = {max_iter}: at least 1")
        self.C, self.max_iter, self.tolerance, self.device = float(C), max_iter, tolerance, device
        self.is_multilabel = False

    def fit(self, X: Any, y: Any) -> "LogisticProbe":  # noqa: N803
        """X: features [n, dim], an array or a tensor. y: the class of each, numbers or strings [n]; or, for a multi-label set,
        integers [n, classes]: 1 shown, 0 not shown, -1 not judged, each class then a regression of its own.

        ValueError for fewer than two classes, features that are not finite, another number of labels.
        """
        classes, problem, is_multilabel = labelled(as_features(X, self.device), y, device=self.device)
        solution = minimize(problem, 1 / self.C, problem.zeros(), max_iter=self.max_iter, tolerance=self.tolerance)
        return self.become(problem, solution, classes, is_multilabel=is_multilabel)

    def become(self, problem: Problem, solution: Solution, classes: np.ndarray, *, is_multilabel: bool) -> "LogisticProbe":
        """Have what was found for `problem`."""
        self.take(problem, solution.weights, classes, is_multilabel=is_multilabel)
        self.n_iter_ = np.array([solution.num_iterations])
        self.converged_ = solution.converged
        self.objective_ = solution.value * problem.num * self.C
        return self

    def take(self, problem: Problem, weights: Tensor, classes: np.ndarray, *, is_multilabel: bool = False) -> "LogisticProbe":
        """Have the weights that were found for `problem`."""
        slopes, bias = problem.plain(weights)
        return self.set(slopes.T.cpu().numpy().copy(), bias.cpu().numpy(), classes, is_multilabel=is_multilabel)

    def set(
        self, coef: np.ndarray, intercept: np.ndarray, classes: np.ndarray, *, is_multilabel: bool = False
    ) -> "LogisticProbe":
        """Be the probe of these weights, as `fit` would leave them."""
        self.coef_, self.intercept_, self.classes_, self.is_multilabel = coef, intercept, classes, is_multilabel
        return self

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Logits, float64 [n, classes], or of two classes those of the second, [n]."""
        features = as_features(X, self.device)
        if features.shape[1] != self.coef_.shape[1]:
            raise ValueError(f"features have {features.shape[1]} columns; the probe was fitted on {self.coef_.shape[1]}")
        device = device_of(features, self.device)
        slopes, bias = (torch.from_numpy(part).to(device) for part in (self.coef_.T.copy(), self.intercept_))
        logits = torch.cat([(part.to(device).double() @ slopes + bias).cpu() for part in torch.split(features, _ROWS)]).numpy()
        return logits[:, 0] if self._is_binary else logits

    def scores(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """Logits with a column for each class, of two classes, too."""
        logits = self.decision_function(X)
        return np.stack([-logits, logits], axis=1) / 2 if self._is_binary else logits

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """The softmax of the scores; for a multi-label set the sigmoid of each."""
        scores = torch.from_numpy(self.scores(X))
        shares: np.ndarray = (scores.sigmoid() if self.is_multilabel else scores.softmax(1)).numpy()
        return shares

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The most probable class of each [n]; for a multi-label set 1 or 0 for each class [n, classes]."""
        scores = self.scores(X)
        return (scores > 0).astype(np.int8) if self.is_multilabel else self.classes_[scores.argmax(axis=1)]

    @property
    def _is_binary(self) -> bool:
        return not self.is_multilabel and len(self.classes_) == 2


def labelled(features: Tensor, y: Any, *, device: str | None = None) -> tuple[np.ndarray, Problem, bool]:
    """(the classes, the problem, whether it is multi-label) of features and labels as `LogisticProbe.fit` takes them."""
    labels = np.ascontiguousarray(_array(y))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if len(labels) != len(features):
        raise ValueError(f"{len(labels)} labels for {len(features)} rows of features")
    if labels.ndim == 2:
        return np.arange(labels.shape[1]), build_problem(features, labels, labels.shape[1], device=device), True
    classes, targets = np.unique(labels, return_inverse=True)
    return classes, build_problem(features, targets, len(classes), device=device), False


def build_problem(features: Tensor, targets: Any, num_classes: int, *, device: str | None = None) -> Problem:
    """The problem of features [n, dim] with the number of each one's class [n] (a class may be without examples), or of a
    multi-label set [n, classes]. Two classes are one regression, as scikit-learn has it. ValueError for fewer than two classes,
    and for labels out of range.
    """
    chosen, found = device_of(features, device), torch.as_tensor(np.asarray(targets))
    if found.ndim == 2:
        if not bool(((found >= -1) & (found <= 1)).all()):
            raise ValueError("the labels of a multi-label set are 1, 0 or -1 (not judged) for each class")
        return SigmoidProblem(features, found.to(torch.int8), device=chosen)
    if num_classes < 2:
        raise ValueError(f"{num_classes} class in the labels; a probe tells at least two apart")
    if int(found.min()) < 0 or int(found.max()) >= num_classes:
        raise ValueError(f"labels from {int(found.min())} to {int(found.max())}, but there are {num_classes} classes, from 0")
    if num_classes == 2:
        return SigmoidProblem(features, found.to(torch.int8)[:, None], device=chosen)
    return SoftmaxProblem(features, found.long(), num_classes, device=chosen)


def as_features(features: Any, device: str | None = None) -> Float[Tensor, "n dim"]:
    """A tensor [n, dim] of an array or a tensor, on the device where it fits; ValueError for another shape, for no row, and for
    what is not finite.
    """
    found = features if isinstance(features, Tensor) else _as_tensor(np.asarray(features))
    if found.ndim != 2 or 0 in found.shape:
        raise ValueError(f"features are {list(found.shape)}; rows of features, [n, dim], are needed")
    if not found.is_floating_point():
        found = found.double()
    for start in range(0, len(found), _ROWS):
        finite = found[start : start + _ROWS].isfinite().all(1)
        if not bool(finite.all()):
            raise ValueError(f"row {start + int((~finite).nonzero()[0])} of the features holds NaN or infinity")
    chosen = device_of(found, device)
    if chosen.type == "cuda" and found.device != chosen:
        free, _ = torch.cuda.mem_get_info(chosen)
        return found.to(chosen) if found.numel() * found.element_size() < _SHARE_OF_A_GPU * free else found
    return found


def device_of(features: Tensor, device: str | None) -> torch.device:
    """Where to compute: on `device`, or where the features are."""
    return features.device if device is None else torch.device(device)


def _array(labels: Any) -> np.ndarray:
    return labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)


def _as_tensor(array: np.ndarray) -> Tensor:
    """The same memory: nothing here writes into features, which may be a file that is mapped for reading."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
