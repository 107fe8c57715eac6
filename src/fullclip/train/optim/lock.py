"""What is not trained: a tower (locked-image tuning, LiT, Zhai et al. 2022, or its mirror image), or first stages of one."""

from collections.abc import Iterator
from typing import Literal

from torch import nn

from fullclip.models.clip import Clip, ImageTower
from fullclip.models.efficientnet import EfficientNet
from fullclip.models.resnet import ModifiedResNet
from fullclip.models.vit import VisionTransformer

Lock = Literal["none", "image", "text"]


def lock(model: Clip, which: Lock, *, stages: int = 0) -> None:
    """From now on the tower's weights, its projection too, take no gradient, nor do those of the image tower's stem and first
    `stages` stages, if any. Use `train_mode` in place of `model.train()`. ValueError where the tower has fewer stages.
    """
    for parameter in locked_tower(model, which).parameters():
        parameter.requires_grad_(False)
    for module in _first(model.visual, stages):
        module.requires_grad_(False)
    if stages and isinstance(model.visual, VisionTransformer):
        model.visual.class_embedding.requires_grad_(False)
        model.visual.positional_embedding.requires_grad_(False)


def train_mode(model: Clip, which: Lock, *, stages: int = 0) -> None:
    """Training mode, but for what is locked: it computes as in evaluation, so that batch norm uses its running statistics and
    leaves them as they are, and of a locked tower no patches are dropped.
    """
    model.train()
    locked_tower(model, which).eval()
    for module in _first(model.visual, stages):
        module.eval()


def locked_tower(model: Clip, which: Lock) -> nn.Module:
    """The tower that `which` names; an empty module for "none"."""
    towers: dict[Lock, nn.Module] = {"none": nn.Module(), "image": model.visual, "text": model.text}
    return towers[which]


def _first(tower: ImageTower, stages: int) -> Iterator[nn.Module]:
    """The modules of the stem and the first `stages` stages: the four of a ResNet, a ViT's blocks; nothing for 0."""
    if not stages:
        return
    if isinstance(tower, EfficientNet):
        stem, following = [tower.conv1, tower.bn1], [*tower.stages]
    elif isinstance(tower, ModifiedResNet):
        stem = [tower.conv1, tower.bn1, tower.conv2, tower.bn2, tower.conv3, tower.bn3]
        following = [tower.layer1, tower.layer2, tower.layer3, tower.layer4]
    elif isinstance(tower, VisionTransformer):
        stem, following = [tower.conv1, tower.ln_pre], [*tower.transformer.resblocks]
    else:
        stem, following = [], []
    if stages > len(following):
        raise ValueError(f"optim.lock_stages is {stages}: the image tower has {len(following)} stages")
    yield from [*stem, *following[:stages]]
