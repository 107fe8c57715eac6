"""SigLIP's loss: every image and text answers for itself whether they belong together. A tile at a time, exact.

No logit needs the others, so the gradients are made along with the loss, from the same tile; nothing is computed twice.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fullclip.core.distributed import World, stack, sum_own_rows
from fullclip.core.types import Features
from fullclip.losses.tiles import ScaledRows, Sheets, inner, prepared, refuse_second_derivative, tile_for, tiles

_LINEAR = 40.0  # from where softplus(x) is x to the last digit of float64


def sigmoid(features: Features, world: World, *, tile: int | None = None) -> Float[Tensor, ""]:
    """Every image with every text of the global batch, as a question with the answer yes or no (SigLIP).

    The sum over all i and j of -log sigmoid(z_ij (scale image_i . text_j + bias)), divided by the number of pairs; z is 1 for
    pairs and -1 for all others. `features` are this process's rows, on every process equally many; each process scores them
    against all texts, and the mean over processes is the loss of one big batch. Memory beyond the features and their
    gradients: the texts of all processes and the gradient of these, and a few tiles. Half precision is widened to float32,
    which is also the type of the loss.

    Raises ValueError where the features have no bias, images and texts are not equally many, or `tile` is not positive;
    RuntimeError where the gradient is to be differentiated again. Source: Zhai et al. (2023, "Sigmoid Loss for Language Image
    Pre-Training"), equation 1 and Algorithm 1.
    """
    if features.bias is None:
        raise ValueError("the sigmoid loss needs a bias: set model.logit_bias=-10")
    image, text, scale = prepared(features)
    wants_gradient = torch.is_grad_enabled() and any(x.requires_grad for x in (image, text, scale, features.bias))
    tile = tile_for(image.device) if tile is None else tile
    return _Sigmoid.apply(image, text, scale, features.bias.to(image.dtype), world, tile, wants_gradient)


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, text: Tensor, scale: Tensor, bias: Tensor, *settings: Any) -> Tensor:
        world, tile, wants_gradient = settings
        texts = stack(text, world).flatten(0, 1)
        loss, of_bias = (image.new_zeros((), dtype=torch.float64) for _ in range(2))
        of_image, of_texts = (torch.zeros_like(rows) if wants_gradient else None for rows in (image, texts))
        scaled, sheets = ScaledRows(image, scale, tile=tile), Sheets(image, tile=tile, count=1)
        for part in tiles(len(image), world, tile):
            wrong = torch.mm(scaled.take(part.rows), texts[part.columns].T, out=sheets.take(0, part)).add_(bias)
            if part.pairs:
                wrong.diagonal().neg_()
            loss += F.softplus(wrong, threshold=_LINEAR).sum(1).sum(dtype=torch.float64)
            if of_image is None or of_texts is None:
                continue
            of_logits = wrong.sigmoid_()
            if part.pairs:
                of_logits.diagonal().neg_()
            of_bias += of_logits.sum(1).sum(dtype=torch.float64)
            of_image[part.rows].addmm_(of_logits, texts[part.columns])
            of_texts[part.columns].addmm_(of_logits.T, image[part.rows])
        if of_image is not None and of_texts is not None:
            of_scale = inner(image, of_image)
            ctx.world = world
            ctx.save_for_backward(of_image.mul_(scale), of_texts.mul_(scale), of_scale, of_bias)
        return (loss / len(image)).to(image.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        of_image, of_texts, of_scale, of_bias = ctx.saved_tensors
        share = upstream / len(of_image)
        of_text = sum_own_rows(of_texts * share, ctx.world) if ctx.needs_input_grad[1] else None
        return (
            of_image * share,
            of_text,
            (of_scale * share).to(share.dtype),
            (of_bias * share).to(share.dtype),
            None,
            None,
            None,
        )
