"""What the commands that build a data set share: where they run, and how they tell what became of the rows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fullclip.cli.output import note, show_json

if TYPE_CHECKING:
    from fullclip.data.building.engine import Engine
    from fullclip.data.building.stage import Report

Out = Annotated[str, typer.Option(help="The folder to write, or to go on with; local or s3://.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes of this machine.  [default: one for each processor]")]
EngineName = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="ray: on all machines of a Ray cluster, or of Ray on this one.")
]
RayAddress = Annotated[
    str | None, typer.Option(help="The Ray cluster to join.  [default: $RAY_ADDRESS, or one that runs here]")
]


def engine_of(name: str, *, workers: int | None, ray_address: str | None) -> "Engine":
    """The engine that was asked for; ValueError where the options do not go together."""
    if name == "ray":
        if workers is not None:
            raise ValueError("--workers is for --engine local; on Ray every processor of the cluster works")
        from fullclip.data.building.cluster import OnRay

        return OnRay(ray_address)
    if ray_address is not None:
        raise ValueError("--ray-address is for --engine ray; add it")
    from fullclip.data.building.engine import Pool

    return Pool(workers)


def tell(report: "Report", *, json: bool) -> None:
    """What became of the rows: counts by reason; JSON, or lines for people."""
    from fullclip.data.building.stage import told

    if json:
        run = {"out": report.out, "resumed": report.resumed, "seconds": round(report.seconds, 3)}
        show_json({**told(report), **run})
        return
    typer.echo(f"{report.out}: {report.num_out:,} of {_counted(report.num_in, 'row')} in {_counted(report.num_parts, 'part')}")
    for one in report.dropped:
        note(f"left out: {one.count:,} {one.reason} ({one.examples[0]})")
    for name, value in report.counts.items():
        note(f"{name.replace('_', ' ')}: {_shown(value)}")
    if report.resumed:
        note(f"finished before: {_counted(report.resumed, 'part')}")
    if report.resumed < report.num_parts:
        note(f"{report.seconds:,.1f} s")


def _counted(number: int, one: str) -> str:
    return f"{number:,} {one}{'s' if number != 1 else ''}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_shown(item)}" for name, item in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
