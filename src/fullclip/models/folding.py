"""A batch norm whose statistics are constants is a part of the convolution before it."""

import torch
from torch import Tensor, nn


def normalized(x: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """The norm of the convolution. With running statistics, which are constants, both are one convolution with a bias: one pass
    over the largest tensors less.
    """
    if norm.training or norm.running_mean is None or norm.running_var is None:
        return norm(convolution(x))
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    weight = convolution.weight * scale[:, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    dtype = convolution.weight.dtype
    return convolution._conv_forward(x, weight.to(dtype), bias.to(dtype))
