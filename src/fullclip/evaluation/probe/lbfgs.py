"""L-BFGS (Liu and Nocedal 1989) for a `Problem`: convex, of many variables, dear to evaluate."""

from collections import deque
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from fullclip.evaluation.probe.problem import Point, Problem

_MEMORY = 10  # pairs of steps and changes of the gradient
_CURVATURES_EVERY = 10  # iterations between looks at how curved the loss is for each class
_WINDOW = 10  # iterations whose gain together is looked at
_TRIES = 20  # points on one line
_ARMIJO = 1e-4  # what a step gains, as a share of what the slope at its beginning promises
_WOLFE = 0.9  # the slope at its end, as a share of that at its beginning: where rounding hides the gain
_SHARE_OF_TOLERANCE = 0.02  # the estimate of what is left to gain is too small by up to a factor of 40 (bench/probe.py)


@dataclass(frozen=True, kw_only=True)
class Solution:
    """`converged` is False where `max_iter` came first."""

    weights: Float[Tensor, "directions_and_bias classes"]
    value: float
    num_iterations: int
    converged: bool


class _Memory:
    """The last steps: with them, a direction from a gradient (the two-loop recursion)."""

    def __init__(self, problem: Problem, penalty: float) -> None:
        self._problem, self._penalty = problem, penalty
        self._pairs = deque[tuple[Tensor, Tensor, float]](maxlen=_MEMORY)

    def forget(self) -> bool:
        """Forget all steps; False where there was none."""
        there = bool(self._pairs)
        self._pairs.clear()
        return there

    def add(self, step: Tensor, change: Tensor) -> None:
        product = float((step * change).sum())
        if product > 0:  # always so for a convex loss, but for rounding
            self._pairs.append((step, change, product))

    def direction(self, gradient: Tensor, scale: Point) -> Tensor:
        """The step towards the minimum; `scale` says how curved the loss is."""
        vector, shares = gradient.clone(), []
        for step, change, product in reversed(self._pairs):
            shares.append(float((step * vector).sum()) / product)
            vector -= shares[-1] * change
        vector = self._unscaled(vector, scale)
        if self._pairs:
            _, change, product = self._pairs[-1]
            vector *= product / float((change * self._unscaled(change, scale)).sum())
        for (step, change, product), share in zip(self._pairs, reversed(shares), strict=True):
            vector += step * (share - float((change * vector).sum()) / product)
        return -vector

    def _unscaled(self, vector: Tensor, scale: Point) -> Tensor:
        return self._problem.unscaled(vector, scale, self._penalty)


def minimize(problem: Problem, penalty: float, start: Tensor, *, max_iter: int, tolerance: float) -> Solution:
    """The minimum of a problem under `penalty`, from the weights `start`.

    Ends where ten iterations together, or the next one by estimate, gain less than `tolerance` times the value, so that the
    value is within about that share of the minimum; or after `max_iter` iterations.
    """
    weights, here = start, problem.at(start, penalty, with_curvature=True)
    memory, scale = _Memory(problem, penalty), here
    before = deque([here.value], maxlen=_WINDOW + 1)
    num_iterations, converged = 0, False
    while num_iterations < max_iter:
        if here.curvature is not None:
            scale = here
        direction = memory.direction(here.gradient, scale)
        slope = float((here.gradient * direction).sum())
        converged = -slope / 2 <= _SHARE_OF_TOLERANCE * tolerance * here.value
        if converged:
            break
        num_iterations += 1
        looks = num_iterations % _CURVATURES_EVERY == 0
        found = _along(problem, penalty, weights, here, direction, with_curvature=looks)
        if found is None:
            converged = not memory.forget()  # rounding hides every gain, along the gradient, too
            if converged:
                break
            continue
        length, there = found
        memory.add(length * direction, there.gradient - here.gradient)
        weights, here = weights + length * direction, there
        before.append(here.value)
        converged = len(before) == before.maxlen and before[0] - here.value <= tolerance * here.value
        if converged:
            break
    return Solution(weights=problem.least(weights), value=here.value, num_iterations=num_iterations, converged=converged)


def _along(
    problem: Problem, penalty: float, weights: Tensor, here: Point, direction: Tensor, *, with_curvature: bool
) -> tuple[float, Point] | None:
    """(how far to go, the point there); None where rounding hides every gain.

    A convex function's slope grows along a line: its zero is bracketed and the slopes at the ends say where to look next.
    """
    slope = float((here.gradient * direction).sum())
    low, low_slope = 0.0, slope
    high, high_slope = None, 0.0
    length = 1.0
    for _ in range(_TRIES):
        there = problem.at(weights + length * direction, penalty, with_curvature=with_curvature)
        there_slope = float((there.gradient * direction).sum())
        is_lower = there.value <= here.value * (1 + problem.noise)
        has_gained = there.value <= here.value + _ARMIJO * length * slope
        if has_gained or (is_lower and abs(there_slope) <= _WOLFE * abs(slope)):
            return length, there
        if there_slope < 0 and is_lower:
            low, low_slope = length, there_slope
        else:
            high, high_slope = length, there_slope
        if high is None:
            length *= 2
            continue
        share = -low_slope / (high_slope - low_slope) if high_slope > low_slope else 0.5
        length = low + (high - low) * min(max(share, 0.1), 0.9)
    return None
