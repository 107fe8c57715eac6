"""fullclip embed: any number of images and texts in, files of embeddings out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fullclip.cli.output import Json, note, show_json
from fullclip.cli.printable import printable

if TYPE_CHECKING:
    from fullclip.search.embed import Summary
    from fullclip.search.engines import Engine
    from fullclip.search.jobs import ModelChoice


def embed(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Images, folders, globs, .tar shards, tables (.csv .tsv .jsonl .parquet) or .txt; local, s3:// or https://.",
        ),
    ],
    out: Annotated[str, typer.Option(help="The folder to write, or to go on with; local or s3://.")],
    what: Annotated[Literal["images", "texts", "both"], typer.Option(help="What is embedded.")] = "images",
    model: Annotated[str, typer.Option(help="A name from `fullclip models list`, a folder or a file.")] = "small",
    file_format: Annotated[Literal["parquet", "npy"], typer.Option("--format", help="How embeddings are written.")] = "parquet",
    half: Annotated[bool, typer.Option("--half", help="Write float16 in place of float32.")] = False,
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="What the model computes in.  [default: the fastest that is right here]"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.  [default: cuda where there is one]")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="How many images the model sees at a time.  [default: 32, on a GPU by trying]")
    ] = None,
    decoding: Annotated[
        Literal["exact", "fast"], typer.Option(help="fast: twice to eight times as fast, and not to the bit.")
    ] = "exact",
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="ray: on all machines of a Ray cluster, or of Ray on this one.")
    ] = "local",
    json: Json = False,
) -> None:
    """Write the embeddings of any number of images or texts to disk. The same command again goes on where it was stopped."""
    import sys
    from contextlib import closing, redirect_stdout

    from fullclip.search.embed import embed as embed_all
    from fullclip.search.jobs import Layout, ModelChoice

    choice = ModelChoice(name=model, precision=precision, device=device, batch_size=batch_size, decoding=decoding)
    layout = Layout(what=what, format=file_format, half=half)
    with redirect_stdout(sys.stderr), closing(_engine(engine, choice)) as chosen:  # Ray prints what its workers say
        found = embed_all(inputs, out, engine=chosen, choice=choice, layout=layout)
    if json:
        show_json(_told(found))
        return
    sides = [_counted(number, one) for number, one in ((found.images, "image"), (found.texts, "text")) if number]
    typer.echo(f"{found.out}: {' and '.join(sides)} in {_counted(found.parts, 'part')}")
    for line in _remarks(found):
        note(line)


def _engine(name: str, choice: "ModelChoice") -> "Engine":
    if name == "ray":
        from fullclip.search.cluster import OnRay

        return OnRay(choice)
    from fullclip.cli.processes import pick_device
    from fullclip.search.engines import Local

    if choice.device is not None:
        pick_device(choice.device)
    return Local(choice)


def _counted(number: int, one: str) -> str:
    return f"{number:,} {one}{'s' if number != 1 else ''}"


def _told(found: "Summary") -> dict[str, Any]:
    """The summary as JSON."""
    return {
        "embedded": found.images + found.texts,
        "images": found.images,
        "texts": found.texts,
        "truncated": found.truncated,
        "skipped": sum(found.skipped.values()),
        "reasons": dict(found.skipped),
        "left_out": dict(found.left_out.counts),
        "parts": found.parts,
        "resumed": found.resumed,
        "seconds": round(found.seconds, 3),
        "rate": round(found.rate, 1),
        "out": found.out,
    }


def _remarks(found: "Summary") -> Iterator[str]:
    """What is worth a line on stderr."""
    if found.resumed:
        yield f"{found.resumed:,} of the parts were finished before"
    if found.resumed < found.parts:
        yield f"{found.seconds:,.1f} s, {found.rate:,.0f} a second"
    if found.truncated:
        yield f"{found.truncated:,} texts cut to what the model reads"
    if found.left_out.counts:
        yield f"left out: {printable(found.left_out.summary())}"
    if found.skipped:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in found.skipped.items())
        yield f"{sum(found.skipped.values()):,} skipped: {reasons}; each is named in {found.out}/skipped"
