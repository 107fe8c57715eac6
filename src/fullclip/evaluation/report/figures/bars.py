"""A bar or a point for each set, with its interval: differences (Figures 5 and 14), shots (Figure 7), classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullclip.evaluation.report.figures.drawing import BAD, GOOD, INK, SOFT, bare, colour, draw, legend_above, marker
from fullclip.evaluation.report.wording import points


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A name, a difference of shares and its interval; `is_sure`: it is beyond chance."""

    name: str
    value: float
    low: float
    high: float
    is_sure: bool = True


def differences(bars: Sequence[Bar], *, label: str) -> str:
    """Horizontal bars, the largest at the top: one colour above zero, another below, pale where it may be chance."""
    ordered = sorted(bars, key=lambda bar: bar.value)

    def paint(every: np.ndarray) -> None:
        axes = every[0, 0]
        for place, bar in enumerate(ordered):
            tone = GOOD if bar.value > 0 else BAD
            axes.barh(place, 100 * bar.value, color=tone, alpha=0.85 if bar.is_sure else 0.35, height=0.68)
            axes.hlines(place, 100 * bar.low, 100 * bar.high, color=INK, linewidth=1)
        axes.axvline(0, color=SOFT, linewidth=0.8)
        edge_low = min(0.0, *(bar.low for bar in ordered), *(bar.value for bar in ordered))
        edge_high = max(0.0, *(bar.high for bar in ordered), *(bar.value for bar in ordered))
        room = max(edge_high - edge_low, 0.005)
        for place, bar in enumerate(ordered):
            end = max(bar.high, bar.value) if bar.value > 0 else min(bar.low, bar.value)
            gap = 0.015 * room if bar.value > 0 else -0.015 * room
            axes.text(
                100 * (end + gap), place, points(bar.value), va="center", ha="left" if bar.value > 0 else "right", fontsize=8
            )
        axes.set_xlim(100 * (edge_low - 0.13 * room), 100 * (edge_high + 0.13 * room))
        axes.set_yticks(range(len(ordered)), [bar.name for bar in ordered])
        axes.set_ylim(-0.6, len(ordered) - 0.4)
        axes.set_xlabel(label)
        axes.spines["left"].set_visible(False)
        bare(axes, grid="x")

    return draw(paint, height=0.9 + 0.235 * len(ordered))


@dataclass(frozen=True, kw_only=True)
class Shots:
    """How many examples per class a zero-shot answer is worth: None is beyond the curve, `said` tells on which side."""

    name: str
    value: float | None
    interval: tuple[float, float] | None
    said: str


def equal_shots(sets: Sequence[Shots], *, fewest: float, most: float, place: int) -> str:
    """A point for each set on a logarithmic axis, with its interval; sets beyond the curve at its ends, hollow."""

    def where(one: Shots) -> float:
        return one.value if one.value is not None else most * 1.25 if "more" in one.said else fewest * 0.8

    ordered = sorted(sets, key=where)

    def paint(every: np.ndarray) -> None:
        axes = every[0, 0]
        axes.set_xscale("log")
        for row, one in enumerate(ordered):
            if one.interval is not None:
                low, high = (min(max(end, fewest * 0.8), most * 1.25) for end in one.interval)
                axes.hlines(row, low, high, color=colour(place), linewidth=2, alpha=0.45)
            face = colour(place) if one.value is not None else "none"
            axes.plot(where(one), row, "o", color=colour(place), markerfacecolor=face, markersize=6)
            right = max(where(one), min(one.interval[1], most * 1.25) if one.interval else 0)
            axes.annotate(one.said, (right, row), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)
        ticks = [tick for tick in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024) if fewest <= tick <= most]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlim(fewest * 0.7, most * 2.6)
        axes.set_yticks(range(len(ordered)), [one.name for one in ordered])
        axes.set_ylim(-0.6, len(ordered) - 0.4)
        axes.set_xlabel("labelled examples per class that a probe needs to equal zero-shot")
        axes.spines["left"].set_visible(False)
        bare(axes)

    return draw(paint, height=0.9 + 0.235 * len(ordered))


def per_class(classes: Sequence[str], models: Sequence[tuple[str, int, Sequence[float | None]]]) -> str:
    """Each class's accuracy by model (name, place, shares), the classes that are hardest on average at the bottom."""
    shares = np.array([[np.nan if value is None else value for value in values] for _, _, values in models], dtype=np.float64)
    known = ~np.isnan(shares)
    means = np.where(known, shares, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    order = np.argsort(means, kind="stable")

    def paint(every: np.ndarray) -> None:
        axes: Any = every[0, 0]
        rows = np.arange(len(classes))
        if len(models) == 1:
            axes.barh(rows, 100 * shares[0, order], color=colour(models[0][1]), alpha=0.8, height=0.7)
        else:
            for (name, place, _), values in zip(models, shares, strict=True):
                axes.plot(100 * values[order], rows, marker(place), color=colour(place), label=name, markersize=4.5, alpha=0.85)
        axes.set_yticks(rows, [classes[place][:40] for place in order], fontsize=8 if len(classes) <= 40 else 6.5)
        axes.set_ylim(-0.7, len(classes) - 0.3)
        axes.set_xlim(-1, 101)
        axes.set_xlabel("accuracy on the class, %")
        axes.spines["left"].set_visible(False)
        bare(axes)
        legend_above(axes)

    return draw(paint, height=0.9 + (0.2 if len(classes) <= 40 else 0.145) * len(classes) + 0.1 * len(models))
