"""A table of a comparison's page, shown in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from fullclip.cli.output import note, show_table

if TYPE_CHECKING:
    from fullclip.evaluation.report.document import Cell, Table


def show(table: "Table", sentences: Sequence[str] = ()) -> None:
    """The table on stdout with sentences below it; what its numbers are goes to stderr."""
    show_table(table.columns, [[_words(cell) for cell in row] for row in table.rows])
    for sentence in sentences:
        typer.echo(sentence)
    note(table.note)


def _words(cell: "Cell") -> str:
    from fullclip.evaluation.report.document import Link, Number

    if isinstance(cell, Number):
        return f"{cell.value} ({cell.interval})" if cell.interval else cell.value
    return cell.text if isinstance(cell, Link) else cell
