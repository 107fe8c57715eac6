"""Scores of pictures inside and outside a set, as histograms."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np

from fullclip.evaluation.report.figures.drawing import bare, colour, draw


def inside_outside(methods: Mapping[str, Mapping[str, Sequence[int | float]]], *, inside: str, outside: str) -> str:
    """For each method ("in", "out": counts; "edges") the scores of both sides as histograms of the same area."""

    def paint(every: np.ndarray) -> None:
        for axes, (method, told) in zip(every[0], methods.items(), strict=True):
            edges = np.array(told["edges"], dtype=np.float64)
            for side, name, tone in (("in", inside, colour(0)), ("out", outside, colour(1))):
                counts = np.array(told[side], dtype=np.float64)
                heights = counts / max(counts.sum(), 1)
                axes.stairs(heights, edges, fill=True, color=tone, alpha=0.35)
                axes.stairs(heights, edges, color=tone, linewidth=1.2, label=name)
            axes.set_title("\n".join(wrap(method, 20)))
            axes.set_yticks([])
            axes.locator_params(axis="x", nbins=3)
            axes.spines["left"].set_visible(False)
            axes.set_xlabel("none of these →")
            bare(axes, grid="x")
        first = every[0, 0]
        first.figure.legend(*first.get_legend_handles_labels(), loc="outside upper left", ncols=2)

    return draw(paint, height=2.6, columns=len(methods))
