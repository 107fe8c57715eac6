"""fullclip compare ngrams: visual n-grams beside CLIP."""

from typing import TYPE_CHECKING, Annotated

import typer

from fullclip.cli.compare_tables import show
from fullclip.cli.comparison import Images, Out, Seeds, Set, Shards, settled
from fullclip.cli.output import Json, note, show_json
from fullclip.cli.processes import pick_device

if TYPE_CHECKING:
    from fullclip.baselines.ngrams_comparison import Contest


def ngrams(
    shards: Shards,
    task: Annotated[
        list[str], typer.Option(help="A classification to ask, as for `fullclip evaluate --task`; may be repeated.")
    ],
    out: Out,
    images: Images = None,
    seeds: Seeds = 3,
    smoothing: Annotated[float, typer.Option(help="How much an n-gram counts beside the shorter one within it.")] = 0.2,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Table 1: zero-shot accuracy of visual n-grams and of CLIP, with one image tower, from the same pairs.

    The folder gets results.jsonl and ngrams.html. --set least=N asks for N occurrences of an n-gram.
    """
    from fullclip.baselines.ngrams_comparison import TITLES, compare_ngrams
    from fullclip.baselines.ngrams_page import PAGE, described, sentences, table, write_page

    given = _contest(shards, task, smoothing, images, settings or [])
    note(described(given.dictionary))
    rows = compare_ngrams(given, out, shards=shards, methods=list(TITLES), seeds=seeds, device=pick_device(None, 0))
    write_page(rows, out / PAGE, data=f"Learned from {len(given.pairs):,} pairs.", dictionary=given.dictionary)
    if json:
        show_json({"factors": sentences(rows), "results": rows, "page": str(out / PAGE)})
    else:
        show(table(rows), sentences(rows))
    note(f"the page: {(out / PAGE).resolve()}")


def _contest(shards: list[str], tasks: list[str], smoothing: float, images: int | None, settings: list[str]) -> "Contest":
    """What is learned from and what is asked, in memory; what was left out is said."""
    from fullclip.baselines.ngrams_comparison import contest
    from fullclip.baselines.pairs import read_pairs, read_question, side_of
    from fullclip.data.drops import Drops
    from fullclip.evaluation.tasks.find import find_task

    config, drops = settled(images, settings), Drops()
    side = side_of(config.vision.image_size)
    found = [find_task(name) for name in tasks]
    questions = [read_question(task, side=side, most=config.num_questions, drops=drops) for task in found]
    given = contest(read_pairs(shards, side=side, drops=drops), questions, config, smoothing=smoothing)
    if drops.counts:
        note(f"left out: {drops.summary()}")
    return given
