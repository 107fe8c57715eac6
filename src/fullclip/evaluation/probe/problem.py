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
_MOST_TURNED = 1 << 27  # numbers: copies of half a gigabyte at most are made of features
_LEAST_SPREAD = 1e-14  # of the largest variance: what rounding leaves
_SMALLEST_CURVATURE = 0.1  # of the mean over classes: one whose examples are all certain has none


@dataclass(frozen=True, kw_only=True)
class Point:
    """The mean loss with its penalty at some weights, its gradient [dim + 1, classes], whose last row is the bias's, and, where
    it was asked for, how curved the loss is for each class: the mean of p (1 - p).
    """

    value: float
    gradient: Float[Tensor, "directions_and_bias classes"]
    curvature: Float[Tensor, " classes"] | None


class Problem(ABC):
    """(1 / n) sum of losses + (penalty / 2n) |slopes|^2; the bias is not penalised (scikit-learn's objective, times C / n, for
    C = 1 / penalty).

    Weights are [directions + 1, classes]: slopes along the features' principal axes, in the last row the bias of features less
    their mean; `plain` and `placed` go between these and slopes and bias of the features as they came. The axes are found once,
    for all penalties. Of features without variance along an axis, as of fewer examples than features, the slope along it is
    zero at the minimum, and it is left out.
    """

    def __init__(self, features: Float[Tensor, "n dim"], num_columns: int, *, device: torch.device) -> None:
        self.num, self.num_columns, self.device = len(features), num_columns, device
        self._kind = torch.float64 if features.dtype == torch.float64 else torch.float32
        self._features, self._rows = features, _rows_at_once(features.shape[1], num_columns, device)
        mean = torch.zeros(features.shape[1], dtype=torch.float64, device=device)
        for _, part in self._chunks():
            mean += part.sum(0, dtype=torch.float64)
        self._mean = (mean / self.num).to(self._kind).double()  # what is taken from features is what is said of them
        self._spread, self._axes = self._principal() if self.num > features.shape[1] else self._principal_of_few()
        self._turned = self._features.numel() <= _MOST_TURNED
        if self._turned:
            self._turn()

    def _principal(self) -> tuple[Float[Tensor, " directions"], Float[Tensor, "dim directions"]]:
        """The variance along each axis, and the axes."""
        scatter = torch.zeros(len(self._mean), len(self._mean), dtype=torch.float64, device=self.device)
        for _, part in self._chunks():
            centred = part.double() - self._mean  # in float32 small variances would drown in what rounding leaves of large ones
            scatter += centred.T @ centred
        squares, axes = torch.linalg.eigh(scatter / self.num)
        kept = squares > squares[-1] * _LEAST_SPREAD
        return squares[kept], axes[:, kept]

    def _principal_of_few(self) -> tuple[Float[Tensor, " directions"], Float[Tensor, "dim directions"]]:
        """The same by way of the examples' products with each other, of which there are fewer."""
        centred = self._features.to(self.device, torch.float64) - self._mean
        squares, left = torch.linalg.eigh(centred @ centred.T)
        kept = squares > squares[-1] * _LEAST_SPREAD
        return squares[kept] / self.num, centred.T @ (left[:, kept] / squares[kept].sqrt())

    def _turn(self) -> None:
        """Have the features along the axes, less their mean, so that no evaluation turns weights and gradients."""
        turned = torch.empty(self.num, len(self._spread), dtype=self._kind, device=self.device)
        for rows, part in self._chunks():
            turned[rows] = (part.double() - self._mean) @ self._axes
        self._features = turned

    @property
    def noise(self) -> float:
        """How far a value can be from the true one, as a share of it."""
        return 1e-7 if self._kind == torch.float32 else 1e-14

    def zeros(self) -> Float[Tensor, "directions_and_bias classes"]:
        """Weights to start from."""
        return torch.zeros(len(self._spread) + 1, self.num_columns, dtype=torch.float64, device=self.device)

    def plain(self, weights: Float[Tensor, "directions_and_bias classes"]) -> tuple[Float[Tensor, "dim classes"], Tensor]:
        """(slopes, bias [classes]) of the features as they came."""
        slopes = self._axes @ weights[:-1]
        return slopes, weights[-1] - self._mean @ slopes

    def placed(self, slopes: Float[Tensor, "dim classes"], bias: Float[Tensor, " classes"]) -> Tensor:
        """Weights of this problem that are, or are nearest to, these slopes and bias."""
        return torch.cat([self._axes.T @ slopes, (bias + self._mean @ slopes)[None]])

    def least(self, weights: Float[Tensor, "directions_and_bias classes"]) -> Tensor:
        """Of all weights that give the same probabilities, those of the least penalty."""
        return weights

    def at(
        self, weights: Float[Tensor, "directions_and_bias classes"], penalty: float, *, with_curvature: bool = False
    ) -> Point:
        """The objective at some weights."""
        slopes, bias = weights[:-1], weights[-1]
        narrow, shift = slopes.to(self._kind), bias
        if not self._turned:
            narrow, shift = self._axes.to(self._kind) @ narrow, bias - self._mean @ (self._axes @ slopes)
        shift = shift.to(self._kind)
        value, sums, means = 0.0, torch.zeros(narrow.shape, dtype=torch.float64, device=self.device), torch.zeros_like(bias)
        curvature = torch.zeros_like(bias)
        for rows, part in self._chunks():
            losses, residuals = self._losses(torch.addmm(shift, part, narrow), rows)
            value += float(losses.sum(dtype=torch.float64))
            sums += part.T @ residuals
            means += residuals.sum(0)
            if with_curvature:
                shares = residuals.abs_()  # p, or 1 - p of the right class
                curvature += shares.mul_(1 - shares).sum(0)
        if not self._turned:
            sums = (self._axes.T.to(self._kind) @ (sums - torch.outer(self._mean, means)).to(self._kind)).double()
        share = penalty / self.num
        return Point(
            value=value / self.num + share / 2 * float((slopes * slopes).sum()),
            gradient=torch.cat([sums / self.num + share * slopes, means[None] / self.num]),
            curvature=curvature / self.num if with_curvature else None,
        )

    def unscaled(self, vector: Float[Tensor, "directions_and_bias classes"], point: Point, penalty: float) -> Tensor:
        """`vector` times the inverse of an estimate of the objective's second derivative at `point`: along each axis and for
        each class its curvature times the features' variance, plus the penalty.
        """
        assert point.curvature is not None
        classes = point.curvature.clamp_min(max(float(point.curvature.mean()) * _SMALLEST_CURVATURE, 1e-300))
        along = vector[:-1] / (self._spread[:, None] * classes + penalty / self.num)
        return torch.cat([along, vector[-1:] / classes])

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

    def least(self, weights: Float[Tensor, "directions_and_bias classes"]) -> Tensor:
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
