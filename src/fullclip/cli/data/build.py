"""fullclip data build: a recipe in, all of its stages run, one after the other."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fullclip.cli.data.stages import EngineName, RayAddress, Workers
from fullclip.cli.output import Json, note, show_json

if TYPE_CHECKING:
    from fullclip.data.building.recipe import Step


def build(
    context: typer.Context,
    recipe: Annotated[
        Path, typer.Argument(help="A TOML file with a table for each stage, whose keys are the command's options.")
    ],
    out: Annotated[str, typer.Option(help="The folder that gets a folder of each stage; local or s3://.")],
    workers: Workers = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    json: Json = False,
) -> None:
    """Run the stages of a recipe, each on what the one before has made; the same command goes on where it was stopped.

    Paths in a recipe are from the folder that it lies in. OUT/shard has the pairs at the end.
    """
    import os
    import sys
    from contextlib import redirect_stdout

    from fullclip.core.storage import is_remote
    from fullclip.data.building.recipe import read_recipe

    out = out if is_remote(out) else str(Path(out).absolute())
    steps = read_recipe(recipe, out)
    assert context.parent is not None
    commands: Mapping[str, Any] = context.parent.command.commands  # type: ignore[attr-defined]
    shared = _shared(workers=workers, engine=engine if engine != "local" else None, ray_address=ray_address)
    os.chdir(recipe.parent)
    for step in steps:
        _check(step, commands[step.stage], recipe)
    for number, step in enumerate(steps, 1):
        note(f"{number}/{len(steps)} {step.stage}")
        command = commands[step.stage]
        names = {name for option in command.params for name in option.opts}
        words = [
            *step.words,
            *(word for name, value in shared.items() if name in names - {*step.words} for word in (name, value)),
        ]
        with redirect_stdout(sys.stderr):
            command.main(args=words, standalone_mode=False, prog_name=f"fullclip data {step.stage}")
    if json:
        show_json({"out": out, "stages": {step.stage: step.out for step in steps}})
    else:
        typer.echo(f"{steps[-1].out}: the end of {len(steps)} stages; a look at it: fullclip data inspect {steps[-1].out}")


def _check(step: "Step", command: Any, recipe: Path) -> None:
    """ValueError where a stage's options are none, or name sets that there are not: before hours of work, not after them."""
    from fullclip.evaluation.overlap.wanted import wanted_split

    try:
        with command.make_context(f"fullclip data {step.stage}", [*step.words]) as parsed:
            given = parsed.params
    except typer.BadParameter.mro()[1] as error:  # click's error of wrong use, which Typer has a copy of
        raise ValueError(f"{recipe}, [{step.stage}]: {error.format_message()}") from None
    for name in (*(given.get("against") or ()), *(given.get("task") or ())):
        try:
            wanted_split(name, root=given.get("data"))
        except ValueError as error:
            raise ValueError(f"{recipe}, [{step.stage}]: {error}") from None


def _shared(**options: Any) -> dict[str, str]:
    """The build's own options, which a stage gets where it has such a one and the recipe does not say it."""
    return {f"--{name.replace('_', '-')}": str(value) for name, value in options.items() if value is not None}
