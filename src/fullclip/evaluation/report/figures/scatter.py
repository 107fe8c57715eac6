"""Points: score against score (Figure 8), score against work (Figure 10), overlap against what it changes (Figure 17)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullclip.evaluation.report.figures.drawing import BAD, INK, SOFT, bare, colour, draw, legend_above, marker
from fullclip.evaluation.report.figures.labels import label_points


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A model's points: a name, x and y for each."""

    name: str
    place: int
    points: Sequence[tuple[str, float, float]]


def against_diagonal(clouds: Sequence[Cloud], *, x_label: str, y_label: str) -> str:
    """Shares against shares, with the diagonal; names beside the points where there is one model."""

    def paint(every: np.ndarray) -> None:
        axes = every[0, 0]
        axes.plot([0, 100], [0, 100], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        for cloud in clouds:
            xs, ys = [100 * x for _, x, _ in cloud.points], [100 * y for _, _, y in cloud.points]
            axes.plot(xs, ys, marker(cloud.place), color=colour(cloud.place), markersize=5.5, alpha=0.85, label=cloud.name)
        axes.set_xlim(0, 101)
        axes.set_ylim(0, 101)
        axes.set_aspect("equal")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        bare(axes)
        legend_above(axes, columns=2)
        if len(clouds) == 1:
            named = clouds[0].points
            label_points(axes, [100 * x for _, x, _ in named], [100 * y for _, _, y in named], [name for name, _, _ in named])

    return draw(paint, width=5.4, height=5.2 + 0.1 * len(clouds))


@dataclass(frozen=True, kw_only=True)
class Worth:
    """A model's work per image in GFLOPs, and its score with its interval."""

    name: str
    place: int
    gflops: float
    score: float
    low: float
    high: float


def against_work(models: Sequence[Worth]) -> str:
    """Scores against GFLOPs per image, on a logarithmic axis."""

    def paint(every: np.ndarray) -> None:
        axes = every[0, 0]
        axes.set_xscale("log")
        for one in models:
            axes.vlines(one.gflops, 100 * one.low, 100 * one.high, color=colour(one.place), linewidth=1.2)
            axes.plot(one.gflops, 100 * one.score, marker(one.place), color=colour(one.place), markersize=6.5)
        works = [one.gflops for one in models]
        axes.set_xlim(min(works) / 1.8, max(works) * 1.8)
        span = max(one.high for one in models) - min(one.low for one in models)
        room = 100 * max(0.1 * span, 0.01)
        axes.set_ylim(100 * min(one.low for one in models) - room, 100 * max(one.high for one in models) + room)
        ticks = [
            t for e in range(-4, 6) for t in (10.0**e, 2 * 10.0**e, 5 * 10.0**e) if min(works) / 1.8 <= t <= max(works) * 1.8
        ]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("GFLOPs per image")
        axes.set_ylabel("average linear probe score, %")
        bare(axes)
        label_points(axes, works, [100 * one.score for one in models], [one.name for one in models])

    return draw(paint, height=3.8)


@dataclass(frozen=True, kw_only=True)
class Overlapping:
    """A set: the share of its images that training has seen; accuracy on these less that on the others, with its 99.5%
    interval, and accuracy on all less that on the others. `is_sure`: significant after Bonferroni's correction.
    """

    name: str
    share: float
    difference: float
    low: float
    high: float
    gain: float
    is_sure: bool


def overlap(sets: Sequence[Overlapping]) -> str:
    """Both panels of Figure 17: what is different on the images that overlap, and what that does to the whole."""

    def paint(every: np.ndarray) -> None:
        left, right = every[0]
        for one in sets:
            tone = BAD if one.is_sure else INK
            left.vlines(100 * one.share, 100 * one.low, 100 * one.high, color=tone, alpha=0.55, linewidth=1)
            _point(left, one, one.difference)
            _point(right, one, one.gain)
        lowest, highest = min(one.low for one in sets), max(one.high for one in sets)
        _frame(left, sets, lowest, highest, "accuracy: overlap less clean, points")
        gains = [one.gain for one in sets]
        _frame(right, sets, min(gains), max(gains), "accuracy: all less clean, points")

    return draw(paint, height=3.5, columns=2)


def _point(axes: Any, one: Overlapping, value: float) -> None:
    axes.plot(
        100 * one.share, 100 * value, "o", color=BAD if one.is_sure else INK, markersize=5, alpha=1 if one.is_sure else 0.6
    )


def _frame(axes: Any, sets: Sequence[Overlapping], low: float, high: float, label: str) -> None:
    axes.axhline(0, color=SOFT, linewidth=0.9)
    room = max(0.12 * (max(high, 0) - min(low, 0)), 0.001)
    axes.set_xlim(0, 100 * max(1.15 * max(one.share for one in sets), 0.001))
    axes.set_ylim(100 * (min(low, 0) - room), 100 * (max(high, 0) + room))
    axes.set_xlabel("images found in training, %")
    axes.set_ylabel(label)
    bare(axes)
    xs = [100 * one.share for one in sets]
    label_points(
        axes, xs, [100 * (one.difference if "overlap" in label else one.gain) for one in sets], [one.name for one in sets]
    )
