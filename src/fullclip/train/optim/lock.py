"""A tower that is not trained: locked-image tuning (LiT, Zhai et al. 2022), or its mirror image."""

from typing import Literal

from torch import nn

from fullclip.models.clip import Clip

Lock = Literal["none", "image", "text"]


def lock_tower(model: Clip, which: Lock) -> None:
    """From now on the tower's weights, its projection too, take no gradient. Use `train_mode` in place of `model.train()`."""
    for parameter in locked_tower(model, which).parameters():
        parameter.requires_grad_(False)


def train_mode(model: Clip, which: Lock) -> None:
    """Training mode, but for the locked tower: it computes as in evaluation, so that batch norm uses its running statistics and
    leaves them as they are, and no patches are dropped.
    """
    model.train()
    locked_tower(model, which).eval()


def locked_tower(model: Clip, which: Lock) -> nn.Module:
    """The tower that `which` names; an empty module for "none"."""
    towers: dict[Lock, nn.Module] = {"none": nn.Module(), "image": model.visual, "text": model.text}
    return towers[which]
