"""fullclip report: folders of evaluations in; a Markdown table, JSON lines, a page with figures out."""

from pathlib import Path
from typing import Annotated

import typer

from fullclip.cli.output import note


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that `fullclip evaluate` has written.")],
    baseline: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN",
            help="An evaluation that others are held against: a supervised network, or a model that robustness lines go"
            " through; may be repeated.",
        ),
    ] = None,
    line: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Published accuracies of more models for the robustness lines:"
            " model,shift,reference_accuracy,shift_accuracy,reference_n,shift_n.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The page; the same in Markdown is written beside it.")] = Path("report.html"),
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines instead of Markdown.")] = False,
) -> None:
    """Put evaluations side by side: numbers with intervals, paired tests, and the figures of the paper on one page."""
    import json as lines_of_json

    from fullclip.evaluation.report.write import write_report

    found = write_report(runs, out, baselines=baseline or [], line=line)
    if json:
        for one in found.lines:
            typer.echo(lines_of_json.dumps(one, ensure_ascii=False))
    else:
        typer.echo(found.markdown, nl=False)
    note(f"the page: {out.resolve()}")
