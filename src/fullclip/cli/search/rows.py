"""fullclip search remove, stats: rows out of an index, and what it holds."""

from dataclasses import asdict
from typing import Annotated

import typer

from fullclip.cli.output import Json, show_json, show_table
from fullclip.cli.search.build import IndexFolder

Folder = Annotated[str, typer.Argument(metavar="DIR", help="The index's folder; local or s3://.")]


def remove(
    index: IndexFolder,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY", help="Keys of pictures, as a query shows them.")] = None,
    where: Annotated[str | None, typer.Option(help="A condition in SQL, such as \"path LIKE 'old/%'\".")] = None,
    json: Json = False,
) -> None:
    """Take pictures out of an index, by their keys or by a condition."""
    from fullclip.search.index.building import remove as remove_all

    number = remove_all(index, keys=keys or (), where=where)
    if json:
        show_json({"removed": number})
    else:
        typer.echo(f"{number:,} removed")


def stats(index: Folder, json: Json = False) -> None:
    """Say what an index holds: its model, how many pictures, and the columns that --where can ask for."""
    from fullclip.search.index import Index

    found = asdict(Index.open(index).stats())
    if json:
        show_json(found)
        return
    fields = found.pop("fields")
    rows = [[name, f"{value:,}" if isinstance(value, int) else str(value)] for name, value in found.items()]
    show_table(["", index], [*rows, ["columns", ", ".join(f"{name} ({kind})" for name, kind in fields.items())]])
