"""Names beside points, each where it covers no other name and no point; those without such a place are left out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_SIDES = ((1, 0, "left", "center"), (-1, 0, "right", "center"), (0, 1, "center", "bottom"), (0, -1, "center", "top"))
_GAP, _SIZE, _MARK = 8.0, 7.5, 5.0  # points


def label_points(
    axes: Any,
    xs: Sequence[float],
    ys: Sequence[float],
    names: Sequence[str],
    *,
    avoid: Sequence[tuple[float, float]] = (),
) -> int:
    """Write the names of the points; how many had room. `avoid` are more points that no name may cover. Limits of the axes are
    to be set before.
    """
    figure = axes.figure
    figure.draw_without_rendering()  # the layout decides where points lie
    scale = figure.dpi / 72
    every = [*zip(xs, ys, strict=True), *avoid]
    places = axes.transData.transform(np.array(every, dtype=np.float64)) if every else []
    found = [(float(x), float(y)) for x, y in places]
    frame = axes.get_window_extent()
    half = _MARK * scale
    taken = [(x - half, y - half, x + half, y + half) for x, y in found]
    written = 0
    for (x, y), name, own in zip(found[: len(names)], names, taken[: len(names)], strict=True):
        width, height = 0.62 * _SIZE * len(name) * scale, 1.1 * _SIZE * scale
        for right, up, horizontal, vertical in _SIDES:
            box = _box(x + right * _GAP * scale, y + up * _GAP * scale, width, height, horizontal, vertical)
            inside = frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= box[1] and box[3] <= frame.y1
            if inside and not any(_overlap(box, other) for other in taken if other is not own):
                axes.annotate(
                    name, axes.transData.inverted().transform((x, y)), xytext=(right * _GAP, up * _GAP),
                    textcoords="offset points", ha=horizontal, va=vertical, fontsize=_SIZE,
                )  # fmt: skip
                taken.append(box)
                written += 1
                break
    return written


def _box(x: float, y: float, width: float, height: float, horizontal: str, vertical: str) -> tuple[float, float, float, float]:
    left = {"left": x, "right": x - width, "center": x - width / 2}[horizontal]
    low = {"bottom": y, "top": y - height, "center": y - height / 2}[vertical]
    return left, low, left + width, low + height


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
