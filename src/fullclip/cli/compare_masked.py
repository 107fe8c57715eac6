"""fullclip compare masked: masked patches beside contrast, probed."""

from typing import Annotated

import typer

from fullclip.cli.compare_tables import show
from fullclip.cli.comparison import Images, Out, Seeds, Set, Shards
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
    from fullclip.baselines.masked import VIT, compare_masked, read_subject
    from fullclip.baselines.masked_page import PAGE, table, write_page
    from fullclip.baselines.pairs import read_pairs, side_of
    from fullclip.baselines.settings import Settings
    from fullclip.core.config import override
    from fullclip.data.drops import Drops
    from fullclip.evaluation.tasks.find import find_task

    config = override(Settings(vision=VIT), [*(settings or []), *([] if images is None else [f"images={images}"])])
    drops = Drops()
    subject = read_subject(find_task(task), config, drops)
    pairs = read_pairs(shards, side=side_of(config.vision.image_size), drops=drops)
    if drops.counts:
        note(f"left out: {drops.summary()}")
    rows = compare_masked(pairs, subject, out, config, shards=shards, seeds=seeds, device=pick_device(None, 0))
    write_page(rows, out / PAGE, data=f"Learned from {len(pairs):,} pairs.")
    if json:
        show_json({"results": rows, "page": str(out / PAGE)})
    else:
        show(table(rows))
    note(f"the page: {(out / PAGE).resolve()}")
