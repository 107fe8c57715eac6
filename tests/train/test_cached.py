"""GradCache: a batch in parts has the loss and the gradients of the undivided batch."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fullclip import losses
from fullclip.core.distributed import World
from fullclip.core.types import Features
from fullclip.models.clip import Clip, build, initialize
from fullclip.models.config import PRESETS, ClipConfig, ResNetConfig, VitConfig
from fullclip.train.cached import cached_backward
from fullclip.train.config import TrainConfig
from fullclip.train.parallel import Parallel, wrap

ALONE, CPU = World.single(), torch.device("cpu")
KINDS = {"softmax": losses.softmax, "tiled": losses.tiled_softmax, "sigmoid": losses.sigmoid}


def make_model(config: ClipConfig, *, bias: float | None = None) -> Parallel:
    clip = build(replace(config, logit_bias=bias))
    initialize(clip, torch.Generator().manual_seed(0))
    train = TrainConfig(steps=1, batch_size=12)
    return wrap(clip.double().train(), train, world=ALONE, device=CPU)


def make_inputs(n: int = 12) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    tokens = torch.randint(1, 400, (n, 9), generator=random)
    tokens[:, 0], tokens[:, -1] = 49406, 49407
    return torch.randn(n, 3, 32, 32, generator=random, dtype=torch.float64), tokens


def gradients(clip: Clip) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in clip.named_parameters() if p.grad is not None}


def whole(model: Parallel, images: Tensor, tokens: Tensor, loss) -> Tensor:
    value = loss(model(images, tokens))
    value.backward()
    return value.detach()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [1, 5, 6, 11])
def test_parts_have_the_gradients_of_the_whole(kind, part):
    images, tokens = make_inputs()
    bias = -10.0 if kind == "sigmoid" else None
    one, other = (make_model(PRESETS["tiny"], bias=bias) for _ in range(2))

    def loss(features: Features) -> Tensor:
        return KINDS[kind](features, ALONE)

    expected = whole(one, images, tokens, loss)
    found, features = cached_backward(other, other, images, tokens, loss=loss, part_size=part)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert features.image.shape == (12, 32)
    ours, theirs = gradients(other.clip), gradients(one.clip)
    assert ours.keys() == theirs.keys() == dict(one.clip.named_parameters()).keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-9, atol=1e-13, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("part", [2, 3, 4, 6])
def test_the_temperature_s_gradient_is_not_multiplied_by_the_number_of_parts(part):
    """OpenCLIP's accumulation adds it up once for every part."""
    images, tokens = make_inputs()
    model = make_model(PRESETS["tiny"])
    features = model(images, tokens)
    step = 1e-5

    def loss_at(log_scale: float) -> float:
        scale = torch.tensor(math.exp(log_scale), dtype=torch.float64)
        return losses.softmax(replace(features, scale=scale), ALONE).item()

    here = model.clip.logit_scale.item()
    slope = (loss_at(here + step) - loss_at(here - step)) / (2 * step)
    cached_backward(model, model, images, tokens, loss=lambda f: losses.softmax(f, ALONE), part_size=part)
    assert float(model.clip.logit_scale.grad) == pytest.approx(slope, rel=1e-6)


def test_chance_falls_alike_in_both_passes_and_moves_on_once():
    """With patches left out at random, features of the second pass are those that the loss saw, or gradients would be wrong."""
    vision = replace(PRESETS["tiny"].vision, patch_dropout=0.5)
    assert isinstance(vision, VitConfig)
    model, images_tokens = make_model(replace(PRESETS["tiny"], vision=vision)), make_inputs()
    seen: list[Tensor] = []

    def forward(images: Tensor, tokens: Tensor) -> Features:
        features = model(images, tokens)
        seen.append(features.image.detach())
        return features

    torch.manual_seed(5)
    cached_backward(forward, model, *images_tokens, loss=lambda f: losses.softmax(f, ALONE), part_size=4)
    after = torch.get_rng_state()
    assert all(torch.equal(a, b) for a, b in zip(seen[:3], seen[3:], strict=True))
    assert not torch.equal(seen[0], seen[1])
    torch.manual_seed(5)
    with torch.no_grad():
        for part in zip(*(x.split(4) for x in images_tokens), strict=True):
            model(*part)
    assert torch.equal(torch.get_rng_state(), after)


def test_running_statistics_move_once():
    config = ClipConfig(
        embed=8, vision=ResNetConfig(image_size=32, blocks=(1, 1, 1, 1), width=8, heads=2), text=PRESETS["tiny"].text
    )
    one, other = make_model(config), make_model(config)
    images, tokens = make_inputs()
    cached_backward(one, one, images, tokens, loss=lambda f: losses.softmax(f, ALONE), part_size=4)
    with torch.no_grad():
        other(images, tokens)
    first, expected = one.clip.visual.bn1, other.clip.visual.bn1
    assert {int(norm.num_batches_tracked) for norm in one.clip.modules() if isinstance(norm, torch.nn.BatchNorm2d)} == {1}
    torch.testing.assert_close(first.running_mean, expected.running_mean, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(first.running_var, expected.running_var, rtol=1e-10, atol=1e-12)


def test_a_locked_tower_gets_no_gradient():
    model = make_model(PRESETS["tiny"])
    model.clip.visual.requires_grad_(False)
    cached_backward(model, model, *make_inputs(), loss=lambda f: losses.softmax(f, ALONE), part_size=4)
    assert not any(name.startswith("visual") for name in gradients(model.clip))
    assert any(name.startswith("text") for name in gradients(model.clip))
