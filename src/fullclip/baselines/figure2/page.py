"""The paper's Figure 2 at another scale: zero-shot accuracy against images processed, and how many images each way saves."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fullclip.baselines.results.efficiency import Curve, Factor, curves_of, factors
from fullclip.baselines.results.records import Row
from fullclip.baselines.ways.methods import METHODS
from fullclip.core.storage import atomic_file
from fullclip.evaluation.report.document import Cell, Number, Picture, Points, Section, Table, Text
from fullclip.evaluation.report.figures.drawing import bare, colour, draw, legend_above, marker
from fullclip.evaluation.report.page import to_html
from fullclip.evaluation.report.wording import between, percent

PAGE = "figure2.html"
_RULES: Mapping[str, str] = {
    "likelihood": "by the likelihood of a class's words",
    "ratio": "by what that likelihood is above the words' likelihood at large",
}
_CHOICE = (
    "A way that predicts words can answer by how likely a class's words are for the picture, which favours classes of frequent"
    " words, or by how much likelier they are than for pictures at large, which a contrastive loss learns by itself. The paper"
    " does not say which it took; both are shown."
)


def sentences(rows: Sequence[Row], *, guess: float) -> list[str]:
    """The efficiency factors in words, as the paper says them: those of ways of likelihood for each rule of answering, then
    those between ways that have one rule. Of a way that ends no better than the accuracy of guessing there is no factor.
    """
    curves, said = curves_of(rows), dict[str, None]()
    for rule, how in _RULES.items():
        for one in factors(curves, tuple(METHODS), rule=rule):
            by_rule = rule in (one.base.rule, one.better.rule)
            told = _sentence(one) if _is_above(rows, one.base, guess) else _no_sentence(one, guess)
            said[f"Answering {how}, {told}." if by_rule else f"{_begun(told)}."] = None
    return sorted(said, key=lambda sentence: not sentence.startswith("Answering"))


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _is_above(rows: Sequence[Row], curve: Curve, guess: float) -> bool:
    """Whether the last accuracy of a seed has an interval above guessing."""
    own = [row for row in rows if (row["method"], row["rule"], row["images"]) == (curve.method, curve.rule, curve.images[-1])]
    return any(row["interval"][0] > guess for row in own)


def _no_sentence(one: Factor, guess: float) -> str:
    better, base = METHODS[one.better.method].title, METHODS[one.base.method].title
    return (
        f"{base} is not above guessing ({percent(guess)}%) in the end ({_end(one.base)}), so that there is no telling how many"
        f" images {better} saves"
    )


def _end(curve: Curve) -> str:
    return f"{percent(float(curve.mean[-1]))}% after {curve.images[-1]:,} images"


def _sentence(one: Factor) -> str:
    better, base = METHODS[one.better.method].title, METHODS[one.base.method].title
    goal = _end(one.base)
    if math.isnan(one.value):
        return f"{better} does not reach what {base} does in the end ({goal})"
    return f"{better} needs {one.said} fewer images to reach what {base} does in the end ({goal})"


def write_page(rows: Sequence[Row], out: Path, *, data: str, guess: float) -> None:
    """The figure with its numbers as one HTML page. `data` says in a sentence what was trained on and asked; `guess` is the
    accuracy of guessing.
    """
    curves = curves_of(rows)
    sections = [
        Section(title="Accuracy by images processed", blocks=[_picture(curves), Text(_CHOICE), _table(curves, rows)]),
        Section(title="How many images each way saves", blocks=[Points(sentences(rows, guess=guess)), Text(_BESIDE)]),
    ]
    with atomic_file(out, "w") as file:
        file.write(to_html("Four ways of learning from the same pairs", [data], sections))


_BESIDE = (
    "In the paper (section 2.3, Figure 2; ImageNet, 400 million images) predicting a bag of words is 3 times as efficient as a"
    " Transformer language model, and the contrastive loss on a bag of words another 4 times. A factor is the number of images"
    " at which one way stops, by the number with which the next reaches the same accuracy, interpolated between the points on a"
    " logarithmic axis; in brackets the lowest and the highest of the seeds. A text encoder that is a Transformer is the"
    " paper's CLIP itself, which its figure leaves out."
)


def _picture(curves: Sequence[Curve]) -> Picture:
    seeds = max(len(curve.accuracies) for curve in curves)
    ends = [f"{_title(curve)} {percent(float(curve.mean[-1]))}%" for curve in curves]
    return Picture(
        svg=draw_curves(curves),
        caption=(
            "In the manner of the paper's Figure 2: zero-shot accuracy by the number of images processed, of one image tower."
            + (f" Lines are means of {seeds} seeds, bands reach from the lowest to the highest." if seeds > 1 else " One seed.")
        ),
        alt=f"Accuracy at the end: {'; '.join(ends)}.",
    )


def draw_curves(curves: Sequence[Curve]) -> str:
    """A way's two rules share a colour; the ratio's line is dashed."""

    def paint(every: np.ndarray) -> None:
        axes = every[0, 0]
        for curve in curves:
            place = list(METHODS).index(curve.method)
            dashes = (0, (4, 2)) if curve.rule == "ratio" else "-"
            tone = colour(place)
            axes.fill_between(
                curve.images,
                100 * curve.accuracies.min(axis=0),
                100 * curve.accuracies.max(axis=0),
                color=tone,
                alpha=0.15,
                linewidth=0,
            )
            axes.plot(
                curve.images, 100 * curve.mean, marker(place), linestyle=dashes, color=tone, label=_title(curve), markersize=4
            )
        axes.set_xscale("log", base=2)
        ticks = sorted({images for curve in curves for images in curve.images})
        shown = ticks if len(ticks) <= 8 else ticks[:: -(-len(ticks) // 8)]
        axes.set_xticks(shown, [f"{images:,}" for images in shown])
        axes.minorticks_off()
        axes.set_xlabel("images processed")
        axes.set_ylabel("zero-shot accuracy, %")
        axes.set_ylim(bottom=0)
        bare(axes)
        legend_above(axes, columns=2)

    return draw(paint, height=4.4)


def _title(curve: Curve) -> str:
    return METHODS[curve.method].title + (", ratio" if curve.rule == "ratio" else "")


def _table(curves: Sequence[Curve], rows: Sequence[Row]) -> Table:
    marks = curves[0].images
    body: list[list[Cell]] = []
    for curve in curves:
        low, high, seeds = curve.accuracies.min(axis=0), curve.accuracies.max(axis=0), len(curve.accuracies)
        cells = [
            Number(value=percent(float(mean)), interval=between((float(least), float(most))) if seeds > 1 else "")
            for mean, least, most in zip(curve.mean, low, high, strict=True)
        ]
        own = [row for row in rows if row["method"] == curve.method]
        body.append([_title(curve), *cells, Number(value=f"{seeds}"), Number(value=str(own[0]["unknown_classes"]))])
    columns = ["way", *(f"{images:,}" for images in marks), "seeds", "classes with unknown words"]
    n = rows[0]["n"]
    wide = max(row["interval"][1] - row["interval"][0] for row in rows) / 2
    note = (
        f"In %, mean of the seeds with the lowest and the highest; of {n:,} pictures, so that each number also has a 95%"
        f" interval of up to ±{percent(wide)} points from them (results.jsonl has every one)."
    )
    return Table(columns=columns, rows=body, note=note)
