"""Accuracy on a shift against accuracy on its reference, both axes in logits (Figures 13 and 14)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullclip.evaluation.report.figures.drawing import INK, SOFT, bare, colour, draw, marker
from fullclip.evaluation.report.figures.labels import label_points

_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_LEAST = 0.0005


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A model on the plane: `kind` as in `shifts.Entry`; `place` gives the colour, None is a published model's."""

    name: str
    kind: str
    reference: float
    shift: float
    place: int | None


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A shift's models and its line: `expected` and `band` are of an accuracy on the reference; None where there is no line."""

    title: str
    spots: Sequence[Spot]
    expected: Callable[[float], float] | None
    band: Callable[[float], tuple[float, float]] | None


def planes(every: Sequence[Plane], *, reference: str, columns: int = 1) -> str:
    """A panel for each plane: the line with its band, the diagonal where a shift would cost nothing, zero-shot models as stars,
    an arrow from a model's zero-shot point to its adapted one.
    """
    rows = math.ceil(len(every) / columns)

    def paint(axes: np.ndarray) -> None:
        for place, panel in enumerate(axes.flat):
            if place < len(every):
                _plane(panel, every[place], reference, named=columns == 1)
            else:
                panel.set_visible(False)

    if columns == 1:
        return draw(paint, width=5.8, height=4.9 * rows)
    return draw(paint, height=2.5 * rows, rows=rows, columns=columns)


def _plane(axes: Any, plane: Plane, reference: str, *, named: bool) -> None:
    xs, ys = [spot.reference for spot in plane.spots], [spot.shift for spot in plane.spots]
    low, high = _limits(xs), _limits(ys)
    grid = np.linspace(_logit(low[0]), _logit(low[1]), 60)
    shares = 1 / (1 + np.exp(-grid))
    axes.plot(grid, grid, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), label="no loss under shift")
    if plane.expected is not None and plane.band is not None:
        bands = np.array([plane.band(float(share)) for share in shares])
        axes.fill_between(grid, _logits(bands[:, 0]), _logits(bands[:, 1]), color=SOFT, alpha=0.18, linewidth=0)
        expected = [plane.expected(float(share)) for share in shares]
        axes.plot(grid, _logits(np.array(expected)), color=SOFT, linewidth=1.6, label="fitted line, 95% band")
    for spot in plane.spots:
        _spot(axes, spot)
    _arrows(axes, plane.spots)
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(_logit(high[0]), _logit(high[1]))
    for set_ticks, (start, stop) in ((axes.set_xticks, low), (axes.set_yticks, high)):
        ticks = _ticks(start, stop, most=8 if named else 4)
        set_ticks([_logit(tick) for tick in ticks], [f"{100 * tick:g}" for tick in ticks])
    axes.set_title(plane.title)
    axes.set_xlabel(f"accuracy on {reference}, %" if named else reference)
    bare(axes)
    if named:
        axes.set_ylabel("accuracy under shift, %")
        axes.legend(loc="upper left")
        stars = {spot.name for spot in plane.spots if spot.kind == "zero-shot"}
        own = [spot for spot in plane.spots if spot.place is not None and (spot.kind == "zero-shot" or spot.name not in stars)]
        where = [(_logit(spot.reference), _logit(spot.shift)) for spot in own]
        avoid = [(_logit(spot.reference), _logit(spot.shift)) for spot in plane.spots if spot not in own]
        for (x, y), (to_x, to_y) in _moves(plane.spots):
            avoid += [(x + part * (to_x - x), y + part * (to_y - y)) for part in (0.25, 0.5, 0.75)]
        label_points(axes, [x for x, _ in where], [y for _, y in where], [spot.name for spot in own], avoid=avoid)


def _spot(axes: Any, spot: Spot) -> None:
    tone = SOFT if spot.place is None else colour(spot.place)
    at = (_logit(spot.reference), _logit(spot.shift))
    if spot.kind == "zero-shot":
        axes.plot(*at, "*", color=tone, markersize=12)
    elif spot.kind == "adapted" and spot.place is not None:
        axes.plot(*at, marker(spot.place), color=tone, markerfacecolor="none", markersize=6.5, markeredgewidth=1.5)
    else:
        axes.plot(*at, "o", color=tone, markersize=4.5 if spot.place is None else 6, alpha=0.8)


def _arrows(axes: Any, spots: Sequence[Spot]) -> None:
    for start, end in _moves(spots):
        style = {"arrowstyle": "->", "color": INK, "linewidth": 1, "shrinkA": 6, "shrinkB": 5}
        axes.annotate("", end, xytext=start, arrowprops=style)


def _moves(spots: Sequence[Spot]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """From each model's zero-shot point to its adapted one, where it has both."""
    adapted = {spot.name: spot for spot in spots if spot.kind == "adapted"}
    both = [(spot, adapted[spot.name]) for spot in spots if spot.kind == "zero-shot" and spot.name in adapted]
    return [((_logit(a.reference), _logit(a.shift)), (_logit(b.reference), _logit(b.shift))) for a, b in both]


def _limits(shares: Sequence[float]) -> tuple[float, float]:
    """From the smallest to the largest in logits, and a tenth on both sides."""
    places = [_logit(share) for share in shares]
    room = max(0.1 * (max(places) - min(places)), 0.35)
    low, high = min(places) - room, max(places) + room
    return 1 / (1 + math.exp(-low)), 1 / (1 + math.exp(-high))


def _ticks(low: float, high: float, *, most: int) -> list[float]:
    """Round shares between two, not too many, not too near each other."""
    inside = [tick for tick in _TICKS if low <= tick <= high]
    inside = inside or [round((low + high) / 2, 3)]
    step = math.ceil(len(inside) / most)
    return inside[::step]


def _logit(share: float) -> float:
    inside = min(max(share, _LEAST), 1 - _LEAST)
    return math.log(inside / (1 - inside))


def _logits(shares: np.ndarray) -> np.ndarray:
    return np.array([_logit(float(share)) for share in shares])
