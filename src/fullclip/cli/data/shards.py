"""fullclip data shard, inspect, verify: pairs into shards, and a look at shards."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fullclip.cli.output import Json, note, show_json, show_table

Shards = Annotated[list[str], typer.Argument(help="Shards: files, globs or folders.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first thing that cannot be used.")]


def shard(
    source: Annotated[str, typer.Argument(help="A folder, a table (.csv .tsv .jsonl .parquet) or .tar shards.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    pairs_per_shard: Annotated[int, typer.Option(min=1, help="How many pairs go into one shard.")] = 1000,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Write pairs as tar shards with an index."""
    from fullclip.core.config import to_dict
    from fullclip.core.logs import track
    from fullclip.data.drops import Drops
    from fullclip.data.shards import write_shards
    from fullclip.data.sources import read_source

    drops = Drops(strict=strict)
    try:
        index = write_shards(track(read_source(source, drops), "writing", unit="pairs"), out, pairs_per_shard=pairs_per_shard)
    finally:
        if drops.counts:
            note(f"left out: {drops.summary()}")
    if json:
        show_json({**to_dict(index), "dropped": drops.report()})
    else:
        typer.echo(f"{out}: {index.num_pairs:,} pairs in {len(index.shards):,} shards")


def inspect(
    shards: Shards,
    grid: Annotated[Path | None, typer.Option(help="Write a PNG of some pairs here.")] = None,
    pictures: Annotated[int, typer.Option(min=1, help="How many pairs the picture shows.")] = 64,
    seed: Annotated[int, typer.Option(help="Which pairs the picture shows.")] = 0,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Show what shards hold: counts, text lengths, image sizes, and a picture of some pairs."""
    from fullclip.core.config import to_dict
    from fullclip.data.drops import Drops
    from fullclip.data.inspect import inspect_shards

    drops = Drops(strict=strict)
    found = to_dict(inspect_shards(shards, drops=drops, grid=grid, num_pictures=pictures, seed=seed))
    if json:
        show_json({**found, "dropped": drops.report()})
        return
    show_table(["what", "value"], [(name.replace("_", " "), _cell(value)) for name, value in found.items()])
    if drops.counts:
        note(f"left out: {drops.summary()}")
    if grid:
        note(f"the picture: {grid}")


def verify(
    shards: Shards,
    quick: Annotated[bool, typer.Option("--quick", help="Do not decode the images.")] = False,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Check shards against their index, and every image; exit code 1 where something is wrong."""
    from fullclip.core.config import to_dict
    from fullclip.data.drops import Drops
    from fullclip.data.verify import verify_shards

    drops = Drops(strict=strict, num_examples=sys.maxsize)
    found = verify_shards(shards, drops=drops, decode=not quick)
    if json:
        show_json({**to_dict(found), "dropped": drops.report()})
    else:
        left_out = [f"{reason}: {name}" for reason, names in drops.examples.items() for name in names]
        for line in (*found.problems, *found.notes, *left_out):
            typer.echo(line)
        typer.echo(f"{found.num_pairs:,} pairs in {found.num_shards:,} shards, {found.num_bytes:,} bytes")
    if found.problems or drops.counts:
        raise typer.Exit(1)


def _cell(value: Any) -> str:
    """A value of a table."""
    if isinstance(value, dict) and value.keys() == {"name", "count"}:
        return f"{value['name']} {value['count']:,}"
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_cell(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
