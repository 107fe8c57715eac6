"""What no model on this machine can exceed: a large product of matrices, in two precisions."""

from collections.abc import Iterator

import torch

from fullclip.bench.rows import Row
from fullclip.bench.workbench import Workbench


def ceiling(bench: Workbench) -> Iterator[Row]:
    """GFLOP/s of the best of many products; both precisions in turn."""
    side, where = bench.sizes.side, "" if bench.device.type == "cpu" else f" on {bench.device}"
    pairs = [(bench.ceiling(torch.float32), bench.ceiling(torch.bfloat16)) for _ in range(bench.rounds)]
    full, half = (tuple(values) for values in zip(*pairs, strict=True))
    yield Row(part="ceiling", what=f"{side}² product, float32{where}", unit="GFLOP/s", ours=full)
    what = f"{side}² product, bfloat16{where}"
    yield Row(part="ceiling", what=what, unit="GFLOP/s", ours=half, beside="float32", theirs=full)
