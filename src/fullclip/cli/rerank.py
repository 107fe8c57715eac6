"""fullclip rerank: a caption and pictures in, the pictures that fit it best out, with a contact sheet and copies of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fullclip.cli.output import Json, note, show_json, show_table
from fullclip.cli.printable import printable

if TYPE_CHECKING:
    from fullclip.core.types import Hit
    from fullclip.data.drops import Drops
    from fullclip.search.candidates import Named
    from fullclip.search.rerank import Reranker
    from fullclip.search.units import Work

_LONGEST_NAME = 100


def rerank(
    caption: Annotated[str, typer.Argument(metavar="CAPTION", help="What the pictures should show.")],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES",
            help="Files, folders, globs, .tar shards or tables, local, s3:// or https://, or - for a list of files on stdin.",
        ),
    ],
    also: Annotated[
        list[str] | None, typer.Option(metavar="CAPTION", help="The same in other words, for a mean of all; may be repeated.")
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            help="A sentence with {} for the caption, such as 'A photo depicts {}'; may be repeated.  [default: the caption]"
        ),
    ] = None,
    references: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A caption that people wrote, for RefCLIPScore; may be repeated."),
    ] = None,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut texts that are longer than the model reads.")] = False,
    top: Annotated[int, typer.Option(min=1, help="How many to show.")] = 32,
    diversity: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="From 0, by score alone, to 1: push down what is like a picture above it; 0.3 does for copies."
        ),
    ] = 0.0,
    model: Annotated[str, typer.Option(help="A name from `fullclip models list`, a folder or a file.")] = "small",
    grid: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the pictures with their scores.")] = None,
    copy_to: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy the files into a new folder, best first.")] = None,
    json: Json = False,
) -> None:
    """Show the images that fit a caption best, as DALL-E's 512 pictures were shown: the 32 that CLIP liked best."""
    import sys

    from fullclip.data.drops import Drops
    from fullclip.inference import load
    from fullclip.search.rerank import Reranker, check_texts
    from fullclip.search.units import find_work

    captions, templates, drops = [caption, *(also or [])], template or ["{}"], Drops(num_examples=sys.maxsize)
    check_texts(captions, templates=templates, references=references or [])
    _check_outputs(grid, copy_to, top)
    found, left_out = _sorted_out(images)
    if not found and not left_out.counts:
        raise ValueError("no images to rank: the list on stdin is empty")
    works = find_work(found, what="images", drops=left_out) if found else []
    encoder = load(model)
    with _options_by_name():
        reranker = Reranker(
            encoder,
            captions,
            top=top,
            templates=templates,
            diversity=diversity,
            references=references or [],
            truncate=truncate,
            drops=drops,
        )
    reranker.add(_with_a_bar(works, left_out))
    left_out.merge(drops)
    skipped = [_decodable(f"{reason}: {name}") for reason, names in left_out.examples.items() for name in names]
    hits = reranker.best()
    if not hits:
        raise ValueError(f"none of the images could be read{'; ' if skipped else ''}{''.join(skipped[:1])}")
    copies = _copy(reranker, hits, copy_to) if copy_to is not None else []
    if grid is not None:
        _draw(reranker, grid)
    told = _told(hits, copies, is_compared=bool(references))
    if json:
        show_json({"captions": captions, **told, "images": reranker.num_ranked, "skipped": skipped})
    else:
        _show(told, skipped, num_ranked=reranker.num_ranked)


@contextmanager
def _options_by_name() -> Iterator[None]:
    """Errors that say what to pass in Python say what to type instead."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace("pass truncate=True", "add --truncate")) from None


def _check_outputs(grid: Path | None, copy_to: Path | None, top: int) -> None:
    """ValueError for what could not be written in the end, before a model is opened."""
    from fullclip.search.rerank import MOST_ON_A_SHEET

    if grid is not None and grid.is_dir():
        raise ValueError(f"{grid} is a folder: --grid takes a file, such as {grid}/grid.png")
    if grid is not None and top > MOST_ON_A_SHEET:
        raise ValueError(f"--grid draws {MOST_ON_A_SHEET} pictures at most: give --top {MOST_ON_A_SHEET}, or leave --grid out")
    if copy_to is not None and copy_to.exists() and (not copy_to.is_dir() or any(copy_to.iterdir())):
        raise ValueError(f"{copy_to} is there already: --copy-to takes a new folder, or an empty one")


def _sorted_out(patterns: list[str]) -> "tuple[list[str], Drops]":
    """What there is to read, and the files of the list that are missing or hold texts: each is one image skipped, not the end
    of a long list.
    """
    import sys

    from fullclip.core.storage import exists, is_remote
    from fullclip.data.drops import Drops

    listed, drops = list[str](), Drops(num_examples=sys.maxsize)
    for pattern in patterns:
        listed += [line.strip() for line in sys.stdin if line.strip()] if pattern == "-" else [pattern]
    found = list[str]()
    for name in listed:
        is_one_file = bool(name) and not is_remote(name) and not any(character in name for character in "*?[{")
        if is_one_file and not exists(name):
            drops.drop("no such file", name)
        elif is_one_file and name.lower().endswith(".txt"):
            drops.drop("not an image", name)
        else:
            found.append(name)
    return found, drops


def _with_a_bar(works: "Sequence[Work]", drops: "Drops") -> "Iterator[Named]":
    """The images of all units under the names that a user knows them by: paths as they were typed, or shard:key."""
    from fullclip.core.logs import track
    from fullclip.search.candidates import Named
    from fullclip.search.items import read_items

    found = ((work.unit.kind, item) for work in works for item in read_items(work, "images", drops))
    for kind, item in track(found, "ranking", unit="images"):
        if item.image is not None:
            yield Named(key=item.key if kind == "files" else item.name, image=item.image)


def _copy(reranker: "Reranker", hits: "Sequence[Hit]", folder: Path) -> list[str]:
    """Copy the files of `hits` into `folder`, which appears when all are there, and say what they are called."""
    from fullclip.core.storage import atomic_folder, open_file

    names = list[str]()
    with atomic_folder(folder) as new:
        for rank, (hit, file) in enumerate(zip(hits, reranker.files(), strict=True), 1):
            if isinstance(file, bytes):
                content = file
            else:
                with open_file(str(file)) as opened:
                    content = opened.read()
            names.append(f"{rank:0{len(str(len(hits)))}d}-{_file_name(hit.key, content)}")
            (new / names[-1]).write_bytes(content)
    return [str(folder / name) for name in names]


def _file_name(key: str, content: bytes) -> str:
    """The last part of a key as a file's name, with the ending of what it is."""
    import re

    from fullclip.preprocess.image import image_extension

    stem, dot, ending = re.sub(r"[^\w.-]+", "_", re.split(r"[/\\:]", key)[-1])[-_LONGEST_NAME:].rpartition(".")
    try:
        return f"{stem if dot else ending}.{image_extension(content, name=key)}"
    except ValueError:  # of a kind that Pillow reads and we have no ending for
        return f"{stem}{dot}{ending}"


def _draw(reranker: "Reranker", path: Path) -> None:
    from fullclip.core.storage import atomic_file

    sheet = reranker.contact_sheet()
    with atomic_file(path) as file:
        sheet.save(file, "PNG")


def _decodable(name: str) -> str:
    """A name that can be printed, of one that may hold bytes which are no text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _told(hits: "Sequence[Hit]", copies: Sequence[str], *, is_compared: bool) -> dict[str, Any]:
    """The answer as JSON."""
    told = [
        {"rank": rank, "image": _decodable(hit.key), "score": hit.score, "cosine": hit.meta["cosine"]}
        for rank, hit in enumerate(hits, 1)
    ]
    for one, hit in zip(told, hits, strict=True):
        if is_compared:
            one["clip_score"] = hit.meta["clip_score"]
    for one, name in zip(told, copies, strict=False):
        one["copy"] = name
    return {"score": "RefCLIPScore" if is_compared else "CLIPScore", "hits": told}


def _show(told: dict[str, Any], skipped: list[str], *, num_ranked: int) -> None:
    """The table, and what is worth a line on stderr."""
    rows: list[Sequence[str]] = [(str(hit["rank"]), f"{hit['score']:.4f}", printable(hit["image"])) for hit in told["hits"]]
    show_table(["rank", told["score"], "image"], rows)
    for one in skipped:
        note(f"skipped: {printable(one)}")
    note(f"{num_ranked:,} image{'s' if num_ranked != 1 else ''} ranked, {len(skipped):,} skipped")
