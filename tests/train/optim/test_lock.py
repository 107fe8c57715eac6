"""A locked tower: no gradient, no statistics, no dropping of patches."""

from dataclasses import replace

import pytest
import torch

from fullclip.models.clip import Clip, build, initialize
from fullclip.models.config import PRESETS, ClipConfig, ResNetConfig
from fullclip.train.optim.lock import lock, train_mode
from tiny import NARROW

TINY = PRESETS["tiny"]
RESNET = ClipConfig(embed=24, vision=ResNetConfig(image_size=64, blocks=(1, 2, 1, 1), width=8, heads=4), text=TINY.text)
EFFICIENTNET = ClipConfig(embed=24, vision=NARROW, text=TINY.text)
DROPPING = replace(TINY, vision=replace(TINY.vision, patch_dropout=0.5))


def made(config: ClipConfig) -> Clip:
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    return model


def forward(model: Clip, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    features = model(torch.randn(2, 3, size, size, generator=generator), torch.tensor([[3, 49407], [5, 49407]]))
    (features.image * features.text * features.scale).sum().backward()
    return features.image


@pytest.mark.parametrize("which", ["none", "image", "text"])
def test_only_the_other_tower_learns(which):
    model = made(TINY)
    lock(model, which)
    train_mode(model, which)
    forward(model, 32)
    learning = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learning == {"visual", "text", "logit_scale"} - {{"none": "", "image": "visual", "text": "text"}[which]}
    assert (model.visual.training, model.text.training) == (which != "image", which != "text")


@pytest.mark.parametrize(("which", "moved"), [("image", False), ("text", True), ("none", True)])
def test_running_statistics_of_a_locked_resnet_stay(which, moved):
    model = made(RESNET)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    assert before
    lock(model, which)
    for _ in range(2):
        model.eval()
        train_mode(model, which)
        forward(model, 64)
    assert all(torch.equal(buffer, before[name]) != moved for name, buffer in model.named_buffers())


def test_a_locked_tower_sees_all_patches():
    model = made(DROPPING)
    whole = forward(model.eval(), 32)
    train_mode(model, "image")
    assert torch.equal(forward(model, 32), whole)
    train_mode(model, "none")
    assert not torch.equal(forward(model, 32), whole)


@pytest.mark.parametrize(
    ("config", "stay"),
    [
        (TINY, ("visual.conv1", "visual.ln_pre", "visual.class_", "visual.positional_", "visual.transformer.resblocks.0")),
        (RESNET, ("visual.conv", "visual.bn", "visual.layer1")),
        (EFFICIENTNET, ("visual.conv1", "visual.bn1", "visual.stages.0")),
    ],
    ids=["vit", "resnet", "efficientnet"],
)
def test_the_first_stages_stay(config, stay):
    model = made(config)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    lock(model, "none", stages=1)
    train_mode(model, "none", stages=1)
    forward(model, config.vision.image_size)
    still = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert still == {name for name, _ in model.named_parameters() if name.startswith(stay)}
    assert all(torch.equal(b, buffers[name]) == name.startswith(stay) for name, b in model.named_buffers())


def test_more_stages_than_there_are_is_one_line():
    with pytest.raises(ValueError, match=r"optim.lock_stages is 3: the image tower has 2 stages"):
        lock(made(TINY), "none", stages=3)
