"""Learned positions of a picture's grid at another size than they were learned at."""

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, cat


def positions_for(positions: Float[Tensor, "learned dim"], grid: tuple[int, int], learned: int) -> Float[Tensor, "tokens dim"]:
    """One position for the class (or mean) token and one for each place of `grid` (rows, columns).

    As they are where the grid is the learned one (`learned` x `learned`), otherwise interpolated, bicubic with
    antialiasing, in float32, as OpenCLIP resizes them; the first position is never touched.
    """
    if grid == (learned, learned):
        return positions
    first, rest = positions[:1], rearrange(positions[1:], "(row column) dim -> 1 dim row column", row=learned)
    resized = F.interpolate(rest.float(), size=grid, mode="bicubic", antialias=True, align_corners=False)
    return cat([first, rearrange(resized, "1 dim row column -> (row column) dim").to(positions.dtype)])
