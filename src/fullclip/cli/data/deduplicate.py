"""fullclip data deduplicate: rows with pictures in, those without copies and without evaluation sets' pictures out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fullclip.cli.data.stages import EngineName, Out, RayAddress, Workers, engine_of, tell
from fullclip.cli.output import Json, note

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from fullclip.data.building.deduplicating.embeddings import Embedding
    from fullclip.data.building.deduplicating.grouping import EvaluationSet


def deduplicate(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Stages' folders, with pictures or not, or tables of urls and texts."),
    ],
    out: Out,
    threshold: Annotated[float, typer.Option(help="From which similarity on (0 to 1) two pictures are the same.")] = 0.9,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave out the pictures of this set, too: of `fullclip evaluate --list`, a task's folder, a folder of images,"
            " or shards; may be repeated."
        ),
    ] = None,
    embed: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Compare the embeddings of this model as well.  [default: pixels only]")
    ] = None,
    embed_threshold: Annotated[float, typer.Option(help="From which cosine on two embeddings are the same.")] = 0.98,
    grid: Annotated[Path | None, typer.Option(help="Write a PNG of some groups here.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where data sets lie.  [default: $FULLCLIP_DATASETS, or the cache]")] = None,
    workers: Workers = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    json: Json = False,
) -> None:
    """Keep one of rows with the same picture, and none whose picture is (nearly) one of an evaluation set.

    Found are copies that were recompressed, resized or recoloured; of evaluation sets' pictures also mirrored and slightly cut
    ones. Of copies the one with the most pixels stays. DIR/groups.jsonl lists every group. Rows without pictures are
    compared by url and text.
    """
    from contextlib import closing

    from fullclip.data.building.deduplicating.deduplicate import deduplicate as deduplicate_all
    from fullclip.data.building.deduplicating.sheet import write_sheet
    from fullclip.data.building.rows import partitions

    works = partitions(inputs)
    embedding = _embedding(embed, embed_threshold) if embed else None
    sets = [_set(name, data) for name in against or ()]
    with closing(engine_of(engine, workers=workers, ray_address=ray_address)) as chosen:
        report = deduplicate_all(works, out=out, engine=chosen, threshold=threshold, against=sets, embedding=embedding)
    if grid:
        shown = write_sheet(report.out, works, grid)
        note(f"{shown} groups: {grid}" if shown else "no group of pictures to draw")
    tell(report, json=json)


def _set(name: str, data: Path | None) -> "EvaluationSet":
    """The pictures of a set, and the threshold that fits it."""
    from fullclip.core.distributed import World
    from fullclip.core.storage import cache_folder
    from fullclip.data.building.deduplicating.grouping import EvaluationSet
    from fullclip.evaluation.overlap.pictures import pictures_of
    from fullclip.evaluation.overlap.threshold import own_threshold
    from fullclip.evaluation.overlap.wanted import wanted_split

    title, split = wanted_split(name, root=data)
    found = pictures_of(split, name=title, cache=cache_folder() / "features" / "overlap", world=World.single())
    if found.drops.counts:
        note(f"{title}: not looked for: {found.drops.summary()}")
    return EvaluationSet(name=title, keys=found.keys, descriptors=found.descriptors, threshold=own_threshold(found))


def _embedding(model: str, threshold: float) -> "Embedding":
    import fullclip
    from fullclip.data.building.deduplicating.embeddings import Embedding
    from fullclip.preprocess.image import decode_image

    encoder = fullclip.load(model)

    def embed(images: "Sequence[bytes]") -> "np.ndarray":
        return encoder.encode_images([decode_image(image) for image in images])

    return Embedding(name=model, threshold=threshold, function=embed)
