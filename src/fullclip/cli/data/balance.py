"""fullclip data balance: matched rows in, a sample of them without a swollen head out."""

from typing import Annotated

import typer

from fullclip.cli.data.stages import EngineName, Out, RayAddress, Workers, engine_of, tell
from fullclip.cli.output import Json, note


def balance(
    inputs: Annotated[list[str], typer.Argument(metavar="DIR", help="What `fullclip data match` wrote; local or s3://.")],
    out: Out,
    cap: Annotated[int, typer.Option(min=1, help="About how many pairs a query keeps; the paper's is 20,000.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Which pairs are drawn.")] = 0,
    workers: Workers = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    json: Json = False,
) -> None:
    """Sample the pairs of frequent queries, and keep all of rare ones.

    A pair stays where any of its queries draws u < cap / max(count, cap). The same seed keeps the same pairs, however they are
    partitioned. DIR/balance.png shows head and tail before and after.
    """
    from contextlib import closing

    from fullclip.data.building.balance import CURVE_NAME, balance as balance_all
    from fullclip.data.building.rows import partitions

    with closing(engine_of(engine, workers=workers, ray_address=ray_address)) as chosen:
        report = balance_all(partitions(inputs), out=out, cap=cap, seed=seed, engine=chosen)
    tell(report, json=json)
    note(f"head and tail: {report.out}/{CURVE_NAME}")
