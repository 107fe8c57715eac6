"""fullclip compare scale: CLIP by the share of the pairs and by the batch size."""

from typing import Annotated

import typer

from fullclip.cli.compare.data import AskedTask, Images, Out, Seeds, Set, Shards, given, settled, told
from fullclip.cli.output import Json, note, show_json
from fullclip.cli.processes import pick_device


def scale(
    shards: Shards,
    task: AskedTask,
    out: Out,
    images: Images = None,
    seeds: Seeds = 3,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B",
            help="What to vary, one thing at a time; by default share=0.1,0.3,1 and batch_size=32,128,512; may be repeated.",
        ),
    ] = None,
    settings: Set = None,
    json: Json = False,
) -> None:
    """CLIP's accuracy by the share of the pairs and by the batch size, at one number of images.

    The folder gets results.jsonl and scale.html.
    """
    from fullclip.baselines.results.parts import check_seeds
    from fullclip.baselines.scale.comparison import compare_scale, read_varied
    from fullclip.baselines.scale.page import PAGE, sentences, write_page

    chosen, numbers, config = read_varied(vary or []), check_seeds(seeds), settled(images, settings)
    pairs, (question,) = given(shards, [task], config)
    device = pick_device(None, 0)
    for rows in compare_scale(pairs, question, out, config, shards=shards, varied=chosen, seeds=numbers, device=device):
        write_page(rows, out / PAGE, data=told(pairs, question), settings=config)
    if json:
        show_json({"accuracies": sentences(rows, config), "results": rows, "page": str(out / PAGE)})
    else:
        typer.echo("\n".join(sentences(rows, config)))
    note(f"the page: {(out / PAGE).resolve()}")
