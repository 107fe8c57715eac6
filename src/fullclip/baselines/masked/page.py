"""Rows of the comparison with masked patches -> a table, and a page of it."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from fullclip.baselines.masked.comparison import READINGS, WAYS
from fullclip.baselines.results.records import Row
from fullclip.core.storage import atomic_file
from fullclip.evaluation.report.document import Cell, Number, Section, Table, Text
from fullclip.evaluation.report.page import to_html
from fullclip.evaluation.report.wording import DASH, between, percent

PAGE = "masked.html"

_HOW = (
    "Every tower begins with the same weights for a seed and sees the same pictures in the same order. Masked patches learn"
    " from pictures alone; half of the patches are spoilt, and the mean colour of each is predicted, one of 512. Contrast"
    " learns from pictures and their captions. A linear probe is then fitted on each tower's features, its penalty chosen on a"
    " fifth of the training pictures (appendix A.3 of the CLIP paper)."
)
_PAPER = (
    "In the Vision Transformer paper (section 4.6), a ViT-B/16 that learned from masked patches of 300 million pictures and was"
    " fine-tuned has 79.9% on ImageNet, 2 points more than without pre-training and 4 fewer than with labels before."
)


def table(rows: Sequence[Row]) -> Table:
    """The probe's accuracy by way and reading, the mean of the seeds with the lowest and the highest."""
    body: list[list[Cell]] = []
    for way in [way for way in WAYS if any(row["way"] == way for row in rows)]:
        own = [row for row in rows if row["way"] == way]
        losses = [row["held_out_loss"] for row in own if "held_out_loss" in row]
        seeds = len({row["seed"] for row in own})
        cells = [_cell([row["value"] for row in own if row["reading"] == reading]) for reading in READINGS]
        body.append([way, *cells, Number(value=f"{mean(losses):.2f}" if losses else DASH), Number(value=str(seeds))])
    wide = max(row["interval"][1] - row["interval"][0] for row in rows) / 2
    note = (
        f"Accuracy of a linear probe in %, on {rows[0]['n']:,} pictures of {rows[0]['task']}, fitted on {rows[0]['train']:,};"
        f" after {max(row['images'] for row in rows):,} images. Each number also has a 95% interval of up to ±{percent(wide)}"
        " points from the pictures. The loss is that of masked colours of pictures that were not learned from; guessing: 6.24."
    )
    return Table(columns=["learned from", *READINGS, "masked loss", "seeds"], rows=body, note=note)


def _cell(values: Sequence[float]) -> Number:
    ends = (min(values), max(values))
    return Number(value=percent(mean(values)), interval=between(ends) if len(values) > 1 else "")


def write_page(rows: Sequence[Row], out: Path, *, data: str) -> None:
    """One HTML page. `data` says in a sentence what was learned from."""
    with atomic_file(out, "w") as file:
        section = Section(title="Linear probes", blocks=[table(rows), Text(_HOW), Text(_PAPER)])
        file.write(to_html("Masked patches and contrast, probed", [data], [section]))
