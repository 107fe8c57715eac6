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
    missing: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Pictures that were added from this folder, and whose files are no longer there."),
    ] = None,
    even_most: Annotated[
        bool, typer.Option("--even-most", help="With --missing: even where most of them, or the folder, are gone.")
    ] = False,
    json: Json = False,
) -> None:
    """Take pictures out of an index: by their keys, by a condition, or because their files are gone."""
    from fullclip.search.index import removing

    if even_most and missing is None:
        raise ValueError("--even-most goes with --missing FOLDER")
    if missing is not None:
        if keys or where is not None:
            raise ValueError("--missing goes alone: keys and --where in a command of their own")
        number = removing.remove_missing(index, missing, even_most=even_most)
    else:
        number = removing.remove(index, keys=keys or (), where=where)
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
