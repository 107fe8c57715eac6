"""A matrix of similarities cut into tiles: where each lies, and the memory it is written to. Knows nothing of any loss."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from fullclip.core.distributed import World
from fullclip.core.types import Features

# Of 256 to 4,096 about the fastest on two CPU cores (`python bench/loss.py --tiles`): large enough for the matrix product,
# small enough (4 MiB) that what follows finds the tile in the cache.
_CPU_TILE = 1024
# On a GPU a tile costs a dozen launches of kernels, whatever its size; 256 MiB in float32.
_GPU_TILE = 8192


def tile_for(device: torch.device) -> int:
    """How many rows a tile has where nobody says."""
    return _GPU_TILE if device.type == "cuda" else _CPU_TILE


class Tile(NamedTuple):
    """Own rows x columns of process `owner`. Where `pairs` is true its diagonal holds the own pairs, and nothing else does."""

    rows: slice
    columns: slice
    owner: int
    pairs: bool


def tiles(local: int, world: World, tile: int) -> Iterator[Tile]:
    """All tiles of the [local, local * size] matrix of this process, row by row; none straddles two owners.

    Raises ValueError where `tile` is not positive.
    """
    if tile < 1:
        raise ValueError(f"a tile has at least one row, not {tile}")
    spans = [slice(start, min(start + tile, local)) for start in range(0, local, tile)]
    for rows in spans:
        for owner in range(world.size):
            for span in spans:
                columns = slice(owner * local + span.start, owner * local + span.stop)
                yield Tile(rows, columns, owner, owner == world.rank and span == rows)


class Sheets:
    """Memory for `count` tiles, allocated once; every tile is written over the one before."""

    def __init__(self, like: Tensor, *, tile: int, count: int) -> None:
        side = min(tile, len(like))
        self._flat = like.new_empty(count, side * side)

    def take(self, index: int, tile: Tile) -> Tensor:
        """The `index`-th sheet, contiguous, in the shape of `tile`: [rows, columns], with whatever stood there."""
        rows, columns = tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
        return self._flat[index, : rows * columns].view(rows, columns)


class ScaledRows:
    """The rows of one side times the scale, as many as a tile needs at a time; the next rows take the place of the last."""

    def __init__(self, rows: Tensor, scale: Tensor, *, tile: int) -> None:
        self._rows, self._scale = rows, scale
        self._memory = rows.new_empty(min(tile, len(rows)), rows.shape[1])
        self._at: slice | None = None

    def take(self, at: slice) -> Tensor:
        """[rows, embed], the scale multiplied in before the matrix product, as the whole loss does."""
        scaled = self._memory[: at.stop - at.start]
        if at != self._at:
            torch.mul(self._rows[at], self._scale, out=scaled)
            self._at = at
        return scaled


def prepared(features: Features) -> tuple[Tensor, Tensor, Tensor]:
    """Images, texts and scale as tiles need them: contiguous, of one floating type, which is float32 or wider.

    Raises ValueError where images and texts are not equally many.
    """
    image, text = features.image, features.text
    if len(image) != len(text):
        raise ValueError(f"{len(image)} images and {len(text)} texts: row i of one belongs to row i of the other")
    dtype = torch.promote_types(torch.promote_types(image.dtype, text.dtype), torch.float32)
    return image.to(dtype).contiguous(), text.to(dtype).contiguous(), features.scale.to(dtype)


def inner(one: Tensor, other: Tensor) -> Tensor:
    """The sum of all products of two [rows, embed], in float64 but for the sum over a row, without a third of that size."""
    with torch.autocast(one.device.type, enabled=False):
        return torch.einsum("be,be->b", one, other).sum(dtype=torch.float64)


def refuse_second_derivative() -> None:
    """To be called in the backward of a loss whose gradient has none: silently constant, a penalty on it would do nothing.

    Raises RuntimeError under create_graph=True.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("a loss by tiles cannot be differentiated twice: leave out create_graph, or use losses.softmax")
