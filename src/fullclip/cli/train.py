"""fullclip train: follow a recipe to a model folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fullclip.cli.output import Json, note, show_json
from fullclip.cli.processes import one_voice, pick_device

if TYPE_CHECKING:
    from fullclip.evaluation.during_training import Evaluator
    from fullclip.train.config import Run


HELD_OUT_PAIRS = 5000  # of --held-out: among more, recall says little more and costs a pass


def train(
    recipe: Annotated[
        str, typer.Argument(help="demo, small_words, small, small_unlocked, vit_b_32, vit_b_16, vit_l_14 or rn50.")
    ],
    out: Annotated[Path | None, typer.Option(help="The folder of the run.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the recipe, a.b=value; may be repeated.")
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="A model to train further; its shape and preprocessing take the recipe's place.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="A task to ask on the way, by its name or folder as for `fullclip evaluate`; may be repeated."),
    ] = None,
    held_out: Annotated[
        list[str] | None, typer.Option(help="Shards to measure retrieval on, among at most 5,000 pairs; may be repeated.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="A folder with a folder of images for each class, as --task takes it.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint in the folder, where there is one.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default the GPU where there is one.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the settings, and do not train.")] = False,
    json: Json = False,
) -> None:
    """Train a model. The folder of the run gets model/, checkpoints/ and metrics.jsonl.

    Many processes: torchrun --nproc-per-node 8 -m fullclip train ...
    """
    from fullclip.core import distributed
    from fullclip.core.config import to_dict
    from fullclip.train import loop

    if show:
        show_json(to_dict(_settings(recipe, settings or [], init)))
        return
    if out is None:
        raise ValueError("where to? add --out FOLDER")
    world = distributed.start()
    try:
        with (
            stopped_or_done("add --resume to the same command to go on", speaks=world.leads),
            one_voice(world.rank, how_to_go_on="--resume goes on"),
        ):
            run = distributed.together(lambda: _settings(recipe, settings or [], init), world)
            evaluators = distributed.together(lambda: _evaluators(task or [], held_out or [], classes), world)
            if evaluators and run.model.vision.kind == "features":
                raise ValueError("a model on features cannot look at pictures: leave --task, --held-out and --classes out")
            chosen = pick_device(device, world.local_rank)
            done = loop.train(run, out, resume=resume, world=world, device=chosen, evaluators=evaluators)
    finally:
        distributed.stop(world)
    if not world.leads:
        return
    if done.drops.counts:
        note(f"left out: {done.drops.summary()}")
    if json:
        show_json({"model": str(done.model), "steps": done.steps, "pairs": done.pairs, "seconds": done.seconds})
    else:
        typer.echo(f"{done.model}: {done.pairs:,} pairs in {done.steps:,} steps, {done.seconds:.0f} s")


def _settings(recipe: str, settings: list[str], init: str | None) -> "Run":
    """The recipe with its changes; those of a model to start from come before the user's own."""
    from fullclip.core.config import lookup, override
    from fullclip.train.recipes import RECIPES
    from fullclip.train.start import started_from

    plain = lookup(RECIPES, recipe, what="recipe")()
    changed = override(plain, [*settings, *([f"train.init={init}"] if init else [])])
    names = {"train.init": changed.train.init, "train.init_text": changed.train.init_text}
    begun = started_from(override(plain, [f"{name}={value}" for name, value in names.items() if value]))
    return override(begun, [s for s in settings if not s.startswith(("train.init=", "train.init_text="))])


def _evaluators(names: list[str], held_out: list[str], classes: Path | None) -> list["Evaluator"]:
    """What is asked on the way: tasks by name or folder, pairs in shards, a folder of classes."""
    if not names and not held_out and classes is None:
        return []
    from fullclip.evaluation.during_training import ask
    from fullclip.evaluation.tasks.find import find_task
    from fullclip.evaluation.tasks.task import limited
    from fullclip.evaluation.tasks.webdataset import read_pairs

    tasks = [find_task(name) for name in names]
    if held_out:
        tasks.append(limited(read_pairs(held_out, name="held-out"), HELD_OUT_PAIRS))
    if classes is not None:
        tasks.append(find_task(str(classes.resolve())))  # a folder, whatever known set may have its name
    return ask(tasks)


@contextmanager
def stopped_or_done(how_to_go_on: str, *, speaks: bool = True) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a training with their own exit codes, 130 and 143, after saying where it was saved."""
    from fullclip.train.signals import Interrupted

    try:
        yield
    except Interrupted as interruption:
        if speaks:
            note(f"fullclip: {interruption}; {how_to_go_on}")
        raise typer.Exit(128 + interruption.signal_number) from None
