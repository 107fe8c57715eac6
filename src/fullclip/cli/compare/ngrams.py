"""fullclip compare ngrams: visual n-grams beside CLIP."""

from typing import Annotated

import typer

from fullclip.cli.compare.data import Images, Out, Seeds, Set, Shards, given, settled
from fullclip.cli.compare.table import show
from fullclip.cli.output import Json, note, show_json
from fullclip.cli.processes import pick_device


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
    from fullclip.baselines.ngrams.comparison import TITLES, compare_ngrams, contest
    from fullclip.baselines.ngrams.page import PAGE, described, sentences, table, write_page
    from fullclip.baselines.ngrams.smoothing import check_smoothing
    from fullclip.baselines.results.parts import check_seeds

    check_smoothing(smoothing)
    numbers, config = check_seeds(seeds), settled(images, settings)
    pairs, questions = given(shards, task, config)
    ours, device = contest(pairs, questions, config, smoothing=smoothing), pick_device(None, 0)
    note(described(ours.dictionary))
    data = f"Learned from {len(pairs):,} pairs."
    for rows in compare_ngrams(ours, out, shards=shards, methods=list(TITLES), seeds=numbers, device=device):
        write_page(rows, out / PAGE, data=data, dictionary=ours.dictionary)
    if json:
        show_json({"factors": sentences(rows), "results": rows, "page": str(out / PAGE)})
    else:
        show(table(rows), sentences(rows))
    note(f"the page: {(out / PAGE).resolve()}")
