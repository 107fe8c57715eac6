"""What logistic regression minimises, with its gradient: features and labels in chunks, so that memory does not grow with them.

Weights, gradients and sums are float64; products with the features and what follows from them have the features' own type.
Small differences are never taken of large numbers, so that float32 is as good for a loss of 1e-6 as for one of 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_CELLS = 1 << 19  # of one chunk of logits, so that it stays in a processor's cache
_CELLS_OF_A_GPU = 1 << 26
_SMALLEST_CURVATURE = 0.1  # of the mean over classes: one whose examples are all certain has none


@dataclass(frozen=True, kw_only=True)
class Point:
    """The mean loss with its penalty at some weights, its gradient [dim + 1, classes], whose last row is the bias's, and, where
    it was asked for, how curved the loss is for each class: the mean of p (1 - p).
    """

    value: float
    gradient: Float[Tensor, "dim_and_bias classes"]
    curvature: Float[Tensor, " classes"] | None


class Problem(ABC):
    """(1 / n) sum of losses + (penalty / 2n) |slopes|^2; the bias is not penalised (scikit-learn's objective, times C / n, for
    C = 1 / penalty).

    Weights are [dim + 1, classes]: slopes along the problem's own axes, in the last row the bias of features less their mean;
    `plain` and `placed` go between these and slopes and bias of the features as they came. Where there are no more examples
    than features, the problem is set among the directions that the examples differ in: the others' slopes are zero at the
    minimum. The principal axes of the features are found once, for all penalties.
    """

    def __init__(self, features: Float[Tensor, "n dim"], num_columns: int, *, device: torch.device) -> None:
        self.num, self.num_columns, self.device = len(features), num_columns, device
        self._kind = torch.float64 if features.dtype == torch.float64 else torch.float32
        self._features, self._rows = features, _rows_at_once(features.shape[1], num_columns, device)
        mean = torch.zeros(features.shape[1], dtype=torch.float64, device=device)
        for _, part in self._chunks():
            mean += part.sum(0, dtype=torch.float64)
        self._origin = mean / self.num
        self._basis: Tensor | None = None
        self._axes: Tensor | None = None
        if self.num <= features.shape[1]:
            self._reduce()
        else:
            self._mean = self._origin
            self._spread, self._axes = torch.linalg.eigh(self._scatter() / self.num)
            self._spread = self._spread.clamp_min(0)

    def _reduce(self) -> None:
        centred = self._features.to(self.device, torch.float64) - self._origin
        squares, left = torch.linalg.eigh(centred @ centred.T)
        kept = squares > squares[-1] * 1e-12
        roots = squares[kept].sqrt()
        self._basis = centred.T @ (left[:, kept] / roots)
        self._features = (left[:, kept] * roots).to(self._kind)
        self._mean = torch.zeros(len(roots), dtype=torch.float64, device=self.device)
        self._spread = squares[kept] / self.num

    def _scatter(self) -> Float[Tensor, "dim dim"]:
        found = torch.zeros(len(self._mean), len(self._mean), dtype=torch.float64, device=self.device)
        for _, part in self._chunks():
            centred = part - self._mean.to(self._kind)
            found += centred.T @ centred
        return found

    @property
    def noise(self) -> float:
        """How far a value can be from the true one, as a share of it."""
        return 1e-7 if self._kind == torch.float32 else 1e-14

    def zeros(self) -> Float[Tensor, "dim_and_bias classes"]:
        """Weights to start from."""
        return torch.zeros(len(self._mean) + 1, self.num_columns, dtype=torch.float64, device=self.device)

    def plain(self, weights: Float[Tensor, "dim_and_bias classes"]) -> tuple[Float[Tensor, "dim classes"], Tensor]:
        """(slopes, bias [classes]) of the features as they came."""
        slopes = weights[:-1] if self._basis is None else self._basis @ weights[:-1]
        return slopes, weights[-1] - self._origin @ slopes

    def placed(self, slopes: Float[Tensor, "dim classes"], bias: Float[Tensor, " classes"]) -> Tensor:
        """Weights of this problem that are, or are nearest to, these slopes and bias."""
        own = slopes if self._basis is None else self._basis.T @ slopes
        return torch.cat([own, (bias + self._origin @ slopes)[None]])

    def least(self, weights: Float[Tensor, "dim_and_bias classes"]) -> Tensor:
        """Of all weights that give the same probabilities, those of the least penalty."""
        return weights

    def at(self, weights: Float[Tensor, "dim_and_bias classes"], penalty: float, *, with_curvature: bool = False) -> Point:
        """The objective at some weights."""
        slopes, bias = weights[:-1], weights[-1]
        narrow, shift = slopes.to(self._kind), (bias - self._mean @ slopes).to(self._kind)
        value, gradient, curvature = 0.0, torch.zeros_like(weights), torch.zeros_like(bias)
        for rows, part in self._chunks():
            losses, residuals = self._losses(torch.addmm(shift, part, narrow), rows)
            value += float(losses.sum(dtype=torch.float64))
            gradient[:-1] += part.T @ residuals
            gradient[-1] += residuals.sum(0)
            if with_curvature:
                shares = residuals.abs_()  # p, or 1 - p of the right class
                curvature += shares.mul_(1 - shares).sum(0)
        gradient[:-1] -= torch.outer(self._mean, gradient[-1])
        gradient /= self.num
        share = penalty / self.num
        gradient[:-1] += share * slopes
        value = value / self.num + share / 2 * float((slopes * slopes).sum())
        return Point(value=value, gradient=gradient, curvature=curvature / self.num if with_curvature else None)

    def unscaled(self, vector: Float[Tensor, "dim_and_bias classes"], point: Point, penalty: float) -> Tensor:
        """`vector` times the inverse of an estimate of the objective's second derivative at `point`: along each principal axis
        and for each class its curvature times the features' variance, plus the penalty.
        """
        assert point.curvature is not None
        classes = point.curvature.clamp_min(max(float(point.curvature.mean()) * _SMALLEST_CURVATURE, 1e-300))
        along = vector[:-1] if self._axes is None else self._axes.T @ vector[:-1]
        along = along / (self._spread[:, None] * classes + penalty / self.num)
        return torch.cat([along if self._axes is None else self._axes @ along, vector[-1:] / classes])

    def _chunks(self) -> Iterator[tuple[slice, Float[Tensor, "rows dim"]]]:
        for start in range(0, self.num, self._rows):
            rows = slice(start, min(start + self._rows, self.num))
            yield rows, self._features[rows].to(self.device, self._kind)

    @abstractmethod
    def _losses(self, logits: Float[Tensor, "rows classes"], rows: slice) -> tuple[Tensor, Tensor]:
        """(losses, their derivatives by the logits [rows, classes]); may write into `logits`."""


class SoftmaxProblem(Problem):
    """One of several classes: the cross entropy of the softmax with `labels`, 0 to classes - 1."""

    def __init__(
        self, features: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], num_classes: int, *, device: torch.device
    ) -> None:
        self._labels = labels.to(device)[:, None]
        super().__init__(features, num_classes, device=device)

    def least(self, weights: Float[Tensor, "dim_and_bias classes"]) -> Tensor:
        return weights - weights.mean(1, keepdim=True)  # a softmax does not see what all classes have in common

    def _losses(self, logits: Float[Tensor, "rows classes"], rows: slice) -> tuple[Tensor, Tensor]:
        own = self._labels[rows]
        logits -= logits.gather(1, own)
        largest = logits.amax(1, keepdim=True)  # 0 where the own class is the best one
        powers = logits.sub_(largest).exp_()
        own_power = powers.gather(1, own)
        others = powers.scatter_(1, own, 0.0).sum(1, keepdim=True)
        total = others + own_power
        losses = largest + torch.where(largest == 0, others.log1p(), total.log())
        return losses, powers.div_(total).scatter_(1, own, -others / total)


class SigmoidProblem(Problem):
    """Each class a question of its own: the sum over classes of the cross entropy of the sigmoid with `targets`, int8 [n,
    classes]: 1 yes, 0 no, -1 not judged. Of one class: the logistic regression of two.
    """

    def __init__(self, features: Float[Tensor, "n dim"], targets: Int[Tensor, "n classes"], *, device: torch.device) -> None:
        self._targets = targets.to(device)
        super().__init__(features, targets.shape[1], device=device)

    def _losses(self, logits: Float[Tensor, "rows classes"], rows: slice) -> tuple[Tensor, Tensor]:
        targets = self._targets[rows]
        judged = (targets >= 0).to(logits.dtype)
        signs = (2 * (targets > 0) - 1).to(logits.dtype)
        margins = logits.mul_(signs)
        wrong = torch.sigmoid(-margins) * judged
        losses = torch.nn.functional.softplus(-margins, threshold=60.0) * judged
        return losses, wrong.mul_(-signs)


def _rows_at_once(dim: int, num_columns: int, device: torch.device) -> int:
    cells = _CELLS_OF_A_GPU if device.type == "cuda" else _CELLS
    return max(256, cells // max(num_columns, dim // 4))
