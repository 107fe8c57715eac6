"""The optimizer, its groups and its schedule (CLIP paper, section 2.5)."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from fullclip.models.clip import Clip, ImageTower
from fullclip.models.text import TextTransformer
from fullclip.train.config import OptimConfig
from fullclip.train.optim.half_adamw import HalfAdamW
from fullclip.train.optim.lock import locked_tower


def build_optimizer(model: Clip, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW with decoupled decay on matrices; gains, biases, the class token and the temperature are not decayed.

    What takes no gradient is left out (`optim.lock`). Each group has a `scale`, 1 without layer decay, by which the rate of a
    step is to be multiplied: group["lr"] = learning_rate(...) * group["scale"].
    """
    assert not any(parameter.requires_grad for parameter in locked_tower(model, config.lock).parameters()), "lock first"
    groups = _groups(model, config)
    options: dict[str, Any] = {"lr": config.learning_rate, "betas": (config.beta1, config.beta2), "eps": config.epsilon}
    if config.moments == "bfloat16":
        return HalfAdamW(groups, **options)
    return torch.optim.AdamW(groups, **options, fused=True)


def _groups(model: Clip, config: OptimConfig) -> list[dict[str, Any]]:
    """By scale, from the top of the towers down; within each the decayed ones first. Empty ones are left out."""
    levels: dict[int, list[nn.Parameter]] = {}
    for level, parameter in _levels(model):
        if parameter.requires_grad:
            levels.setdefault(level if config.layer_decay < 1 else 0, []).append(parameter)
    found = []
    for level, parameters in sorted(levels.items()):
        for decay, chosen in (
            (config.weight_decay, [p for p in parameters if p.ndim >= 2]),
            (0.0, [p for p in parameters if p.ndim < 2]),
        ):
            if chosen:
                found.append({"params": chosen, "weight_decay": decay, "scale": config.layer_decay**level})
    return found


def _levels(model: Clip) -> Iterator[tuple[int, nn.Parameter]]:
    """Each parameter and how many blocks lie above it, itself included (BEiT, Bao et al. 2022, counts them alike): 0 for what
    follows the last block and for temperature and bias, then the blocks from the last down, embeddings and stem below all.
    """
    depth = _depths(model.visual) | _depths(model.text)
    for parameter in model.parameters():
        yield depth.get(id(parameter), 0), parameter


def _depths(tower: ImageTower | TextTransformer) -> dict[int, int]:
    """By the parameter's id."""
    blocks = tower.depths()
    found = {id(parameter): len(blocks) + 1 for parameter in tower.parameters()}
    found |= {id(p): len(blocks) - i for i, block in enumerate(blocks) for p in block.parameters()}
    return found | {id(parameter): 0 for parameter in tower.top()}


def step_unless(optimizer: torch.optim.Optimizer, found_inf: Tensor) -> None:
    """A step of an optimizer that `build_optimizer` made, or none where `found_inf` (0-dim, on the device) is 1, not 0: then
    weights, moments and counters stay as they are to the bit, whatever the gradients hold. Nobody waits for the device.

    It is the way in which PyTorch's GradScaler tells a fused AdamW what it found: an attribute, which the kernel reads.
    """
    optimizer.found_inf = found_inf.to(torch.float32)  # type: ignore[attr-defined]
    try:
        optimizer.step()
    finally:
        optimizer.found_inf = None  # type: ignore[attr-defined]


def learning_rate(config: OptimConfig, *, step: int, progress: float) -> float:
    """The rate of step `step` (from 0): linear over the first `warmup` steps, then a half cosine down to zero, as OpenCLIP's.

    progress: the share of the run behind us, 0 to 1, which says how many steps there are in all.
    """
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    to_come = step / progress - config.warmup if progress > 0 else math.inf
    fallen = min(1.0, (step - config.warmup) / to_come) if to_come > 0 else 1.0
    return config.learning_rate * (1 + math.cos(math.pi * fallen)) / 2
