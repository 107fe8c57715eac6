"""fullclip compare figure2: four ways of learning, as in the paper's Figure 2."""

from typing import Annotated

import typer

from fullclip.cli.compare.data import AskedTask, Images, Out, Seeds, Set, Shards, given, settled, told
from fullclip.cli.output import Json, note, show_json
from fullclip.cli.processes import pick_device


def figure2(
    shards: Shards,
    task: AskedTask,
    out: Out,
    images: Images = None,
    seeds: Seeds = 3,
    methods: Annotated[
        str, typer.Option(help="Ways of learning: caption-lm, bag-of-words, contrastive-bag, contrastive.")
    ] = "caption-lm,bag-of-words,contrastive-bag,contrastive",
    settings: Set = None,
    json: Json = False,
) -> None:
    """Figure 2: zero-shot accuracy by images processed, of four ways of learning with one image tower.

    The folder gets results.jsonl and figure2.html.
    """
    from fullclip.baselines.figure2.comparison import compare_figure2
    from fullclip.baselines.figure2.page import PAGE, sentences, write_page
    from fullclip.baselines.results.parts import check_methods, check_seeds
    from fullclip.baselines.ways.methods import METHODS

    chosen = check_methods([name.strip() for name in methods.split(",") if name.strip()], METHODS)
    numbers, config = check_seeds(seeds), settled(images, settings)
    pairs, (question,) = given(shards, [task], config)
    device, guess = pick_device(None, 0), 1 / len(question.classes)
    for rows in compare_figure2(pairs, question, out, config, shards=shards, methods=chosen, seeds=numbers, device=device):
        write_page(rows, out / PAGE, data=told(pairs, question), guess=guess)
    if json:
        show_json({"factors": sentences(rows, guess=guess), "results": rows, "page": str(out / PAGE)})
    else:
        typer.echo("\n".join(sentences(rows, guess=guess)))
    note(f"the page: {(out / PAGE).resolve()}")
