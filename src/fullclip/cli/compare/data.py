"""What the commands of `fullclip compare` share: options, settings, data in memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fullclip.cli.output import note

if TYPE_CHECKING:
    from fullclip.baselines.learning.pairs import Pairs, Question
    from fullclip.baselines.learning.settings import Settings

Shards = Annotated[list[str], typer.Option(help="Shards of pairs to learn from: files, globs or folders; may be repeated.")]
AskedTask = Annotated[str, typer.Option(help="The classification to ask, by its name or folder as for `fullclip evaluate`.")]
Out = Annotated[Path, typer.Option(help="The folder of the comparison; the same command goes on with what it lacks.")]
Images = Annotated[int | None, typer.Option(help="How many images are processed in all; by default 200,000.")]
Seeds = Annotated[int, typer.Option(help="How many times each is repeated, with other seeds.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting, a.b=value, such as every=50000 or vision.width=32; may be repeated."),
]


def settled(images: int | None, settings: list[str] | None, *, usual: "Settings | None" = None) -> "Settings":
    """The settings of a comparison with its changes; `usual` are those that it has without any."""
    from fullclip.baselines.learning.settings import Settings
    from fullclip.core.config import override

    changes = [*(settings or []), *([] if images is None else [f"images={images}"])]
    return override(usual or Settings(), changes)


def given(shards: list[str], tasks: list[str], settings: "Settings") -> tuple["Pairs", "list[Question]"]:
    """What is learned from and what is asked, in memory; what was left out is said."""
    from fullclip.baselines.learning.pairs import read_pairs, read_question, side_of
    from fullclip.data.drops import Drops
    from fullclip.evaluation.tasks.find import find_task

    drops, side = Drops(), side_of(settings.vision.image_size)
    found = [find_task(name) for name in tasks]
    questions = [read_question(task, side=side, most=settings.num_questions, drops=drops) for task in found]
    pairs = read_pairs(shards, side=side, drops=drops)
    if drops.counts:
        note(f"left out: {drops.summary()}")
    return pairs, questions


def told(pairs: "Pairs", question: "Question") -> str:
    """What was learned from and asked, in a sentence."""
    return (
        f"Learned from {len(pairs):,} pairs; asked about {len(question.labels):,} pictures of {question.name}, which has"
        f" {len(question.classes):,} classes, so that guessing is right in {100 / len(question.classes):.2g}%."
    )
