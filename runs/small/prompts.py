"""What words are worth: bare class names, one sentence, and a set's ensemble of sentences, as in the CLIP paper's Figure 4.

Comes in: a model and tasks; features that `fullclip evaluate` has kept are used again. Goes out: below OUT, prompts.html with
the figure and prompts.jsonl with each number; the table on stdout.

    python runs/small/prompts.py small --data tasks --task cifar10 --task tasks/emoji-google --out evaluations/prompts
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import fullclip
from fullclip.core.config import to_dict
from fullclip.core.distributed import World
from fullclip.core.storage import atomic_file, cache_folder
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.report.combine import average
from fullclip.evaluation.report.document import Cell, Number, Picture, Section, Table, Text
from fullclip.evaluation.report.figures.bars import Bar, differences
from fullclip.evaluation.report.markdown import to_markdown
from fullclip.evaluation.report.page import to_html
from fullclip.evaluation.report.wording import between, count, number, p_cell, points
from fullclip.evaluation.statistics.paired import Comparison, compare, holm
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import templates_of, zero_shot
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import Task, limited
from fullclip.zeroshot.prompts import TEMPLATE_SETS

NAMES, PHOTO, OWN, ENSEMBLE = "names", "a photo of a", "own sentence", "ensemble"
PAGE, LINES = "prompts.html", "prompts.jsonl"
_HOW = (
    "names: the class names alone. a photo of a: one sentence for all sets. own sentence: the first of the set's own. ensemble:"
    " the mean of all of the set's sentences. In the paper, sentences and ensembles are worth almost 5 points on average over"
    " 36 sets (section 3.1.4)."
)


def wordings(task: Task) -> dict[str, tuple[str, ...]]:
    """The sentences of each way to ask."""
    own = templates_of(task)
    return {NAMES: TEMPLATE_SETS["label"], PHOTO: TEMPLATE_SETS["photo"], OWN: own[:1], ENSEMBLE: own}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A task's answers by wording, and the ensemble's beside those to the names alone."""

    task: str
    records: Mapping[str, Record]
    gain: Comparison


def ask(subject: Subject, task: Task) -> Asked:
    """Ask in each way. ValueError for pairs, which have no classes."""
    if task.kind == "retrieval":
        raise ValueError(f"{task.name}: images with captions have no classes; leave it out")
    records = {name: zero_shot(subject, task=replace(task, templates=sentences)) for name, sentences in wordings(task).items()}
    first, last = records[NAMES], records[ENSEMBLE]
    gain = compare(first.arrays, last.arrays, task=task.name, metric=last.results[0].metric)
    return Asked(task=task.name, records=records, gain=gain)


def table(asked: Sequence[Asked]) -> Table:
    """A row for each task and their average; the last columns say what the ensemble adds to names, with p after Holm."""
    p_values = holm([one.gain.p_value for one in asked])
    rows: list[list[Cell]] = []
    for one, p_value in zip(asked, p_values, strict=True):
        results = [one.records[name].results[0] for name in (NAMES, PHOTO, OWN, ENSEMBLE)]
        best = max(result.value for result in results)
        cells = [number(result, is_best=result.value == best) for result in results]
        gained = Number(value=points(one.gain.difference), interval=between(one.gain.interval, signed=True))
        metric = results[0].metric
        name = one.task if metric == "accuracy" else f"{one.task} ({metric})"
        rows.append([name, *cells, gained, p_cell(p_value), count(one.gain.n)])
    if len(asked) > 1:
        means = [
            average([one.records[name].results[0] for one in asked], task="average") for name in (NAMES, PHOTO, OWN, ENSEMBLE)
        ]
        gained = Number(value=points(means[-1].value - means[0].value))
        rows.append([f"average of {len(asked)}", *map(number, means), gained, "", count(means[0].n)])
    note = (
        "Zero-shot accuracy, or the set's own metric, in %, with 95% intervals. Gain: the ensemble less the names, on the same"
        " images; p after Holm."
    )
    return Table(columns=["set", NAMES, PHOTO, OWN, ENSEMBLE, "gain", "p", "n"], rows=rows, note=note)


def summary(asked: Sequence[Asked]) -> str:
    """On how many sets sentences help, and by how much on the middle one, which no single set can move far."""
    better = sum(one.gain.interval[0] > 0 for one in asked)
    worse = sum(one.gain.interval[1] < 0 for one in asked)
    middle = float(np.median([one.gain.difference for one in asked]))
    return (
        f"Of {len(asked)} sets, the ensemble is better than the names on {better} and worse on {worse}, by 95% intervals;"
        f" the median gain is {points(middle)} points."
    )


def sections(asked: Sequence[Asked]) -> list[Section]:
    bars = [
        Bar(
            name=one.task,
            value=one.gain.difference,
            low=one.gain.interval[0],
            high=one.gain.interval[1],
            is_sure=one.gain.interval[0] > 0 or one.gain.interval[1] < 0,
        )
        for one in asked
    ]
    picture = Picture(
        svg=differences(bars, label="ensemble of sentences less names alone, points"),
        caption="What a set's sentences add to its class names, with 95% intervals; pale where it may be chance.",
        alt="; ".join(f"{bar.name} {points(bar.value)}" for bar in bars),
    )
    return [Section(title="Names, sentences, ensembles", blocks=[Text(_HOW), Text(summary(asked)), table(asked), picture])]


def write(asked: Sequence[Asked], out: Path, *, model: str) -> str:
    """The page and the lines; what is printed."""
    out.mkdir(parents=True, exist_ok=True)
    title, parts = "What words are worth", sections(asked)
    with atomic_file(out / PAGE, "w") as page:
        page.write(to_html(title, [model], parts))
    with atomic_file(out / LINES, "w") as lines:
        for one in asked:
            for name, record in one.records.items():
                results = [to_dict(result) for result in record.results]
                lines.writelines(json.dumps({"model": model, "words": name, **told}) + "\n" for told in results)
    return to_markdown(title, [model], parts, page=PAGE)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--task", action="append", required=True, help="a name or a folder; may be repeated")
    parser.add_argument("--data", type=Path, help="where data sets lie")
    parser.add_argument("--limit", type=int, help="look at no more than so many images")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        tasks = [find_task(name, root=given.data) for name in given.task]
        if given.limit is not None:
            tasks = [limited(task, given.limit) for task in tasks]
        backbone = ClipBackbone(fullclip.load(given.model, precision="float32"), name=given.model)
        subject = Subject(backbone=backbone, cache=cache_folder() / "features", world=World.single())
        print(write([ask(subject, task) for task in tasks], given.out, model=given.model), end="")
    except (ValueError, OSError) as error:
        sys.exit(f"prompts: {error}")


if __name__ == "__main__":
    main()
