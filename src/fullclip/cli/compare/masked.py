"""fullclip compare masked: masked patches beside contrast, probed."""

from typing import Annotated

import typer

from fullclip.cli.compare.data import Images, Out, Seeds, Set, Shards, settled
from fullclip.cli.compare.table import show
from fullclip.cli.output import Json, note, show_json
from fullclip.cli.processes import pick_device


def masked(
    shards: Shards,
    task: Annotated[
        str, typer.Option(help="A classification with a train split, on which probes are fitted, as for `fullclip evaluate`.")
    ],
    out: Out,
    images: Images = None,
    seeds: Seeds = 3,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Linear probes of a ViT that learned from masked patches, from captions by contrast, or not at all.

    The folder gets results.jsonl and masked.html.
    """
    from fullclip.baselines.learning.pairs import read_pairs, side_of
    from fullclip.baselines.learning.settings import Settings
    from fullclip.baselines.masked.comparison import VIT, compare_masked, read_subject
    from fullclip.baselines.masked.page import PAGE, table, write_page
    from fullclip.baselines.results.parts import check_seeds
    from fullclip.data.drops import Drops
    from fullclip.evaluation.tasks.find import find_task

    numbers, config, drops = check_seeds(seeds), settled(images, settings, usual=Settings(vision=VIT)), Drops()
    subject = read_subject(find_task(task), config, drops)
    pairs = read_pairs(shards, side=side_of(config.vision.image_size), drops=drops)
    if drops.counts:
        note(f"left out: {drops.summary()}")
    device, data = pick_device(None, 0), f"Learned from {len(pairs):,} pairs."
    for rows in compare_masked(pairs, subject, out, config, shards=shards, seeds=numbers, device=device):
        write_page(rows, out / PAGE, data=data)
    if json:
        show_json({"results": rows, "page": str(out / PAGE)})
    else:
        show(table(rows))
    note(f"the page: {(out / PAGE).resolve()}")
