"""fullclip data shard, inspect, verify: pairs into shards, and a look at shards."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fullclip.cli.data.stages import EngineName, RayAddress, Workers, engine_of
from fullclip.cli.output import Json, note, show_json, show_table

if TYPE_CHECKING:
    from fullclip.data.building.sharding.shard import Sharded

Shards = Annotated[list[str], typer.Argument(help="Shards: files, globs or folders.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first thing that cannot be used.")]


def shard(
    source: Annotated[
        str, typer.Argument(help="A folder, a table (.csv .tsv .jsonl .parquet), .tar shards, or a stage's folder.")
    ],
    out: Annotated[str, typer.Option(help="The folder to write; of a stage's folder also s3://.")],
    pairs_per_shard: Annotated[
        int | None, typer.Option(min=1, help="How many pairs go into one shard.  [default: 1000]")
    ] = None,
    shard_bytes: Annotated[
        int | None, typer.Option(min=1, help="How large a shard may be, in place of --pairs-per-shard.")
    ] = None,
    shuffle: Annotated[
        bool | None, typer.Option("--shuffle/--no-shuffle", help="All pairs by chance.  [default: those of a stage's folder]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order.")] = 0,
    card: Annotated[
        bool | None, typer.Option("--card/--no-card", help="Write DATA.md and data.json.  [default: for a stage's folder]")
    ] = None,
    strict: Strict = False,
    workers: Workers = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    json: Json = False,
) -> None:
    """Write pairs as tar shards with an index.

    A stage's folder is shuffled as a whole, by a hash of the seed and each key, and DIR/DATA.md tells how the pairs came to be;
    the same command again goes on where it was stopped.
    """
    from contextlib import closing

    from fullclip import __version__
    from fullclip.core.folders import names_in
    from fullclip.core.storage import is_folder
    from fullclip.data.building.rows import PARTS

    is_stage = is_folder(source) and PARTS in names_in(source)
    if not (is_stage or shuffle or card or shard_bytes):
        _copy(source, out, pairs_per_shard=pairs_per_shard or 1000, strict=strict, json=json)
        return
    from fullclip.data.building.sharding.order import Limit
    from fullclip.data.building.sharding.shard import works_of, write_all

    if pairs_per_shard and shard_bytes:
        raise ValueError("give --pairs-per-shard or --shard-bytes, not both")
    limit = Limit(pairs=None if shard_bytes else pairs_per_shard or 1000, num_bytes=shard_bytes)
    with closing(engine_of(engine, workers=workers, ray_address=ray_address)) as chosen:
        found = write_all(
            works_of(source),
            out=out,
            engine=chosen,
            limit=limit,
            seed=seed if (is_stage if shuffle is None else shuffle) else None,
            made_with=f"fullclip {__version__}" if (is_stage if card is None else card) else None,
            strict=strict,
        )
    _tell_sharded(found, out, json=json)


def _copy(source: str, out: str, *, pairs_per_shard: int, strict: bool, json: bool) -> None:
    """Pairs as they come, in this process."""
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


def _tell_sharded(found: "Sharded", out: str, *, json: bool) -> None:
    from fullclip.data.building.sharding.shard import told

    for one in found.dropped:
        note(f"left out: {one.count:,} {one.reason} ({one.examples[0]})")
    if found.resumed:
        note(f"{found.resumed:,} of the shards were finished before")
    if json:
        show_json({**told(found), "out": out})
    else:
        typer.echo(f"{out}: {found.num_pairs:,} pairs in {len(found.shards):,} shards")


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
