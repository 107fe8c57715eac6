"""Rows of the comparison with visual n-grams -> a table as the paper's Table 1, sentences, and one page of both."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fullclip.baselines.ngrams.comparison import TITLES
from fullclip.baselines.ngrams.dictionary import NgramDictionary
from fullclip.baselines.results.efficiency import Curve, curves_of, factor
from fullclip.baselines.results.records import Row
from fullclip.core.storage import atomic_file
from fullclip.evaluation.report.document import Cell, Number, Points, Section, Table, Text
from fullclip.evaluation.report.page import to_html
from fullclip.evaluation.report.wording import between, percent

PAGE = "ngrams.html"

_RULES: Mapping[str, str] = {"likelihood": " (likelihood)", "ratio": " (ratio)", "similarity": ""}
_PAPER = (
    "In the paper, visual n-grams have 72.4% on aYahoo, 11.5% on ImageNet and 23.0% on SUN, its CLIP 98.4%, 76.2% and 58.5%"
    " (Table 1): with ten times the pictures and over a thousand times the computation, as section 3.1.3 says."
)
_HOW = (
    "An n-gram model answers with the class whose name is likeliest for the picture, as in the paper (likelihood), or with the"
    " one whose name is likelier by the largest factor than for pictures at large (ratio). CLIP answers by similarity, with the"
    " task's sentences."
)


def table(rows: Sequence[Row]) -> Table:
    """The accuracy of each way at its end, the mean of the seeds with the lowest and the highest, by task."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    curves = {task: curves_of([row for row in rows if row["task"] == task]) for task in tasks}
    body: list[list[Cell]] = []
    for method, rule in dict.fromkeys((curve.method, curve.rule) for curve in curves[tasks[0]]):
        own = [next(curve for curve in curves[task] if (curve.method, curve.rule) == (method, rule)) for task in tasks]
        unknown = [
            next(row for row in rows if (row["task"], row["method"]) == (task, method))["unknown_classes"] for task in tasks
        ]
        seeds = len(own[0].accuracies)
        body.append(
            [
                title(own[0]),
                *map(_cell, own),
                Number(value=str(seeds)),
                Number(value=" / ".join(f"{count}" for count in unknown)),
            ]
        )
    counted = ", ".join(f"{next(row for row in rows if row['task'] == task)['n']:,} of {task}" for task in tasks)
    wide = max(row["interval"][1] - row["interval"][0] for row in rows) / 2
    note = (
        f"In %, after {max(row['images'] for row in rows):,} images, asked about {counted}: each number also has a 95% interval"
        f" of up to ±{percent(wide)} points from the pictures."
    )
    return Table(columns=["way", *tasks, "seeds", "unknown classes"], rows=body, note=note)


def title(curve: Curve) -> str:
    """What people call a way and how it answers."""
    return TITLES[curve.method] + _RULES[curve.rule]


def _cell(curve: Curve) -> Number:
    last = curve.accuracies[:, -1]
    ends = (float(last.min()), float(last.max()))
    return Number(value=percent(float(last.mean())), interval=between(ends) if len(last) > 1 else "")


def sentences(rows: Sequence[Row]) -> list[str]:
    """How many fewer images contrast needs for what n-grams reach at their end, for each task."""
    found = []
    for task in dict.fromkeys(row["task"] for row in rows):
        curves = curves_of([row for row in rows if row["task"] == task])
        clips = [curve for curve in curves if curve.method == "contrastive"]
        others = [curve for curve in curves if curve.method != "contrastive"]
        found += [_sentence(task, curve, factor(curve, clip).said) for clip in clips for curve in others]
    return found


def _sentence(task: str, curve: Curve, said: str) -> str:
    goal = f"the {percent(float(curve.mean[-1]))}% of {title(curve)}"
    if said == "not reached":
        return f"{task}: {TITLES['contrastive']} does not reach {goal}."
    return f"{task}: {TITLES['contrastive']} reaches {goal} with {said} fewer images."


def described(dictionary: NgramDictionary) -> str:
    """The dictionary in a sentence."""
    sizes = ", ".join(f"{count:,} of {order}" for order, count in dictionary.sizes().items())
    return f"The dictionary has {len(dictionary):,} n-grams: {sizes} word{'s' if dictionary.longest > 1 else ''}."


def write_page(rows: Sequence[Row], out: Path, *, data: str, dictionary: NgramDictionary) -> None:
    """One HTML page. `data` says in a sentence what was learned from and asked."""
    sections = [
        Section(title="Zero-shot accuracy", blocks=[table(rows), Text(_HOW)]),
        Section(title="How many images contrast saves", blocks=[Points(sentences(rows)), Text(_PAPER)]),
    ]
    with atomic_file(out, "w") as file:
        file.write(to_html("Visual n-grams and CLIP from the same pairs", [data, described(dictionary)], sections))
