"""What is not trained: a tower (locked-image tuning, LiT, Zhai et al. 2022, or its mirror image), or first stages of one."""

from typing import Literal

from torch import nn

from fullclip.models.clip import Clip, ImageTower

Lock = Literal["none", "image", "text"]


def lock(model: Clip, which: Lock, *, stages: int = 0) -> None:
    """From now on the tower's weights, its projection too, take no gradient, nor do those of the image tower's stem and first
    `stages` stages, if any. Use `train_mode` in place of `model.train()`. ValueError where the tower has fewer stages.
    """
    for parameter in locked_tower(model, which).parameters():
        parameter.requires_grad_(False)
    for parameter in _first(model.visual, stages):
        parameter.requires_grad_(False)


def train_mode(model: Clip, which: Lock, *, stages: int = 0) -> None:
    """Training mode, but for what is locked: it computes as in evaluation, so that batch norm uses its running statistics and
    leaves them as they are, and of a locked tower no patches are dropped.
    """
    model.train()
    locked_tower(model, which).eval()
    first = {id(parameter) for parameter in _first(model.visual, stages)}
    for module in model.visual.modules():
        own = {id(parameter) for parameter in module.parameters()}
        if own and own <= first:
            module.eval()


def locked_tower(model: Clip, which: Lock) -> nn.Module:
    """The tower that `which` names; an empty module for "none"."""
    towers: dict[Lock, nn.Module] = {"none": nn.Module(), "image": model.visual, "text": model.text}
    return towers[which]


def _first(tower: ImageTower, stages: int) -> list[nn.Parameter]:
    """The weights of the stem and the first `stages` of the tower's depths; none for 0."""
    depths = tower.depths()
    if stages > len(depths):
        raise ValueError(f"optim.lock_stages is {stages}: the image tower has {len(depths)} stages")
    later = {id(parameter) for stage in depths[stages:] for parameter in stage.parameters()}
    later |= {id(parameter) for parameter in tower.top()}
    return [parameter for parameter in tower.parameters() if stages and id(parameter) not in later]
