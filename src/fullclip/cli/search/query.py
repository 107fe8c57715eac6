"""fullclip search query: words and pictures in, the pictures of an index that fit them best out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fullclip.cli.output import Json, note, show_json, show_table
from fullclip.cli.printable import printable
from fullclip.cli.search.rows import Folder

if TYPE_CHECKING:
    from fullclip.core.types import Hit
    from fullclip.search.index import Index

_LONGEST = 60


def query(
    index: Folder,
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="What to look for; several are averaged.")] = None,
    image: Annotated[list[str] | None, typer.Option(metavar="FILE", help="Like this picture; may be repeated.")] = None,
    like: Annotated[list[str] | None, typer.Option(metavar="KEY", help="Like this one of the index; may be repeated.")] = None,
    minus: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="Away from this; may be repeated.")] = None,
    where: Annotated[
        str | None, typer.Option(help="A condition in SQL, such as \"width > 500 AND caption LIKE '%dog%'\".")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many pictures to show.")] = 10,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Show pictures that are nearly the same each on its own.")
    ] = False,
    thumbnails: Annotated[bool, typer.Option("--thumbnails", help="With --json: small JPEGs as data URLs.")] = False,
    grid: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Write the pictures found as one.")] = None,
    json: Json = False,
) -> None:
    """Find the pictures of an index that fit words, pictures, or both."""
    import fullclip
    from fullclip.search.index import Index
    from fullclip.search.query import combined

    if thumbnails and not json:
        raise ValueError("--thumbnails goes into JSON: add --json, or use --grid FILE.png")
    if grid is not None and grid.suffix.lower() != ".png":
        raise ValueError(f"--grid {grid}: the sheet is a PNG; give a name that ends with .png")
    opened = Index.open(index)
    if not (texts or image or like):
        raise ValueError(
            'nothing to look for: give a text, --image FILE or --like KEY, as in: fullclip search query DIR "a dog"'
        )
    encoder = fullclip.load(opened.model)
    vector = combined(encoder, opened, texts=texts or (), images=image or (), like=like or (), minus=minus or ())
    words = [*(texts or ()), *(minus or ())]
    if words and encoder.tokenizer is not None and encoder.tokenizer.encode(words, truncate=True).num_truncated:
        note(f"only the beginning of a text was read: the model reads {encoder.tokenizer.context_length - 2} pieces of words")
    hits = opened.search(vector[None], top=top, where=where, fold=not duplicates)[0]
    if grid is not None:
        _write_grid(opened, hits, grid)
    if json:
        small = opened.thumbnails([hit.key for hit in hits]) if thumbnails else None
        show_json({"hits": [_told(hit, small) for hit in hits]})
        return
    show_table(["score", "key", "caption", "also"], [_row(hit) for hit in hits])
    if not hits:
        note("nothing passes" if where else "the index is empty")


def _told(hit: "Hit", thumbnails: Mapping[str, bytes | None] | None) -> dict[str, Any]:
    told: dict[str, Any] = {"key": hit.key, "score": hit.score, "meta": dict(hit.meta)}
    if thumbnails is not None:
        from base64 import b64encode

        jpeg = thumbnails.get(hit.key)
        told["thumbnail"] = None if jpeg is None else f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"
    return told


def _row(hit: "Hit") -> Sequence[str]:
    caption, also = printable(hit.meta.get("caption", "")), len(hit.meta.get("duplicates", ()))
    short = caption if len(caption) <= _LONGEST else f"{caption[: _LONGEST - 1]}…"
    return f"{hit.score:.3f}", printable(hit.key), short, f"{also} more" if also else ""


def _write_grid(index: "Index", hits: "Sequence[Hit]", path: Path) -> None:
    """Cards of the hits that have a thumbnail, best first, each with its score and caption."""
    from fullclip.core.storage import atomic_file
    from fullclip.core.types import Pair
    from fullclip.data.contact_sheet import draw_contact_sheet
    from fullclip.data.drops import Drops

    thumbnails = index.thumbnails([hit.key for hit in hits])
    pairs = [
        Pair(key=hit.key, image=jpeg, texts=(f"{hit.score:.3f} {printable(hit.meta.get('caption') or hit.key)}",))
        for hit in hits
        if (jpeg := thumbnails.get(hit.key)) is not None
    ]
    if not pairs:
        raise ValueError("none of the pictures found has a thumbnail, or none was found: no sheet to draw")
    drops = Drops()
    sheet = draw_contact_sheet(pairs, drops)
    with atomic_file(path) as file:
        sheet.save(file, "PNG")
    if drops.counts:
        note(drops.summary())
