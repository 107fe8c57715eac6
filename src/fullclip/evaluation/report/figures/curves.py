"""Curves: scores by examples per class (Figure 6), and what confidence is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullclip.evaluation.report.figures.drawing import SOFT, bare, colour, draw, legend_above, marker


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A model's scores (value, low, high) by number of examples per class; `zero_shot` is the score without any."""

    name: str
    place: int
    shots: Sequence[int]
    scores: Sequence[tuple[float, float, float]]
    zero_shot: tuple[float, float, float] | None = None


def few_shot(curves: Sequence[Curve]) -> str:
    """Scores against examples per class, zero-shot as a star at 0; steps of equal width, as in the paper."""
    ticks = sorted({shots for curve in curves for shots in curve.shots})
    position = {shots: place + 1 for place, shots in enumerate(ticks)}

    def paint(every: np.ndarray) -> None:
        axes = every[0, 0]
        for curve in curves:
            xs = [position[shots] for shots in curve.shots]
            values, lows, highs = 100 * np.array(curve.scores, dtype=np.float64).T
            tone = colour(curve.place)
            axes.fill_between(xs, lows, highs, color=tone, alpha=0.15, linewidth=0)
            axes.plot(xs, values, marker(curve.place), linestyle="-", color=tone, label=curve.name, markersize=5, linewidth=1.6)
            if curve.zero_shot is not None:
                value, low, high = (100 * number for number in curve.zero_shot)
                axes.vlines(0, low, high, color=tone, linewidth=1.2)
                axes.plot(0, value, "*", color=tone, markersize=13)
                axes.plot([0, xs[-1]], [value, value], color=tone, linewidth=0.8, linestyle=(0, (2, 3)))
        axes.set_xticks([0, *position.values()], ["0", *map(str, ticks)])
        axes.set_xlim(-0.3, len(ticks) + 0.3)
        axes.set_xlabel("labelled examples per class")
        axes.set_ylabel("average score, %")
        bare(axes, grid="y")
        legend_above(axes)

    return draw(paint, height=3.7)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A model's bins before and after its temperature: mean confidence, share that is right, its interval."""

    name: str
    place: int
    before: Sequence[Mapping[str, int | float]]
    after: Sequence[Mapping[str, int | float]]


def reliability(models: Sequence[Reliability]) -> str:
    """How often answers of a confidence are right, before and after the temperature; on the diagonal it can be trusted."""

    def paint(every: np.ndarray) -> None:
        for axes, title in zip(every[0], ("before", "after temperature"), strict=True):
            axes.plot([0, 100], [0, 100], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
            for model in models:
                _bins(axes, model, model.before if title == "before" else model.after)
            axes.set_title(title)
            axes.set_xlim(0, 100)
            axes.set_ylim(0, 100)
            axes.set_aspect("equal")
            axes.set_xlabel("confidence, %")
            bare(axes)
        every[0, 0].set_ylabel("answers that are right, %")
        if len(models) > 1:
            every[0, 0].legend(loc="upper left", fontsize=8)

    return draw(paint, height=3.6, columns=2, sharey=True)


def _bins(axes: Any, model: Reliability, bins: Sequence[Mapping[str, int | float]]) -> None:
    xs = [100 * one["confidence"] for one in bins]
    ys = [100 * one["accuracy"] for one in bins]
    axes.vlines(
        xs, [100 * one["low"] for one in bins], [100 * one["high"] for one in bins], color=colour(model.place), alpha=0.5
    )
    axes.plot(
        xs, ys, marker(model.place), linestyle="-", color=colour(model.place), label=model.name, markersize=4, linewidth=1.4
    )
