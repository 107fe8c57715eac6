"""CLIP's accuracy by the share of the pairs that it learns from, and by the size of its batches, at one number of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from fullclip.baselines.comparing import curve
from fullclip.baselines.methods import vocabularies
from fullclip.baselines.pairs import Pairs, Question
from fullclip.baselines.records import Row
from fullclip.baselines.settings import Settings
from fullclip.core.config import nearest
from fullclip.core.storage import atomic_file
from fullclip.evaluation.report.document import Cell, Number, Picture, Section, Table, Text
from fullclip.evaluation.report.figures.drawing import bare, colour, draw
from fullclip.evaluation.report.page import to_html
from fullclip.evaluation.report.wording import between, percent

PAGE = "scale.html"
METHOD = "contrastive"
DEFAULTS: Mapping[str, tuple[int | float, ...]] = {"share": (0.1, 0.3, 1.0), "batch_size": (32, 128, 512)}
_AXES = {"share": "share of the pairs, %", "batch_size": "pairs in a batch"}


@dataclass(frozen=True, kw_only=True, order=True)
class Point:
    """What one run learns from: a share of the pairs, in batches of so many."""

    share: float
    batch_size: int


def read_varied(given: Sequence[str]) -> dict[str, tuple[int | float, ...]]:
    """`share=0.1,1` and `batch_size=32,64` as numbers, two of each or more; the defaults of both where nothing is given.
    ValueError for anything else.
    """
    found = dict[str, tuple[int | float, ...]]()
    for text in given:
        name, _, values = text.partition("=")
        if name not in DEFAULTS:
            raise ValueError(f"--vary {text}: nothing named {name!r} can be varied{nearest(name, DEFAULTS)}")
        try:
            found[name] = tuple(float(value) for value in values.split(","))
        except ValueError:
            raise ValueError(f"--vary {text}: write numbers, such as {name}={_listed(DEFAULTS[name])}") from None
        if len(set(found[name])) < 2:
            raise ValueError(f"--vary {text}: two numbers at least, such as {name}={_listed(DEFAULTS[name])}")
        if name == "share" and not all(0 < value <= 1 for value in found[name]):
            raise ValueError(f"--vary {text}: shares are above 0 and at most 1, such as share={_listed(DEFAULTS['share'])}")
        if name == "batch_size" and not all(value >= 2 and value == int(value) for value in found[name]):
            raise ValueError(
                f"--vary {text}: batches have 2 pairs or more, such as batch_size={_listed(DEFAULTS['batch_size'])}"
            )
    return found or dict(DEFAULTS)


def _listed(values: Sequence[int | float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def points(varied: Mapping[str, Sequence[int | float]], settings: Settings) -> list[Point]:
    """One run for each value, all else as in the settings and with all pairs; each run once."""
    usual = Point(share=1.0, batch_size=settings.batch_size)
    shares = [replace(usual, share=share) for share in varied.get("share", ())]
    return list(dict.fromkeys([*shares, *(replace(usual, batch_size=int(size)) for size in varied.get("batch_size", ()))]))


def run_point(
    point: Point, pairs: Pairs, question: Question, settings: Settings, *, seed: int, device: torch.device
) -> list[Row]:
    """The rows of one run: as `comparing.curve` gives them, with what it learned from. The vocabulary is that of its share."""
    own, part = replace(settings, batch_size=point.batch_size), pairs.part(point.share)
    words = vocabularies(part, own)
    rows = curve(METHOD, part, question, own, words=words, seed=seed, device=device)
    return [{"share": point.share, "batch_size": point.batch_size, **row} for row in rows]


def last_accuracies(rows: Sequence[Row], name: str, usual: Point) -> dict[int | float, np.ndarray]:
    """{value of `name`: the last accuracy of each seed}, of the runs that are as usual but for it, ascending."""
    other = "batch_size" if name == "share" else "share"
    found: dict[int | float, dict[int, float]] = {}
    for row in rows:
        if row[other] == getattr(usual, other):
            found.setdefault(row[name], {})[row["seed"]] = row["value"]  # the last of a run's rows stays
    return {value: np.array(list(found[value].values())) for value in sorted(found)}


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
    section = Section(
        title="Accuracy by data and batch size",
        blocks=[
            Picture(svg=draw_scale(found), caption=caption, alt="; ".join(sentences(rows, settings))),
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
