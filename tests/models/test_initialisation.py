"""Initial values: every weight is set, and to openai/CLIP's distributions (its model.py, lines 299 to 328)."""

import math

import pytest
import torch
from torch import nn

from fullclip.models.clip import build, initialize
from fullclip.models.config import ClipConfig, EfficientNetConfig, ResNetConfig, TextConfig, VitConfig

TEXT = TextConfig(context_length=64, vocab_size=600, width=256, layers=3, heads=4, mlp_width=1024, end_id=599)
VIT = ClipConfig(
    embed=192, vision=VitConfig(image_size=64, patch_size=8, width=320, layers=3, heads=5, mlp_width=1280), text=TEXT
)
RESNET = ClipConfig(embed=192, vision=ResNetConfig(image_size=96, blocks=(1, 2, 1, 1), width=16, heads=8), text=TEXT)
LITE0 = ClipConfig(embed=192, vision=EfficientNetConfig(), text=TEXT)


def initialized(config: ClipConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    model = build(config)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(math.nan if tensor.is_floating_point() else 99)
    initialize(model, torch.Generator().manual_seed(seed))
    return model.state_dict()


VIT_STATE, RESNET_STATE, LITE0_STATE = initialized(VIT), initialized(RESNET), initialized(LITE0)


def assert_normal(tensor: torch.Tensor, std: float) -> None:
    """Mean, spread and tails; the sampling errors of n draws are std / sqrt(n) and std / sqrt(2 n)."""
    n = tensor.numel()
    assert abs(tensor.mean()) < 5 * std / math.sqrt(n)
    assert abs(tensor.std() - std) < 5 * std / math.sqrt(2 * n)
    if n > 10_000:
        assert tensor.abs().max() > 3 * std


def assert_uniform(tensor: torch.Tensor, bound: float) -> None:
    n = tensor.numel()
    assert tensor.abs().max() <= bound
    assert abs(tensor.mean()) < 5 * bound / math.sqrt(3 * n)
    assert abs(tensor.std() - bound / math.sqrt(3)) < 5 * bound / math.sqrt(6 * n)


@pytest.mark.parametrize("state", [VIT_STATE, RESNET_STATE, LITE0_STATE], ids=["vit", "resnet", "lite0"])
def test_everything_is_set(state):
    for name, tensor in state.items():
        assert torch.isfinite(tensor).all(), name
        if name.endswith("num_batches_tracked"):
            assert tensor == 0


@pytest.mark.parametrize("state", [VIT_STATE, RESNET_STATE, LITE0_STATE], ids=["vit", "resnet", "lite0"])
def test_text_tower(state):
    width, layers = TEXT.width, TEXT.layers
    assert_normal(state["text.token_embedding.weight"], 0.02)
    assert_normal(state["text.positional_embedding"], 0.01)
    assert_normal(state["text.text_projection"], width**-0.5)
    for i in range(layers):
        block = f"text.transformer.resblocks.{i}."
        assert_normal(state[block + "attn.in_proj_weight"], width**-0.5)
        assert_normal(state[block + "attn.out_proj.weight"], width**-0.5 * (2 * layers) ** -0.5)
        assert_normal(state[block + "mlp.c_fc.weight"], (2 * width) ** -0.5)
        assert_normal(state[block + "mlp.c_proj.weight"], width**-0.5 * (2 * layers) ** -0.5)
        assert_uniform(state[block + "mlp.c_fc.bias"], width**-0.5)
        assert_uniform(state[block + "mlp.c_proj.bias"], (4 * width) ** -0.5)
    assert state["logit_scale"].item() == pytest.approx(math.log(1 / 0.07), rel=1e-6)


def test_vit():
    """The blocks keep the defaults of nn.MultiheadAttention (Xavier) and nn.Linear."""
    width = VIT.vision.width
    for name in ("class_embedding", "positional_embedding", "proj"):
        assert_normal(VIT_STATE[f"visual.{name}"], width**-0.5)
    assert_uniform(VIT_STATE["visual.conv1.weight"], (3 * 8 * 8) ** -0.5)
    for i in range(VIT.vision.layers):
        block = f"visual.transformer.resblocks.{i}."
        assert_uniform(VIT_STATE[block + "attn.in_proj_weight"], math.sqrt(6 / (width + 3 * width)))
        assert_uniform(VIT_STATE[block + "attn.out_proj.weight"], width**-0.5)
        assert_uniform(VIT_STATE[block + "mlp.c_fc.weight"], width**-0.5)
        assert_uniform(VIT_STATE[block + "mlp.c_proj.weight"], (4 * width) ** -0.5)


def test_resnet():
    width = 32 * RESNET.vision.width
    pool = "visual.attnpool."
    assert_normal(RESNET_STATE[pool + "positional_embedding"], width**-0.5)
    for name in ("q_proj", "k_proj", "v_proj", "c_proj"):
        assert_normal(RESNET_STATE[f"{pool}{name}.weight"], width**-0.5)
        assert_uniform(RESNET_STATE[f"{pool}{name}.bias"], width**-0.5)
    convolutions = {name: tensor for name, tensor in RESNET_STATE.items() if tensor.ndim == 4}
    assert len(convolutions) == 3 + 5 * 3 + 4
    for tensor in convolutions.values():
        assert_uniform(tensor, tensor[0].numel() ** -0.5)


def test_efficientnet():
    assert_normal(LITE0_STATE["visual.proj"], 1280**-0.5)
    convolutions = {name: tensor for name, tensor in LITE0_STATE.items() if tensor.ndim == 4}
    assert len(convolutions) == 1 + 16 * 3 - 1 + 1  # the first block does not widen
    for tensor in convolutions.values():
        assert_uniform(tensor, tensor[0].numel() ** -0.5)


def test_zeros_and_ones():
    for config, state in ((VIT, VIT_STATE), (RESNET, RESNET_STATE), (LITE0, LITE0_STATE)):
        for name, module in build(config).named_modules():
            if isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)):
                last_of_bottleneck = name.startswith("visual.layer") and name.endswith("bn3")
                assert (state[f"{name}.weight"] == (0 if last_of_bottleneck else 1)).all(), name
                assert (state[f"{name}.bias"] == 0).all()
            if isinstance(module, nn.BatchNorm2d):
                assert (state[f"{name}.running_mean"] == 0).all()
                assert (state[f"{name}.running_var"] == 1).all()
        for name, tensor in state.items():
            if name.endswith(("attn.in_proj_bias", "attn.out_proj.bias")):
                assert (tensor == 0).all(), name


def test_the_seed_decides():
    again, other = initialized(VIT), initialized(VIT, seed=1)
    assert all(torch.equal(tensor, again[name]) for name, tensor in VIT_STATE.items())
    assert not torch.equal(VIT_STATE["visual.proj"], other["visual.proj"])


def test_a_bias_keeps_its_configured_value():
    import dataclasses

    assert initialized_bias(dataclasses.replace(VIT, logit_bias=-10.0)) == -10.0


def initialized_bias(config: ClipConfig) -> float:
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    return model.logit_bias.item()
