"""fullclip data download: rows with URLs in, the same with their images out."""

from typing import TYPE_CHECKING, Annotated

import typer

from fullclip.cli.data.stages import EngineName, Out, RayAddress, engine_of, tell
from fullclip.cli.output import Json, note

if TYPE_CHECKING:
    from fullclip.data.building.stage import Report


def download(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT", help="A stage's folder, or tables (.csv .tsv .jsonl .parquet) with a column url; local or s3://."
        ),
    ],
    out: Out,
    user_agent: Annotated[
        str | None,
        typer.Option(help="Who asks; name a page or an address where you can be reached.  [default: fullclip/VERSION]"),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time, of a process.")] = 64,
    per_host: Annotated[int, typer.Option(min=1, help="Requests at a time to one host.")] = 2,
    host_delay: Annotated[float, typer.Option(min=0, help="Seconds between two requests to one host.")] = 0.0,
    retries: Annotated[int, typer.Option(min=0, help="Further tries where one may help.")] = 2,
    timeout: Annotated[float, typer.Option(help="Seconds for a whole try.")] = 20.0,
    max_bytes: Annotated[int, typer.Option(min=1, help="The largest file.")] = 20 << 20,
    min_side: Annotated[int, typer.Option(min=0, help="Pixels of the shorter side, at least.")] = 64,
    max_aspect: Annotated[float, typer.Option(min=1, help="The longer side by the shorter, at most.")] = 3.0,
    root: Annotated[
        list[str] | None,
        typer.Option(help="Read a `url` that is a path of this machine, where it lies below this folder; may be repeated."),
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Ask also addresses that are not public, and any port.")
    ] = False,
    ignore_robots: Annotated[bool, typer.Option("--ignore-robots", help="Do not ask for robots.txt.")] = False,
    ignore_opt_out: Annotated[
        bool, typer.Option("--ignore-opt-out", help="Keep images whose headers say noai, noimageai, noindex.")
    ] = False,
    part_rows: Annotated[int, typer.Option(min=1, help="Rows of a part.")] = 1000,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes of this machine, which share what a host is asked at a time.")
    ] = 1,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    json: Json = False,
) -> None:
    """Fetch the images of rows, politely and safely. The same command again goes on where it was stopped, and asks for nothing
    twice. DIR/failed has the rows that gave no image, with the reason.
    """
    import os
    from contextlib import closing

    from fullclip import __version__
    from fullclip.data.building.downloading.download import download as download_all, pieces
    from fullclip.data.building.downloading.fetch import Rules
    from fullclip.data.building.downloading.partition import Pace

    rules = Rules(
        user_agent=user_agent if user_agent is not None else f"fullclip/{__version__}",
        timeout=timeout,
        retries=retries,
        max_bytes=max_bytes,
        min_side=min_side,
        max_aspect=max_aspect,
        robots=not ignore_robots,
        opt_out=not ignore_opt_out,
        allow_private=allow_private,
        roots=tuple(root or ()),
    )
    pace = Pace(
        concurrency=concurrency,
        per_host=max(1, per_host // workers),
        host_delay=host_delay * workers,
        threads=max(1, (os.cpu_count() or 1) // workers) if engine == "local" else 1,
    )
    local = workers if engine == "local" or workers > 1 else None
    with closing(engine_of(engine, workers=local, ray_address=ray_address)) as chosen:
        report = download_all(pieces(inputs, rows=part_rows), out=out, rules=rules, pace=pace, engine=chosen)
    tell(report, json=json)
    if not json:
        _tell_speed(report)


def _tell_speed(report: "Report") -> None:
    """How fast it went, where all of it was done now."""
    if report.seconds > 0 and not report.resumed:
        megabytes = report.counts.get("image_bytes", 0) / 1e6
        note(f"{report.num_out / report.seconds:,.1f} images/s, {megabytes / report.seconds:,.1f} MB/s")
    if report.num_out < report.num_in:
        note(f"each row without an image is named in {report.out}/failed")
