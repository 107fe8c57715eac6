"""CLIP's loss a tile of similarities at a time, exact: memory is tile x tile, where the whole matrix is local x global.

One product per tile serves both directions: images choose among the columns, texts among the rows. Forward keeps only each
row's and column's normaliser, backward computes the tile again. So there are 1 + 3 products, where the whole loss has 2 + 4.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fullclip.core.distributed import World, largest, stack, sum_own_rows, total
from fullclip.core.types import Features
from fullclip.losses.tiles import ScaledRows, Sheets, inner, prepared, refuse_second_derivative, tile_for, tiles


def tiled_softmax(features: Features, world: World, *, tile: int | None = None) -> Float[Tensor, ""]:
    """`losses.softmax` without its matrix: the same value and gradients, on every process, at any batch.

    Memory beyond the features and their gradients: the texts of all processes and the gradient of these, a few vectors, and
    two tiles of `tile` x `tile` logits (three where there are several processes). Half precision is widened to float32, which
    is also the type of the loss. The scale is positive, and the same on every process, as `exp(logit_scale)` is.

    Raises ValueError where images and texts are not equally many, or `tile` is not positive; RuntimeError where the gradient
    is to be differentiated again. Source: the running maximum and sum of Milakov and Gimelshein (2018, "Online normalizer
    calculation for softmax", Algorithm 3), over rows and columns at once.
    """
    return _TiledSoftmax.apply(*prepared(features), world, tile_for(features.image.device) if tile is None else tile)


class _Normaliser(NamedTuple):
    """Of each row (or column): its largest logit, and the sum of exp(logit - largest) over all logits but its own pair's.

    The pair is left out because near the end of training it is nearly all of the sum, and would drown what is learned from.
    """

    largest: Tensor
    others: Tensor

    @classmethod
    def of_nothing(cls, like: Tensor) -> "_Normaliser":
        return cls(like.new_full((len(like),), -torch.inf), like.new_zeros(len(like), dtype=torch.float64))

    def add(self, at: slice, logits: Tensor, *, dim: int, pairs: bool, out: Tensor) -> None:
        """Take in one tile of logits, reduced along `dim`; `out` is scratch and may be the logits themselves."""
        before = self.largest[at]
        now = torch.maximum(before, logits.amax(dim))
        weights = torch.sub(logits, now.unsqueeze(dim), out=out).exp_()
        if pairs:
            weights.fill_diagonal_(0)
        self.others[at].mul_(torch.exp(before - now)).add_(weights.sum(dim))
        self.largest[at] = now

    def over_processes(self, world: World) -> "_Normaliser":
        """The normaliser of columns whose rows are spread over all processes."""
        if world.size == 1:
            return self
        common = largest(self.largest, world)
        return _Normaliser(common, total(self.others * torch.exp(self.largest - common), world))

    def loss(self, pair: Tensor) -> Tensor:
        """-log softmax of the pair's logit; log1p and expm1 keep a small loss exact."""
        return (self.largest - pair) + torch.log1p(torch.expm1((pair - self.largest).double()) + self.others)

    def whole(self, pair: Tensor) -> Tensor:
        """The sum of exp(logit - largest) with the pair."""
        return torch.exp((pair - self.largest).double()) + self.others


def _scan(image: Tensor, texts: Tensor, scale: Tensor, world: World, tile: int) -> tuple[_Normaliser, _Normaliser, Tensor]:
    """Normalisers of own rows [local] and, over own rows only, of all columns [global]; the logits of own pairs [local]."""
    rows, columns = _Normaliser.of_nothing(image), _Normaliser.of_nothing(texts)
    pair = image.new_empty(len(image))
    scaled, sheets = ScaledRows(image, scale, tile=tile), Sheets(image, tile=tile, count=2)
    for part in tiles(len(image), world, tile):
        logits = torch.mm(scaled.take(part.rows), texts[part.columns].T, out=sheets.take(0, part))
        if part.pairs:
            pair[part.rows] = logits.diagonal()
        rows.add(part.rows, logits, dim=1, pairs=part.pairs, out=sheets.take(1, part))
        columns.add(part.columns, logits, dim=0, pairs=part.pairs, out=logits)
    return rows, columns, pair


class _Weights(NamedTuple):
    """How strongly each logit pulls, the processes' upstream gradients included.

    d loss / d logit[i, j] = rows[i] exp(logit - row_largest[i]) + columns[j] exp(logit - column_largest[j]), and at own pairs
    `pairs[i]`, which both directions share.
    """

    row_largest: Tensor
    rows: Tensor
    column_largest: Tensor
    columns: Tensor
    pairs: Tensor


class _TiledSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, text: Tensor, scale: Tensor, world: World, tile: int) -> Tensor:
        texts = stack(text, world).flatten(0, 1)
        rows, columns, pair = _scan(image, texts, scale, world, tile)
        columns = columns.over_processes(world)
        local = slice(world.rank * len(image), (world.rank + 1) * len(image))
        own = _Normaliser(columns.largest[local], columns.others[local])
        row_sums, column_sums = rows.whole(pair), columns.whole(stack(pair, world).flatten())
        misses = rows.others / row_sums + own.others / column_sums[local]
        ctx.world, ctx.tile = world, tile
        ctx.save_for_backward(image, texts, scale, rows.largest, 1 / row_sums, columns.largest, 1 / column_sums, misses)
        return ((rows.loss(pair) + own.loss(pair)).mean() / 2).to(image.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        image, texts, scale, row_largest, rows, column_largest, columns, misses = ctx.saved_tensors
        shares = stack(upstream, ctx.world).double() / (2 * len(image))  # of each process's loss, in each of its logits
        weights = _Weights(
            row_largest,
            (shares[ctx.world.rank] * rows).to(image.dtype),
            column_largest,
            (shares.repeat_interleave(len(image)) * columns).to(image.dtype),
            (-shares[ctx.world.rank] * misses).to(image.dtype),
        )
        of_image, of_text, of_scale = _pull(image, texts, scale, weights, ctx.world, ctx.tile, ctx.needs_input_grad[:3])
        if of_text is not None:
            of_text = sum_own_rows(of_text, ctx.world)
        return of_image, of_text, of_scale, None, None


def _pull(
    image: Tensor, texts: Tensor, scale: Tensor, weights: _Weights, world: World, tile: int, wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients of the own images [local embed], of all texts [global embed] as far as own rows go, and of the scale."""
    wants_image, wants_text, wants_scale = wanted
    of_image = torch.zeros_like(image) if wants_image or wants_scale else None
    of_texts = torch.zeros_like(texts) if wants_text else None
    lent = scale.new_zeros(world.size, dtype=torch.float64)
    scaled, sheets = ScaledRows(image, scale, tile=tile), Sheets(image, tile=tile, count=3 if world.size > 1 else 2)
    for part in tiles(len(image), world, tile):
        logits = torch.mm(scaled.take(part.rows), texts[part.columns].T, out=sheets.take(0, part))
        by_column = torch.sub(logits, weights.column_largest[part.columns], out=sheets.take(1, part)).exp_()
        by_column.mul_(weights.columns[part.columns])
        if wants_scale and part.owner != world.rank:
            lent[part.owner] += torch.mul(by_column, logits, out=sheets.take(2, part)).sum(1).sum(dtype=torch.float64)
        by_row = logits.sub_(weights.row_largest[part.rows, None]).exp_()
        of_logits = by_column.addcmul_(by_row, weights.rows[part.rows, None])
        if part.pairs:
            of_logits.diagonal().copy_(weights.pairs[part.rows])
        if of_image is not None:
            of_image[part.rows].addmm_(of_logits, texts[part.columns])
        if of_texts is not None:
            of_texts[part.columns].addmm_(of_logits.T, image[part.rows])
    of_scale = _of_scale(image, of_image, lent / scale, world) if of_image is not None and wants_scale else None
    for gradient in (of_image, of_texts):  # until here as if the scale were 1, which the line above needs
        if gradient is not None:
            gradient.mul_(scale)
    return of_image if wants_image else None, of_texts, of_scale


def _of_scale(image: Tensor, of_image: Tensor, lent: Tensor, world: World) -> Tensor:
    """The gradient of this process's scale; `of_image` is that of its images, divided by the scale.

    Own rows meet the columns of others, whose loss is not ours: `lent[owner]` is given back, and what others' rows did for own
    columns is fetched.
    """
    own = inner(image, of_image)
    if world.size > 1:
        own = own - lent.sum() + stack(lent, world)[:, world.rank].sum()
    return own.to(image.dtype)
