"""Rows of the comparison by share and batch size -> sentences, and one page of figure and tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.results.records import Row
from fullclip.baselines.scale.comparison import DEFAULTS, Point, last_accuracies
from fullclip.core.storage import atomic_file
from fullclip.evaluation.report.document import Cell, Number, Picture, Section, Table, Text
from fullclip.evaluation.report.figures.drawing import bare, colour, draw
from fullclip.evaluation.report.page import to_html
from fullclip.evaluation.report.wording import between, percent

PAGE = "scale.html"
_AXES = {"share": "share of the pairs, %", "batch_size": "pairs in a batch"}


def write_page(rows: Sequence[Row], out: Path, *, data: str, settings: Settings) -> None:
    """Figure and numbers as one HTML page; `data` says in a sentence what was trained on and asked."""
    usual = Point(share=1.0, batch_size=settings.batch_size)
    found = {name: last_accuracies(rows, name, usual) for name in DEFAULTS}
    found = {name: values for name, values in found.items() if len(values) > 1}  # the usual run alone is in both
    seeds = len({row["seed"] for row in rows})
    caption = (
        f"Zero-shot accuracy of CLIP (Transformer text encoder) after {settings.images:,} images, whatever share of the pairs"
        f" they come from and whatever the batches. Points are means of {seeds} seed{'s' * (seeds > 1)}; lines reach from the"
        " lowest to the highest."
    )
    shown = [Picture(svg=draw_scale(found), caption=caption, alt="; ".join(sentences(rows, settings)))] if found else []
    section = Section(
        title="Accuracy by data and batch size",
        blocks=[
            *shown,
            *(_table(name, values) for name, values in found.items()),
            Text("The learning rate is the same for all batch sizes, so that small batches take more steps of the same size."),
        ],
    )
    with atomic_file(out, "w") as file:
        file.write(to_html("How CLIP's accuracy grows with data and batches", [data], [section]))


def sentences(rows: Sequence[Row], settings: Settings) -> list[str]:
    """The means in words."""
    usual = Point(share=1.0, batch_size=settings.batch_size)
    found = []
    for name in DEFAULTS:
        values = last_accuracies(rows, name, usual)
        if len(values) < 2:
            continue
        told = ", ".join(f"{_value(name, value)}: {percent(float(each.mean()))}%" for value, each in values.items())
        found.append(f"By {_AXES[name].removesuffix(', %')}: {told}.")
    return found


def _value(name: str, value: int | float) -> str:
    return f"{100 * value:g}%" if name == "share" else f"{value:,.0f}"


def draw_scale(found: Mapping[str, Mapping[int | float, np.ndarray]]) -> str:
    """A panel for each thing that was varied."""

    def paint(every: np.ndarray) -> None:
        for axes, (name, values) in zip(every[0], found.items(), strict=True):
            xs = [100 * value if name == "share" else value for value in values]
            spreads = list(values.values())
            axes.vlines(xs, [100 * each.min() for each in spreads], [100 * each.max() for each in spreads], color=colour(3))
            axes.plot(xs, [100 * each.mean() for each in spreads], "o-", color=colour(3), markersize=5)
            axes.set_xscale("log")
            axes.set_xticks(xs, [f"{x:g}" for x in xs])
            axes.minorticks_off()
            axes.set_xlabel(_AXES[name])
            axes.set_ylim(bottom=0)
            bare(axes)
        every[0, 0].set_ylabel("zero-shot accuracy, %")

    return draw(paint, height=3.4, columns=len(found), sharey=True)


def _table(name: str, values: Mapping[int | float, np.ndarray]) -> Table:
    rows: list[list[Cell]] = [
        [
            _value(name, value),
            Number(value=percent(float(each.mean())), interval=between((float(each.min()), float(each.max())))),
            Number(value=str(len(each))),
        ]
        for value, each in values.items()
    ]
    return Table(
        columns=[_AXES[name].removesuffix(", %"), "accuracy", "seeds"], rows=rows, note="In %, lowest to highest seed."
    )
