"""How answers are shown: JSON or a table on stdout, words for people on stderr."""

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

_WIDTH_OF_A_PIPE = 4096  # so that a row stays one line

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def show_json(value: Any) -> None:
    """JSON on stdout, indented where a person looks at it."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """A table on stdout; numbers stand right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        numbers = bool(rows) and all(row[i][:1].isdigit() or row[i][:1] in "-–" for row in rows)
        table.add_column(Text(column), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    is_pipe = not sys.stdout.isatty()
    Console(width=_WIDTH_OF_A_PIPE if is_pipe else None, soft_wrap=is_pipe).print(table)


def note(text: str) -> None:
    """A line for people, on stderr."""
    typer.echo(text, err=True)
