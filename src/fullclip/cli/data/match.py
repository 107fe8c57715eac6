"""fullclip data match: rows with texts in, those that have a query in their text out."""

from typing import Annotated

import typer

from fullclip.cli.data.stages import EngineName, Out, RayAddress, Workers, engine_of, tell
from fullclip.cli.output import Json, note


def match(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="A stage's folder, tables (.csv .tsv .jsonl .parquet) or .txt with a text a line; local or s3://.",
        ),
    ],
    queries: Annotated[str, typer.Option(help="The list of `fullclip data queries`, or one query a line.")],
    out: Out,
    case_sensitive: Annotated[bool, typer.Option("--case-sensitive", help="Capital letters matter.")] = False,
    workers: Workers = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    json: Json = False,
) -> None:
    """Keep the rows whose text has a query in it, and name its queries.

    A match is the whole query, whatever the capital letters, and neither begins nor ends within a word: "dog" is in "hot-dog",
    and not in "dogma". DIR/queries.parquet has how many texts each query is in.
    """
    from contextlib import closing

    from fullclip.data.building.match import match as match_all
    from fullclip.data.building.rows import partitions
    from fullclip.data.drops import Drops

    drops = Drops()
    with closing(engine_of(engine, workers=workers, ray_address=ray_address)) as chosen:
        report = match_all(
            partitions(inputs), queries=queries, out=out, engine=chosen, case_sensitive=case_sensitive, drops=drops
        )
    if drops.counts:
        note(f"of the list: {drops.summary()}")
    tell(report, json=json)
