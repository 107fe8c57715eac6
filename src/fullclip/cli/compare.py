"""fullclip compare: the paper's comparisons of ways of learning, at a scale that a processor carries."""

from typing import Annotated

import typer

from fullclip.cli.comparison import AskedTask, Images, Out, Seeds, Set, Shards, given, settled, told
from fullclip.cli.output import Json, note, show_json
from fullclip.cli.processes import pick_device

app = typer.Typer(
    help="Compare ways of learning from the same pairs, as the paper does.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
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
    from fullclip.baselines.comparing import check_methods, check_seeds, curve, described, in_order
    from fullclip.baselines.figure2 import PAGE, sentences, write_page
    from fullclip.baselines.methods import vocabularies
    from fullclip.baselines.records import held

    chosen, numbers = check_methods([name.strip() for name in methods.split(",") if name.strip()]), check_seeds(seeds)
    config = settled(images, settings)
    pairs, question = given(shards, task, config)
    words, device = vocabularies(pairs, config), pick_device(None, 0)
    with held(out, described(shards, pairs, question, config)) as records:
        for seed in numbers:
            for method in chosen:
                if not records.has(method=method, seed=seed):
                    records.add(curve(method, pairs, question, config, words=words, seed=seed, device=device))
                    write_page(in_order(records.rows), out / PAGE, data=told(pairs, question))
        rows = in_order(records.rows)
        write_page(rows, out / PAGE, data=told(pairs, question))
    if json:
        show_json({"factors": sentences(rows), "results": rows, "page": str(out / PAGE)})
    else:
        typer.echo("\n".join(sentences(rows)))
    note(f"the page: {(out / PAGE).resolve()}")


@app.command()
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
    from fullclip.baselines.comparing import check_seeds, described
    from fullclip.baselines.records import held
    from fullclip.baselines.scale import PAGE, points, read_varied, run_point, sentences, write_page

    varied, numbers, config = read_varied(vary or []), check_seeds(seeds), settled(images, settings)
    pairs, question = given(shards, task, config)
    with held(out, described(shards, pairs, question, config)) as records:
        for seed in numbers:
            for point in points(varied, config):
                if not records.has(share=point.share, batch_size=point.batch_size, seed=seed):
                    records.add(run_point(point, pairs, question, config, seed=seed, device=pick_device(None, 0)))
        write_page(records.rows, out / PAGE, data=told(pairs, question), settings=config)
    if json:
        show_json({"accuracies": sentences(records.rows, config), "results": records.rows, "page": str(out / PAGE)})
    else:
        typer.echo("\n".join(sentences(records.rows, config)))
    note(f"the page: {(out / PAGE).resolve()}")
