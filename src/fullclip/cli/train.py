"""fullclip train: follow a recipe to a model folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fullclip.cli.output import Json, note, show_json

if TYPE_CHECKING:
    import torch


def train(
    recipe: Annotated[str, typer.Argument(help="demo, vit_b_32, vit_b_16, vit_l_14 or rn50.")],
    out: Annotated[Path | None, typer.Option(help="The folder of the run.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the recipe, a.b=value; may be repeated.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint in the folder, where there is one.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default the GPU where there is one.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the settings, and do not train.")] = False,
    json: Json = False,
) -> None:
    """Train a model. The folder of the run gets model/, checkpoints/ and metrics.jsonl."""
    from fullclip.core import distributed
    from fullclip.core.config import lookup, override, to_dict
    from fullclip.train import loop
    from fullclip.train.recipes import RECIPES

    run = override(lookup(RECIPES, recipe, what="recipe")(), settings or [])
    if show:
        show_json(to_dict(run))
        return
    if out is None:
        raise ValueError("where to? add --out FOLDER")
    world = distributed.start()
    try:
        with stopped_or_done("add --resume to the same command to go on"):
            done = loop.train(run, out, resume=resume, world=world, device=pick_device(device))
    finally:
        distributed.stop(world)
    if done.drops.counts:
        note(f"left out: {done.drops.summary()}")
    if json:
        show_json({"model": str(done.model), "steps": done.steps, "pairs": done.pairs, "seconds": done.seconds})
    else:
        typer.echo(f"{done.model}: {done.pairs:,} pairs in {done.steps:,} steps, {done.seconds:.0f} s")


def pick_device(name: str | None) -> "torch.device":
    """The device by name, or the GPU where there is one; ValueError for one that is not there."""
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.split(":")[0] not in ("cpu", "cuda") or (name != "cpu" and not torch.cuda.is_available()):
        raise ValueError(f"no device {name!r} here; there is: {'cpu, cuda' if torch.cuda.is_available() else 'cpu'}")
    return torch.device(name)


@contextmanager
def stopped_or_done(how_to_go_on: str) -> Iterator[None]:
    """Ctrl-C in a training ends the command with its own exit code, after saying where it was saved."""
    from fullclip.train.loop import Interrupted

    try:
        yield
    except Interrupted as interruption:
        note(f"fullclip: {interruption}; {how_to_go_on}")
        raise typer.Exit(130) from None
