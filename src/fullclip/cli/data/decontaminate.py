"""fullclip data decontaminate: shards and tasks in, the shards without the tasks' test pictures out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fullclip.cli.output import Json, note, show_json, show_table
from fullclip.cli.processes import one_voice

if TYPE_CHECKING:
    from fullclip.evaluation.overlap.decontaminate import Wanted


def decontaminate(
    shards: Annotated[list[str], typer.Argument(help="Shards: files, globs or folders.")],
    task: Annotated[
        list[str],
        typer.Option(
            help="A set of `fullclip evaluate --list`, a task's folder, a folder of images, or shards; may be repeated."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The folder to write.")] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]NUMBER",
            help="From which similarity on (0 to 1) pictures are the same, for all sets or one; may be repeated."
            "  [default: what fits each set, from 0.8 on]",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where data sets lie.  [default: $FULLCLIP_DATASETS, or the cache]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look, and write nothing.")] = False,
    json: Json = False,
) -> None:
    """Leave out the pairs whose picture is (nearly) a test picture of some tasks, so that their numbers can be trusted.

    Found are copies that were recompressed, resized, recoloured, mirrored, framed, or cropped by up to a fifth on each side.
    DIR/decontamination.html shows them. Many processes: torchrun --nproc-per-node 8 -m fullclip data decontaminate ...
    """
    from fullclip.core import distributed
    from fullclip.core.storage import cache_folder
    from fullclip.data.shards import find_shards
    from fullclip.evaluation.overlap.decontaminate import decontaminate

    if (out is None) != dry_run:
        raise ValueError("give either --out DIR, the folder to write, or --dry-run to look only")
    world = distributed.start()
    try:
        with one_voice(world.rank, how_to_go_on="the same command goes on"):
            wanted = distributed.together(lambda: _wanted(task, threshold or [], data), world)
            paths = distributed.on_leader(lambda: find_shards(shards), world)
            told = decontaminate(wanted, paths, out=out, cache=cache_folder() / "features" / "overlap", world=world)
    finally:
        distributed.stop(world)
    if world.leads:
        _tell(told, out, json=json)


def _wanted(tasks: list[str], thresholds: list[str], data: Path | None) -> "list[Wanted]":
    """The sets to look for, each with its threshold."""
    from fullclip.evaluation.overlap.decontaminate import Wanted
    from fullclip.evaluation.overlap.threshold import check_names, parse_thresholds
    from fullclip.evaluation.overlap.wanted import wanted_split

    everywhere, single = parse_thresholds(thresholds)
    found = [wanted_split(name, root=data) for name in tasks]
    check_names(single, [name for name, _ in found])
    return [Wanted(name=name, split=split, threshold=single.get(name, everywhere)) for name, split in found]


def _tell(told: dict[str, Any], out: Path | None, *, json: bool) -> None:
    """The counts by set on stdout, what was not looked at on stderr."""
    if json:
        show_json({**told, "folder": str(out) if out else None})
        return
    rows = [
        (
            name,
            f"{one['num_pictures']:,}",
            f"{one['num_found']:,}",
            f"{one['num_training']:,}",
            f"{one['threshold']:.3f}",
        )
        for name, one in told["sets"].items()
    ]
    show_table(["set", "test pictures", "found in training", "training pictures", "threshold"], rows)
    typer.echo(f"\n{told['num_removed']:,} of {told['num_pictures']:,} pairs are {'left out' if out else 'to be left out'}")
    for reason, dropped in told["not_looked_at"].items():
        note(f"not looked at, and kept: {dropped['count']:,} {reason} ({dropped['examples'][0]})")
    if out:
        note(f"the pictures: {out / 'decontamination.html'}")
