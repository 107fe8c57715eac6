"""Images a second through the image tower, pixels ready, in the precision that `fullclip.load` chose: beside others with the
same weights, against the ceiling of matrix products, and by size of batch.
"""

from collections.abc import Iterator
from functools import partial

import torch

from fullclip.bench.comparing import Rival, compared, lowest_cosine
from fullclip.bench.rows import Bar, Row
from fullclip.bench.timing import Side, rates
from fullclip.bench.workbench import Workbench
from fullclip.models.flops import image_flops

BESIDE_TRANSFORMERS, OF_THE_CEILING = Bar(ratio=2.5), Bar(at_least=85.0)


def images(bench: Workbench) -> Iterator[Row]:
    """Beside others, all with the same batch; then ours as a share of the ceiling in the same precision."""
    subject, sizes, batch = bench.subject, bench.sizes, bench.batch
    pixels = bench.pixels(batch)
    ours = subject.encode_images(pixels).numpy()
    rivals = [
        Rival(
            name=peer.name,
            side=Side(call=partial(peer.encode_images, pixels), count=batch),
            cosine=lowest_cosine(ours, peer.encode_images(pixels).numpy()),
            bar=bench.asked(BESIDE_TRANSFORMERS) if peer.name == "transformers" else None,
        )
        for peer in bench.peers
    ]
    like = Row(part="images", what=f"image tower, batch {batch}", unit="images/s", ours=())
    own = Side(call=partial(subject.encode_images, pixels), count=batch)
    yield from compared(like, own, rivals, bench.absent, rounds=bench.rounds, seconds=sizes.seconds)
    yield from _share(bench, own)


def _share(bench: Workbench, own: Side) -> Iterator[Row]:
    """The ceiling is measured again, in turn with the images: under another load it would be another."""
    checkpoint, precision = bench.subject.checkpoint, bench.subject.image_precision
    if checkpoint is None:
        return
    found, ceilings = list[float](), list[float]()
    for _ in range(bench.rounds):
        found += rates([own], rounds=1, seconds=bench.sizes.seconds)[0]
        ceilings.append(bench.ceiling(getattr(torch, precision)))
    part = share(max(found), operations=image_flops(checkpoint.config), gflops=max(ceilings))
    note = f"of {max(ceilings):,.0f} GFLOP/s, measured in turn; operations that a tower leaves out count, too"
    yield Row(
        part="images",
        what=f"of the {precision} ceiling",
        unit="%",
        ours=(100 * part,),
        bar=bench.asked(OF_THE_CEILING),
        note=note,
    )


def share(rate: float, *, operations: int, gflops: float) -> float:
    """The part of a ceiling that `rate` things a second of so many operations each reach."""
    return rate * operations / (gflops * 1e9)


def batches(bench: Workbench) -> Iterator[Row]:
    """Ours, by size of batch; all sizes in turn."""
    sizes, subject = bench.sizes.batches, bench.subject
    sides = [Side(call=partial(subject.encode_images, bench.pixels(size)), count=size) for size in sizes]
    for side in sides:
        side.call()
    for size, values in zip(sizes, rates(sides, rounds=bench.rounds, seconds=bench.sizes.seconds), strict=True):
        yield Row(part="batches", what=f"image tower, batch {size}", unit="images/s", ours=values)
