"""Losses as functions of named leaves, so that one test body serves several: ours, and naive ones to hold them against."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fullclip import losses
from fullclip.core.distributed import World, gather
from fullclip.core.types import Features

ALONE = World.single()
Leaves = dict[str, Tensor]


def rows(seed: int, batch: int, embed: int, *, resemblance: float = 0.0) -> dict[str, Any]:
    """Images and texts on the unit sphere, float64; the texts lean towards their images by `resemblance`."""
    random = torch.Generator().manual_seed(seed)
    image, text = (torch.randn(batch, embed, generator=random, dtype=torch.float64) for _ in range(2))
    text = text + resemblance * image
    return {"image": F.normalize(image, dim=1).numpy(), "text": F.normalize(text, dim=1).numpy()}


def as_leaves(arrays: dict[str, Any], numbers: dict[str, float], dtype: torch.dtype = torch.float64) -> Leaves:
    tensors = {name: torch.from_numpy(array).to(dtype, copy=True) for name, array in arrays.items()}
    tensors |= {name: torch.tensor(number, dtype=dtype) for name, number in numbers.items()}
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


def answer(loss: Callable[[Leaves, World], Tensor], leaves: Leaves, world: World = ALONE, upstream: float = 1.0) -> Leaves:
    """The loss, and the gradient of every leaf that got one."""
    value = loss(leaves, world)
    (value * upstream).backward()
    return {"loss": value.detach()} | {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


def features(leaves: Leaves, prefix: str = "") -> Features:
    image, text, scale = (leaves[f"{prefix}{name}"] for name in ("image", "text", "scale"))
    return Features(image=image, text=text, scale=scale, bias=leaves.get(f"{prefix}bias"))


def softmax(leaves: Leaves, world: World) -> Tensor:
    return losses.softmax(features(leaves), world)


def tiled_softmax(leaves: Leaves, world: World, tile: int = 3) -> Tensor:
    return losses.tiled_softmax(features(leaves), world, tile=tile)


def sigmoid(leaves: Leaves, world: World, tile: int = 3) -> Tensor:
    return losses.sigmoid(features(leaves), world, tile=tile)


def naive_sigmoid(leaves: Leaves, world: World) -> Tensor:
    """Zhai et al. 2023, Algorithm 1, for own images against all texts."""
    local = len(leaves["image"])
    logits = leaves["scale"] * leaves["image"] @ gather(leaves["text"], world).T + leaves["bias"]
    labels = -torch.ones_like(logits)
    for row in range(local):
        labels[row, world.rank * local + row] = 1
    return -torch.nn.functional.logsigmoid(labels * logits).sum() / local


def distillation(leaves: Leaves, world: World) -> Tensor:
    return losses.distillation(features(leaves), features(leaves, "teacher_"), world)


def naive_distillation(leaves: Leaves, world: World) -> Tensor:
    """Row by row: -sum p log q, both directions; alone only."""
    student, teacher = (leaves[f"{who}scale"] * leaves[f"{who}image"] @ leaves[f"{who}text"].T for who in ("", "teacher_"))
    teacher = teacher.detach()
    total = 0
    for ours, theirs in ((student, teacher), (student.T, teacher.T)):
        for row, goal in zip(ours, theirs, strict=True):
            total -= (goal.exp() / goal.exp().sum() * (row.exp() / row.exp().sum()).log()).sum()
    return total / (2 * len(student))
