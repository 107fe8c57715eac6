"""fullclip data collect: crawled pages, tables and folders in, (image address, text) pairs out."""

from typing import Annotated

import typer

from fullclip.cli.data.stages import EngineName, Out, RayAddress, Workers, engine_of, tell
from fullclip.cli.output import Json


def collect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="WARC or WAT files (.warc.gz .wat.gz), tables with columns url and text (.csv .tsv .jsonl .parquet), folders "
            "of an earlier stage, pages (.html), folders of pages, or of images with texts (a.jpg, a.txt); local or s3://.",
        ),
    ],
    out: Out,
    language: Annotated[str, typer.Option(help="The language that texts must be in (en, de, ...), or any.")] = "en",
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Where on a page texts may come from; may be repeated.  [default: alt title label caption link og]"),
    ] = None,
    words: Annotated[str, typer.Option(metavar="LEAST-MOST", help="How many words a text may have.")] = "2-200",
    characters: Annotated[str, typer.Option(metavar="LEAST-MOST", help="How many characters a text may have.")] = "5-1000",
    min_side: Annotated[int, typer.Option(min=0, help="The least width and height, in pixels, where a page tells them.")] = 64,
    max_aspect: Annotated[float, typer.Option(min=1, help="How many times its breadth an image may be long.")] = 3.0,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(metavar="ENDING", help="Endings of image addresses to leave out.  [default: svg svgz ico cur]"),
    ] = None,
    base: Annotated[str, typer.Option(metavar="URL", help="The address on the web of a folder of pages.")] = "",
    max_images: Annotated[int, typer.Option(min=1, help="How many images of a page are looked at.")] = 1000,
    keep_opted_out: Annotated[
        bool, typer.Option("--keep-opted-out", help="Use pages that say noai, noimageai or noimageindex as well.")
    ] = False,
    workers: Workers = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    json: Json = False,
) -> None:
    """Collect pairs of an image's address and a text. What is left out is counted by reason.

    The same command again goes on where it was stopped.
    """
    import sys
    from contextlib import closing, redirect_stdout

    from fullclip.data.building.collecting.collect import collect as collect_pairs
    from fullclip.data.building.collecting.settings import KINDS, Collecting, ImageRules, Limits, TextRules

    (min_words, max_words), (min_characters, max_characters) = _range("--words", words), _range("--characters", characters)
    texts = TextRules(min_words=min_words, max_words=max_words, min_characters=min_characters, max_characters=max_characters)
    endings = ImageRules().left_out_endings if leave_out is None else tuple(one.lower().lstrip(".") for one in leave_out)
    settings = Collecting(
        language=language,
        kinds=KINDS if kind is None else tuple(kind),
        keep_opted_out=keep_opted_out,
        base=base,
        texts=texts,
        images=ImageRules(min_side=min_side, max_aspect=max_aspect, left_out_endings=endings),
        limits=Limits(max_images=max_images),
    )
    with redirect_stdout(sys.stderr), closing(engine_of(engine, workers=workers, ray_address=ray_address)) as chosen:
        report = collect_pairs(inputs, out, engine=chosen, settings=settings)
    tell(report, json=json)


def _range(option: str, written: str) -> tuple[int, int]:
    """LEAST-MOST as two numbers."""
    least, dash, most = written.partition("-")
    if not dash or not least.isdecimal() or not most.isdecimal():
        raise ValueError(f"{option} {written}: give the least and the most, such as 2-200")
    return int(least), int(most)
