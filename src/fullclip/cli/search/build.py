"""fullclip search build, add: pictures in, an index that has them out."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fullclip.cli.output import Json, note, show_json
from fullclip.cli.printable import printable

if TYPE_CHECKING:
    from fullclip.search.index.building import Summary
    from fullclip.search.jobs import ModelChoice

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Folders, images, globs, .tar shards, tables (.csv .tsv .jsonl .parquet), or what `fullclip embed` wrote.",
    ),
]
IndexFolder = Annotated[str, typer.Option("--index", metavar="DIR", help="The index's folder; local or s3://.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda.  [default: cuda where there is one]")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="How many images the model sees at a time.")]
Decoding = Annotated[Literal["exact", "fast"], typer.Option(help="fast: twice to eight times as fast, and not to the bit.")]


def build(
    inputs: Inputs,
    index: IndexFolder,
    model: Annotated[
        str | None, typer.Option(help="A name from `fullclip models list`, a folder or a file.  [default: small]")
    ] = None,
    device: Device = None,
    batch_size: BatchSize = None,
    decoding: Decoding = "exact",
    json: Json = False,
) -> None:
    """Make an index of pictures. The same command again goes on where it was stopped, and takes what is new or has changed."""
    from fullclip.search.index.building import add as add_all

    choice = _choice(model, device, batch_size, decoding)
    _show(add_all(inputs, index, choice=choice, create=True), json)


def add(
    inputs: Inputs,
    index: IndexFolder,
    device: Device = None,
    batch_size: BatchSize = None,
    decoding: Decoding = "exact",
    json: Json = False,
) -> None:
    """Add pictures to an index, with its own model: new ones, and those that have changed. What is there stays."""
    from fullclip.search.index.building import add as add_all
    from fullclip.search.index.mark import plain, read_mark

    name = read_mark(plain(index)).model if device or batch_size or decoding != "exact" else None
    _show(add_all(inputs, index, choice=_choice(name, device, batch_size, decoding)), json)


def _choice(
    model: str | None, device: str | None, batch_size: int | None, decoding: Literal["exact", "fast"]
) -> "ModelChoice | None":
    """None where nothing was said of the model."""
    from fullclip.search.jobs import ModelChoice

    if device is not None:
        from fullclip.cli.processes import pick_device

        pick_device(device)
    if (model, device, batch_size, decoding) == (None, None, None, "exact"):
        return None
    return ModelChoice(name=model or "small", device=device, batch_size=batch_size, decoding=decoding)


def _show(found: "Summary", json: bool) -> None:
    if json:
        show_json(asdict(found))
        return
    typer.echo(f"{found.index}: {found.rows:,} picture{'s' if found.rows != 1 else ''}")
    for line in _remarks(found):
        note(line)


def _remarks(found: "Summary") -> Iterator[str]:
    """What is worth a line on stderr."""
    counts = {"added": found.added, "replaced": found.replaced, "unchanged": found.unchanged}
    did = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    yield f"{did or 'nothing new'}, {found.seconds:,.1f} s"
    for reason, count in found.skipped.items():
        yield f"{count:,} skipped: {reason}, as {printable(found.examples[reason][0])}"
