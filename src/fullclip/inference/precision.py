"""What matrices are multiplied in: the fastest that is still right on the device at hand, or what was asked for."""

from typing import Literal, get_args

import torch

from fullclip.core.processor import multiplies, needed_for
from fullclip.models.clip import Clip, cast_matrices, cast_tower
from fullclip.models.vit import VisionTransformer

Precision = Literal["float32", "bfloat16", "float16"]


def in_precision(model: Clip, precision: Precision | None) -> Clip:
    """The model, changed in place, with its matrices in `precision`. None is bfloat16 for Transformers where the device
    multiplies it in hardware, and float32 otherwise. Convolutional towers stay in float32 unless asked: their many thin layers
    lose too much (docs/design/0011-precision.md).

    ValueError for a precision that there is not, or that the device does not have.
    """
    device = model.logit_scale.device
    if precision is not None:
        check(precision, device)
        return cast_matrices(model, getattr(torch, precision))
    if has("bfloat16", device):
        cast_tower(model.text, torch.bfloat16)
        if isinstance(model.visual, VisionTransformer):
            cast_tower(model.visual, torch.bfloat16)
    return model


def check(precision: str, device: torch.device) -> None:
    """ValueError for a precision that there is not, or that the device does not have."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision {precision!r}: float32, bfloat16 or float16")
    if not has(precision, device):
        here = ", ".join(other for other in get_args(Precision) if has(other, device))
        processor = f"this processor (none of {needed_for(precision)})"
        where = processor if device.type == "cpu" else torch.cuda.get_device_name(device)
        raise ValueError(f"precision {precision!r}: {where} does not multiply it in hardware; here there is {here}")


def has(precision: str, device: torch.device) -> bool:
    """Whether the device multiplies matrices of this precision in hardware."""
    if device.type == "cpu":
        return multiplies(precision)
    return precision != "bfloat16" or torch.cuda.is_bf16_supported(including_emulation=False)
