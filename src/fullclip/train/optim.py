"""The optimizer and its schedule (CLIP paper, section 2.5)."""

import math

import torch
from torch import nn

from fullclip.train.config import OptimConfig


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW with decoupled decay on matrices; gains, biases, the class token and the temperature are not decayed."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True
    )


def learning_rate(config: OptimConfig, *, step: int, progress: float) -> float:
    """The rate of step `step` (from 0): linear over the first `warmup` steps, then a half cosine down to zero.

    progress: the share of the run behind us, 0 to 1, by which the cosine falls.
    """
    rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.learning_rate * rise * (1 + math.cos(math.pi * min(1.0, progress))) / 2
